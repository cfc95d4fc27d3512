"""A run leaves a model that stands alone; compiled models go the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mdsrec_pyg import SyntheticDataset, build_mdsrec
from mdsrec_pyg.data import leave_last_out
from mdsrec_pyg.evaluation import evaluate
from mdsrec_pyg.nn import GRU4Rec, MDSRec, Recommender, SASRec
from mdsrec_pyg.retrieval import FaissIndex, Retriever
from mdsrec_pyg.testing import SmallData
from mdsrec_pyg.training import Trainer, load_weights

SPLIT = leave_last_out(SmallData().train)


def make() -> SASRec:
    torch.manual_seed(0)
    model = SASRec(24, channels=4, max_length=9)
    model.item_ids = [f"i{i}" for i in range(24)]
    return model


def fit(model: Any, directory: Path, **options: Any) -> list[str]:
    lines: list[str] = []
    trainer = Trainer(model, directory=directory, progress=False, log=lines.append, **options)
    trainer.fit(SPLIT.train, SPLIT.val)
    return lines


def test_it_holds_the_best_weights_and_the_ids(tmp_path: Path) -> None:
    model = make()
    # The first step is the best: what comes after is thrown about.
    fit(model, tmp_path / "run", epochs=4, lr=0.5)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    best = max(row["ndcg@10"] for row in rows)
    with pytest.raises(ValueError, match=r"there is no .*config\.json'\); '.*model' holds one"):
        Recommender.load(tmp_path / "run")
    loaded = Recommender.load(tmp_path / "run" / "model")
    assert evaluate(loaded, SPLIT.val).metrics["ndcg@10"] == best
    assert loaded.item_ids is not None
    assert list(loaded.item_ids) == [f"i{i}" for i in range(24)]


def test_a_run_that_is_interrupted_leaves_one_too(tmp_path: Path, monkeypatch) -> None:
    loss, calls = SASRec.loss, []

    def stop(self: SASRec, batch: Any) -> Any:
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return loss(self, batch)

    monkeypatch.setattr(SASRec, "loss", stop)
    fit(make(), tmp_path / "run", epochs=4, batch_size=8)
    assert (tmp_path / "run" / "model" / "config.json").is_file()
    calls.extend([1, 1, 1])
    fit(make(), tmp_path / "nothing", epochs=4)
    assert not (tmp_path / "nothing" / "model").exists()


class Untold(GRU4Rec):
    def hyperparameters(self) -> dict[str, Any]:
        raise NotImplementedError("hyperparameters are missing")


def test_a_model_that_cannot_be_saved_is_trained_all_the_same(tmp_path: Path) -> None:
    lines = fit(Untold(24, channels=4, max_length=9), tmp_path / "run", epochs=1)
    assert (tmp_path / "run" / "best.pt").is_file()
    assert not (tmp_path / "run" / "model").exists()
    said = "model is not written: hyperparameters are missing"
    assert any(said in line for line in lines)


def test_a_compiled_model_goes_the_same_way(tmp_path: Path) -> None:
    torch.compiler.reset()
    plain: Any = make()
    compiled: Any = torch.compile(make(), backend="eager")
    fit(plain, tmp_path / "plain", epochs=2)
    fit(compiled, tmp_path / "compiled", epochs=2)
    names = list(torch.load(tmp_path / "compiled" / "best.pt")["model"])
    assert names == list(plain.state_dict())
    ranks = evaluate(plain, SPLIT.test).ranks
    assert (evaluate(compiled, SPLIT.test).ranks == ranks).all()
    fresh: Any = torch.compile(SASRec(24, channels=4, max_length=9), backend="eager")
    load_weights(fresh, tmp_path / "plain" / "best.pt")
    assert (evaluate(fresh, SPLIT.test).ranks == ranks).all()
    histories = [["i1", "i2"], ["i7"]]
    tables = [
        Retriever(model).recommend(histories, 3, exclude_seen=True) for model in (plain, compiled)
    ]
    assert list(tables[0]["item"]) == list(tables[1]["item"])


def test_what_is_compiled_is_what_scores() -> None:
    calls = []

    def backend(graph: Any, _: Any) -> Any:
        calls.append(1)
        return graph.forward

    torch.compiler.reset()
    compiled: Any = torch.compile(make(), backend=backend)
    evaluate(compiled, SPLIT.test)
    assert calls


def test_a_compiled_model_is_searched_by_an_index() -> None:
    pytest.importorskip("faiss")
    torch.compiler.reset()
    compiled: Any = torch.compile(make(), backend="eager")
    table = Retriever(compiled, index=FaissIndex(24)).recommend([["i1"]], 3, exclude_seen=True)
    exact = Retriever(make()).recommend([["i1"]], 3, exclude_seen=True)
    assert list(table["item"]) == list(exact["item"])


def test_a_growable_model_is_left_where_one_is_asked_for(tmp_path: Path) -> None:
    data = SyntheticDataset(40, 40, num_interests=4, seed=0)
    split = leave_last_out(data.interactions)
    new = {name: feature.take(torch.tensor([0])) for name, feature in data.features.items()}
    small: dict[str, Any] = {"channels": 4, "num_centers": 2}
    for growable in (False, True):
        model = build_mdsrec(data.features, split.train, **small)
        run = tmp_path / str(growable)
        options: dict[str, Any] = {"epochs": 1, "progress": False, "log": lambda line: None}
        Trainer(model, directory=run, growable=growable, **options).fit(split.train, split.val)
        loaded = MDSRec.load(run / "model")
        if growable:
            assert loaded.with_items([40], new).num_items == 41
        else:
            with pytest.raises(ValueError, match="must keep what it was built from"):
                loaded.with_items([40], new)


def test_a_model_that_cannot_grow_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'growable' must be False .* \(got a SASRec\)"):
        Trainer(make(), directory=tmp_path, growable=True)
    with pytest.raises(ValueError, match=r"'growable' needs the 'directory' of the run"):
        Trainer(make(), growable=True)
