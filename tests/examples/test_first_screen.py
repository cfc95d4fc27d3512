"""What ``make train`` shows: learning, baselines beside it, a picture and what to do next."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.graphs import RidgeConfig
from mdsrec_pyg.nn import RelationsConfig

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = ("--centers", 4, "--channels", 8, "--epochs", 1)
ONLY = ("--no-baselines", "--patience", 1)

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, run_script: Callable[..., str], tmp_path: Path) -> Run:
    """Runs an example in an empty folder; what it printed."""
    monkeypatch.chdir(tmp_path)
    return partial(run_script, EXAMPLES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set on disk."""
    path = tmp_path_factory.mktemp("data") / "shop"
    SyntheticDataset(150, 124, seed=0).save(path)
    return path


def test_the_first_screen(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = run("train_mdsrec.py", "--epochs", 1)
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name == "synthetic-best-seed0-epochs-1"
    ndcg = {}
    for name in ("popularity", "SASRec", "EASE with features", "MDSRec before training", "MDSRec"):
        (row,) = re.findall(rf"^{name} +([\d. ]+)$", output, re.MULTILINE)
        ndcg[name] = float(row.split()[2])
    # One epoch is not enough to be ahead of where training began.
    assert ndcg["popularity"] < ndcg["EASE with features"] < ndcg["MDSRec before training"]
    assert ndcg["SASRec"] < ndcg["MDSRec"] != ndcg["MDSRec before training"]
    result = json.loads((directory / "result.json").read_text())
    assert [*result["baselines"], "MDSRec"] == list(ndcg)
    for name, parts in result["baselines"].items():
        assert round(parts["test"]["seen_kept"]["ndcg@10"], 4) == ndcg[name]
        assert parts["val"]["split"] == "val"
    settings = json.loads((directory / "settings.json").read_text())["options"]
    assert {"l2": 300.0, "feature_weight": 30.0}.items() <= settings["relations"].items()
    picture = directory / "learning.svg"
    assert f"Validation by epoch, beside the baselines: {picture.relative_to(tmp_path)}" in output
    assert "<svg " in picture.read_text()
    (options,) = re.findall(r"examples/recommend\.py (\S+ --user \S+)$", output, re.MULTILINE)
    recommended = run("recommend.py", *options.split())
    assert "user-0" in recommended
    assert "by image" in recommended or "by text" in recommended


def test_made_up_data_have_defaults_of_their_own(run: Run, folder: Path) -> None:
    run("train_mdsrec.py", *ONLY, "--directory", "paper", "--preset", "paper", "--epochs", 1)
    run("train_mdsrec.py", *ONLY, "--directory", "own", "--data", folder, "--epochs", 1)
    options = {}
    for name in ("paper", "own"):
        options[name] = json.loads(Path(name, "settings.json").read_text())["options"]
    # No vector of an item's own: that is the paper's form already.
    assert options["paper"] == {"channels": 64, "num_centers": 64}
    ridge = {
        "l2": RelationsConfig.l2,
        "feature_weight": RelationsConfig.feature_weight,
        "memory_limit": RidgeConfig.memory_limit,
    }
    assert options["own"] == {"channels": 64, "num_centers": 32, "relations": ridge}


def test_baselines_take_the_ridge_or_are_left_out(run: Run, folder: Path) -> None:
    found = []
    for l2, weight in ((5, 20), (500, 20), (500, 0)):
        name = f"run-{l2}-{weight}"
        options = ("--l2", l2, "--feature-weight", weight, "--directory", name)
        run("train_mdsrec.py", "--data", folder, *SMALL, *options)
        baselines = json.loads(Path(name, "result.json").read_text())["baselines"]
        found.append({key: part["val"]["seen_kept"]["mrr"] for key, part in baselines.items()})
    assert len({row["EASE with features"] for row in found}) == 3
    assert len({row["SASRec"] for row in found}) == len({row["popularity"] for row in found}) == 1
    output = run("train_mdsrec.py", "--data", folder, *SMALL, "--no-baselines")
    assert "SASRec" not in output
    assert "EASE" not in output
    (result,) = Path("runs").rglob("result.json")
    assert list(json.loads(result.read_text())["baselines"]) == ["MDSRec before training"]


def test_seen_items_come_last_in_baselines_where_nobody_takes_them_again(
    run: Run, folder: Path
) -> None:
    run("train_mdsrec.py", "--data", folder, *SMALL, "--directory", "run")
    baselines = json.loads(Path("run", "result.json").read_text())["baselines"]
    for name in ("popularity", "EASE with features"):
        assert baselines[name]["test"]["seen_kept"] == baselines[name]["test"]["seen_masked"]


def test_no_picture_without_matplotlib(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    output = run("train_mdsrec.py", "--data", folder, *SMALL, "--no-baselines")
    assert "plots need matplotlib, which is not installed" in output
    assert "pip install 'mdsrec_pyg[plot]'" in output
    assert "examples/recommend.py" in output
    assert not list(Path("runs").rglob("learning*"))
