"""``mdsrec train --growable`` and ``mdsrec update``: a run over a data set that has grown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mdsrec_pyg.cli import update
from mdsrec_pyg.cli.main import main
from tests.cli.conftest import SMALL


@pytest.fixture(scope="module")
def growable(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model keeps what it was built from."""
    folder = tmp_path_factory.mktemp("growable") / "shop"
    words = ["train", "--data", shop, "--directory", folder, "--json", "--growable", *SMALL]
    assert main([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def larger(shop: Path, tmp_path: Path) -> Path:
    """The data set with an item that two users took, and one that nobody did."""
    folder = tmp_path / "larger shop"
    folder.mkdir()
    items, rows = (pd.read_parquet(shop / f"{n}.parquet") for n in ("items", "interactions"))
    new = items.iloc[[0, 1]].assign(item=[124, 125], raw_id=["taken", "nobody"])
    pd.concat([items, new]).to_parquet(folder / "items.parquet", index=False)
    later = rows.groupby("user").tail(1).head(2).assign(item=124, timestamp=2_000_000_000)
    pd.concat([rows, later]).to_parquet(folder / "interactions.parquet", index=False)
    for name in ("image", "text"):
        x = np.load(shop / f"{name}.npy")
        np.save(folder / f"{name}.npy", np.concatenate([x, x[:2]]))
    return folder


def test_new_items_are_recommended_without_training(
    call: Any, growable: Path, larger: Path
) -> None:
    done = call("update", growable, "--data", larger, "--out", "my models/shop")
    assert (done.code, done.err) == (0, "the graphs are fitted again ...\n")
    assert "126 items, 2 of them new" in done.out
    assert f"mdsrec serve 'my models/shop' --data '{larger}'" in done.out
    found = call("similar", "my models/shop", "taken", "--by", "image", "-k", 1, "--json")
    assert json.loads(found.out)[0]["items"][0]["item"] == "000"
    words = ("my models/shop", "--history", "003", "-k", 124, "--json")
    (user,) = json.loads(call("recommend", *words).out)
    texts = {item["item"]: item["text"] for item in user["items"]}
    assert texts["taken"] == texts["000"]
    assert texts["nobody"] == texts["001"]
    asked = call("recommend", *words[:1], "--data", larger, "--user", "user-0", "--json")
    assert json.loads(asked.out)[0]["user"] == "user-0"
    # It can be updated, and exported, as a run can.
    again = call("update", "my models/shop", "--data", larger, "--out", "again", "--json")
    assert json.loads(again.out)["added"] == 0


def test_every_option_does_something(call: Any, growable: Path, larger: Path) -> None:
    words = ("update", growable, "--data", larger, "--json")
    outs = []
    for votes in ("neighbors", "ridge"):
        assert call(*words, "--out", votes, "--votes", votes).code == 0
        outs.append((Path(votes) / "model.safetensors").read_bytes())
    assert outs[0] != outs[1]
    same = call("update", growable, "--out", "same", "--json")  # the run's own data set
    assert json.loads(same.out)["added"] == 0
    assert update.parse(["runs/a b", "--out", "c"]).command == "mdsrec update 'runs/a b' --out c"


def test_what_is_wrong_is_a_line(call: Any, growable: Path, trained: Path, larger: Path) -> None:
    for out in (growable, growable / "model"):
        done = call("update", growable, "--data", larger, "--out", out)
        assert "error: 'out' must not be of a run, which stays as it was trained" in done.err
    done = call("update", trained, "--data", larger, "--out", "other")
    assert f"the model in {trained} must keep what it was built from" in done.err
    done = call("update", growable / "model", "--out", "other")
    assert "error: 'data' must name the data set of" in done.err
    assert not Path("other").exists()


def test_a_saved_model_is_asked_as_its_run_is(call: Any, trained: Path, shop: Path) -> None:
    options: tuple[Any, ...] = ("--history", "003,010", "-k", 3, "--json")
    run, model = (
        json.loads(call("recommend", f, *options).out) for f in (trained, trained / "model")
    )
    scores = [[item["score"] for item in found[0]["items"]] for found in (run, model)]
    assert scores[0] == scores[1]
    options = ("003", "-k", 3, "--by", "image", "--json")
    run, model = (
        json.loads(call("similar", f, *options).out) for f in (trained, trained / "model")
    )
    assert [i["item"] for i in run[0]["items"]] == [i["item"] for i in model[0]["items"]]
    done = call("recommend", trained / "model", "--user", "user-0")
    assert (done.code, "error: 'data' must name the data set of" in done.err) == (1, True)


def test_made_up_data_are_a_folder(call: Any) -> None:
    done = call("prepare", "synthetic", "--out", "my shop", "--num-users", 40, "--num-items", 62)
    assert done.code == 0
    assert "mdsrec train --data 'my shop'" in done.out
    assert len(pd.read_parquet("my shop/items.parquet")) == 62
