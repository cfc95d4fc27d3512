"""Every option that ``build_mdsrec`` takes reaches what it is for."""

from __future__ import annotations

import warnings
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mdsrec_pyg import SyntheticDataset, build_mdsrec, leave_last_out
from mdsrec_pyg.graphs import ProductConfig, cells, neighbors, ridge
from mdsrec_pyg.nn import PRESETS, MDSRec, MDSRecConfig, Preset, RelationsConfig

SMALL: dict[str, Any] = {"num_centers": 4, "channels": 8, "max_length": 10}

GRAPH: dict[str, Any] = {
    "num_neighbors": 3,
    "behavior": "count",
    "fill": None,
    "fill_weight": 0.01,
    "max_sequence_length": 2,
    "symmetric": True,
    "self_loops": "count",
    "window": 1,
    "normalization": "row",
    "search": "cells",
    "num_probes": 1,
    "block_size": 7,
}
RELATIONS: dict[str, Any] = {
    "num_neighbors": 3,
    "feature_weight": 3.0,
    "l2": 20.0,
    "denoising": 0.4,
    "memory_limit": 0,
    "num_candidates": 6,
    "max_sequence_length": 2,
    "num_folds": 2,
    "search": "cells",
    "num_probes": 1,
    "block_size": 7,
    "device": "nowhere",
}
MODEL: dict[str, Any] = {
    "vectors": False,
    "channels": 6,
    "max_length": 20,
    "num_layers": 2,
    "num_heads": 4,
    "dropout": 0.8,
    "block": "ligr",
    "num_conv_layers": 2,
    "center_form": "soft",
    "center_mode": "only",
    "add_id": False,
    "add_features": False,
    "add_centers": False,
    "num_components": 2,
    "temperature": 0.2,
    "fusion": "softmax",
    "vote_hidden": 7,
    "vote_positions": 9,
    "vector_weight": 3.0,
    "history_bias": False,
    "num_negatives": 2,
    "max_scores": 80,
    "bias_lr": 50.0,
}
#: What an option has an effect beside only.
BESIDE_GRAPH: dict[str, dict[str, Any]] = {
    "search": {"num_probes": 1, "num_neighbors": 20},
    "num_probes": {"search": "cells", "num_neighbors": 20},
}
LOCAL = {"memory_limit": 0}
BESIDE_RELATIONS: dict[str, dict[str, Any]] = {
    "num_candidates": LOCAL,
    "num_folds": LOCAL,
    "max_sequence_length": LOCAL,
    "search": {**LOCAL, "num_probes": 1, "num_candidates": 6},
    "num_probes": {**LOCAL, "search": "cells", "num_candidates": 6},
}


@pytest.fixture(scope="module")
def dataset() -> SyntheticDataset:
    return SyntheticDataset(num_users=60, num_items=80, num_interests=4, channels=6)


def build(dataset: SyntheticDataset, preset: str | Preset = "best", **options: Any) -> MDSRec:
    split = leave_last_out(dataset.interactions)
    return build_mdsrec(dataset.features, split.train, preset, **{**SMALL, **options})


def content(model: MDSRec, prefix: str) -> dict[str, Tensor]:
    every = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: table for name, table in every.items() if name.startswith(prefix)}


def differ(first: Tensor, second: Tensor) -> bool:
    return first.shape != second.shape or not torch.equal(first, second)


@pytest.mark.parametrize("option", sorted(GRAPH.keys() - {"block_size"}))
def test_every_option_of_the_graphs_counts(dataset: SyntheticDataset, option: str) -> None:
    beside = BESIDE_GRAPH.get(option, {})
    default, changed = (
        content(build(dataset, "paper", graph=options), "edge_")
        for options in (beside, {**beside, option: GRAPH[option]})
    )
    for m in range(2):
        assert differ(default[f"edge_weight_{m}"], changed[f"edge_weight_{m}"])


@pytest.mark.filterwarnings("ignore:the exact ridge")
@pytest.mark.parametrize("option", sorted(RELATIONS.keys() - {"block_size", "device"}))
def test_every_option_of_the_relations_counts(dataset: SyntheticDataset, option: str) -> None:
    beside = BESIDE_RELATIONS.get(option, {})
    default, changed = (
        content(build(dataset, vectors=False, relations=options), "votes.")
        for options in (beside, {**beside, option: RELATIONS[option]})
    )
    assert any(name not in default or differ(default[name], changed[name]) for name in changed)


@pytest.mark.parametrize("part", ["graph", "relations", "local"])
@pytest.mark.filterwarnings("ignore:the exact ridge")
def test_block_size_cuts_the_work_of(dataset: SyntheticDataset, monkeypatch, part: str) -> None:
    """It changes memory, not the result."""
    sizes: list[int | None] = []

    def spied(num_rows: int, row_size: int, block_size: int | None) -> Any:
        sizes.append(block_size)
        return row_blocks(num_rows, row_size, block_size)

    row_blocks = neighbors.row_blocks
    for module in (neighbors, cells, ridge):
        monkeypatch.setattr(module, "row_blocks", spied)
    name, beside = ("relations", LOCAL) if part == "local" else (part, {})
    models = []
    for options in (beside, {**beside, "block_size": 7}):
        sizes.clear()
        given: dict[str, Any] = {name: options}
        models.append(build(dataset, **given))
        assert (7 in sizes) == ("block_size" in options)
    for prefix in ("edge_", "votes.tables"):
        first, second = (content(model, prefix) for model in models)
        for key, table in first.items():
            torch.testing.assert_close(second[key], table)


