"""Every layer of PyG: its weights are used, or a warning or an error says why not."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_geometric.nn.conv as pyg

SCRIPT = Path(__file__).parents[3] / "docs" / "layer_table.py"


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_every_class_has_its_row(table: dict[str, Any]) -> None:
    import torch_geometric

    missing = sorted(set(pyg.__all__) - {"MessagePassing"} - set(table["ARGUMENTS"]))
    # Another PyG may have more; for the one that the table was made with none may be left out.
    if f"PyG {torch_geometric.__version__}," in table["TABLE"].read_text():
        assert missing == []


def test_the_committed_table_is_what_happens(table: dict[str, Any]) -> None:
    written = table["TABLE"].read_text(encoding="utf-8").splitlines()
    committed = {line.split(" | ")[0].strip("| "): line for line in written if " | " in line}
    same_versions = written[0] == table["header"]()[0]
    with torch.random.fork_rng():
        rows = table["rows"]()
    assert len(rows) > 50
    for name, row in rows.items():
        if table["MISSING"] in row or table["MISSING"] in committed[name]:
            continue  # depends on what is installed
        parts = slice(None) if same_versions else slice(2)
        assert row.split(" | ")[parts] == committed[name].split(" | ")[parts]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("LightGraphConv", "`edge_weight`"),
        ("GENConv", "`edge_attr`"),
        ("GeneralConv", "`edge_attr`"),
        ("GINEConv", "`edge_attr`"),
        ("NNConv", "`edge_attr`"),
        ("CGConv", "`edge_attr`"),
        ("GMMConv", "`edge_attr`"),
        ("GPSConv", "`edge_weight`"),
        ("SAGEConv", "not used, with a warning"),
        ("GCN2Conv", "error"),
    ],
)
def test_some_rows_by_hand(table: dict[str, Any], name: str, weights: str) -> None:
    assert table["outcome"](name).weights == weights