@pytest.mark.filterwarnings("ignore:the exact ridge")
def test_the_device_is_that_of_the_local_solves(dataset: SyntheticDataset) -> None:
    with pytest.raises(ValueError, match=r"'device' must be .*nowhere"):
        build(dataset, relations={**LOCAL, "device": "nowhere"})
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        build(dataset, relations={**LOCAL, "device": "meta"})


@pytest.mark.parametrize("option", MODEL)
def test_every_option_of_the_model_reaches_it(dataset: SyntheticDataset, option: str) -> None:
    """What each does there, tests/nn/models/test_mdsrec_options.py knows."""
    graphs: dict[str, Any] = {"graph": {"fill": None}, "relations": {"num_neighbors": 10}}
    options: dict[str, Any] = {**SMALL, option: MODEL[option]}
    split = leave_last_out(dataset.interactions)
    model = build_mdsrec(dataset.features, split.train, **graphs, **options)
    del options["num_centers"]
    assert getattr(model.config, option) == MODEL[option] != getattr(MDSRecConfig(), option)
    assert model.config == PRESETS["best"].model.replace(**options)


def test_all_options_are_tried() -> None:
    for config, tried in (
        (ProductConfig, GRAPH),
        (RelationsConfig, RELATIONS),
        (MDSRecConfig, MODEL),
    ):
        assert {field.name for field in fields(config)} == set(tried), config


def test_number_of_centers(dataset: SyntheticDataset) -> None:
    labels = build(dataset, num_centers=3).labels
    assert labels is not None
    assert labels.max() == 2
    assert build(dataset, num_centers=0).labels is None


def test_a_preset_and_configurations_of_your_own(dataset: SyntheticDataset) -> None:
    """The same by name, as configurations, and as a preset."""
    named = build(dataset, graph={"num_neighbors": 3}, relations={"l2": 20.0}, dropout=0.1)
    whole = build(
        dataset,
        graph=ProductConfig(num_neighbors=3),
        relations=RelationsConfig(l2=20.0),
        dropout=0.1,
    )
    preset = Preset(
        graph=ProductConfig(num_neighbors=3),
        relations=RelationsConfig(l2=20.0),
        num_centers=4,
        model=MDSRecConfig(channels=8, max_length=10, dropout=0.1),
    )
    split = leave_last_out(dataset.interactions)
    own = build_mdsrec(dataset.features, split.train, preset)
    assert named.config == whole.config == own.config
    for other in (whole, own):
        first, second = content(named, ""), content(other, "")
        assert first.keys() == second.keys()
        assert not any(differ(table, second[name]) for name, table in first.items())


def test_options_stand_over_those_of_the_preset(dataset: SyntheticDataset) -> None:
    """An option by name leaves the preset's other ones as they are."""
    own = Preset(relations=RelationsConfig(num_neighbors=3, l2=20.0))
    degrees = {}
    for name, options in {"own": None, "l2": {"l2": 50.0}, "all": RelationsConfig()}.items():
        model = build(dataset, own, vectors=False, relations=options)
        assert model.votes is not None
        degrees[name] = model.votes.edges(0)[0][0].bincount(minlength=80)
    assert degrees["own"].max() == degrees["l2"].max() == 3
    assert degrees["all"].max() > 3


def test_relations_in_and_out(dataset: SyntheticDataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # what a preset itself says is no mistake
        assert build(dataset, relations=False).votes is None
        assert build(dataset, "paper").votes is None
        assert build(dataset, "paper", relations=True).votes is not None
        assert build(dataset, "paper", relations={"l2": 20.0}).votes is not None
    with pytest.warns(UserWarning, match=r"\['vote_positions'\] have no effect with relations"):
        build(dataset, relations=False, vote_positions=9)


def test_parts_of_your_own_leave_the_presets_options_without_a_word(
    dataset: SyntheticDataset,
) -> None:
    class Equal(nn.Module):
        def forward(self, users: Tensor) -> Tensor:
            return users.new_full(users.shape[:-1], 0.5)

    preset = Preset(model=MDSRecConfig(temperature=0.3, center_mode="only"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = build(dataset, preset, fusion=Equal())
        build(dataset, preset, num_centers=0)
    assert isinstance(model.fusion, Equal)
    with pytest.warns(UserWarning, match=r"\['temperature'\] have no effect with a 'fusion'"):
        build(dataset, preset, fusion=Equal(), temperature=0.1)


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["best"] = Preset(num_centers=1)  # type: ignore[index]
