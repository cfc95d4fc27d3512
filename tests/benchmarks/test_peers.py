"""Training and evaluation beside other libraries: in short form, and what the figures rest on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.peers import environments as peers
from benchmarks.peers.equal_time import equal_time
from benchmarks.peers.factors import Factors
from benchmarks.peers.sequences import Sequences
from benchmarks.training import OURS as ALL
from mdsrec_pyg import FolderDataset, SyntheticDataset, leave_last_out, temporal_split
from mdsrec_pyg.evaluation import ranking_metrics, target_ranks

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

Run = Callable[..., str]

OURS = ["SASRec", "MDSRec"]
THEIRS = {
    "recbole": ["RecBole SASRec", "RecBole SASRec, batch 2048"],
    "rectools": ["RecTools SASRec"],
}
installed = [
    pytest.param(
        name, marks=pytest.mark.skipif(not peers.is_ready(name), reason=f"no environment of {name}")
    )
    for name in peers.PEERS
]

STUB = """
import numpy as np
from benchmarks.peers.worker import Meter, read_spec, serve
spec = read_spec()
def set_up():
    if spec.get("broken"):
        raise SystemExit("no set-up")
    print("noise that is no answer")
    meter = Meter("cpu")
    def epoch(steps):
        print("more noise")
        with meter:
            kept = np.ones(4_000_000)
        return {"seconds": 30.0, "positions": 7 if steps is None else steps, "peak": meter.peak}
    def rank(split_name, path):
        count = spec["queries"]
        ranks = np.full(count, next(values) if split_name == "val" else spec["test_rank"])
        np.savez(path, ranks=ranks)
        return {}
    def fail():
        raise ValueError("wrong")
    values = iter(spec.get("val_ranks", []))
    return {"epoch": epoch, "rank": rank, "fail": fail}
serve(set_up, ["numpy"])
"""


@pytest.fixture
def run(run_script: Callable[..., str]) -> Run:
    """Runs a benchmark; what it printed."""
    return partial(run_script, BENCHMARKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "shop"
    SyntheticDataset(150, 124, seed=0).save(path)
    return path


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts workers that do nothing."""
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started: list[peers.Worker] = []

    def start(name: str = "stub", **spec: Any) -> peers.Worker:
        worker = peers.Worker(name, Path(sys.executable), "stub", spec, tmp_path / name, 1)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()


@pytest.mark.slow
def test_training(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "training.json"
    options = ["--short", "--threads", 1, "--ours", *OURS, "--peers", "none"]
    options += ["--accuracy-minutes", 1e-6, "--out", out]
    printed = run("training.py", folder, *options)
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    assert [row["system"] for row in result["results"]] == OURS
    # Two steps of 128 windows each are a whole epoch of this data.
    train = leave_last_out(FolderDataset(folder).interactions).train
    assert {row["positions"] for row in result["results"]} == {len(train) - 150}
    assert set(result["ratios"]) == {"MDSRec / SASRec"}
    assert [(row["system"], row["epochs"]) for row in result["accuracy"]] == [(n, 1) for n in OURS]
    assert result["skipped"] == {}


@pytest.mark.slow
def test_training_options_reach_the_models(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "training.json"
    options = ["--short", "--threads", 1, "--peers", "none", "--steps", 1, "--batch-size", 10]
    options += ["--ours", "SASRec", "--max-length", 1]
    run("training.py", folder, *options, "--out", out)
    result = json.loads(out.read_text())
    assert [row["system"] for row in result["results"]] == ["SASRec"]
    assert {row["positions"] for row in result["results"]} == {10}  # windows of one position
    assert result["settings"]["steps"] == 1
    assert result["accuracy"] == []


@pytest.mark.slow
def test_training_on_ids_only_and_another_split(run: Run, tmp_path: Path) -> None:
    data = SyntheticDataset(150, 124, seed=0)
    data.features.clear()
    data.save(tmp_path / "ids")
    out = tmp_path / "training.json"
    options = [tmp_path / "ids", "--short", "--threads", 1, "--split", "temporal", "--out", out]
    run("training.py", *options, "--peers", "none")
    result = json.loads(out.read_text())
    assert [row["system"] for row in result["results"]] == list(ALL)
    assert result["split"].startswith("temporal")
    train = temporal_split(data.interactions).train
    # Each user's items but the last are predicted from, in batches of 128 of which two are run.
    assert result["results"][0]["positions"] < len(train)
    with pytest.raises(SystemExit, match="error: --split temporal needs --peers none"):
        run("training.py", *options)


@pytest.mark.parametrize("name", installed)
def test_training_with_a_peer(run: Run, folder: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "training.json"
    options = ["--short", "--threads", 1, "--ours", "SASRec", "--peers", name, "--steps", 4]
    options += ["--out", out]
    run("training.py", folder, *options)
    result = json.loads(out.read_text())
    rows = {row["system"]: row for row in result["results"]}
    assert list(rows) == ["SASRec", *THEIRS[name]]
    assert result["skipped"] == {}
    # Whole epochs: each predicts the same positions, however it cuts them into samples.
    assert len({row["positions"] for row in rows.values()}) == 1
    assert rows[THEIRS[name][0]]["versions"]["torch"] == torch.__version__


@pytest.mark.slow
def test_evaluation(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    options = ["--short", "--threads", 1, "--peers", "none", "--queries", 40, "--items", 90]
    printed = run("evaluation.py", folder, *options, "--out", out)
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    found = [(row["catalog"], row["system"], row["queries"]) for row in result["results"]]
    systems = ("ours", "the scores alone")
    assert found == [(*c, s, q) for *c, q in (("shop", 150), ("90 items", 40)) for s in systems]
    for row in result["results"]:
        ranked = row["system"] == "ours"
        assert 0 < row["metrics"]["recall@10"] < 1 if ranked else row["metrics"] is None


@pytest.mark.skipif(not peers.is_ready("recbole"), reason="no environment of recbole")
def test_evaluation_equals_recbole(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    run("evaluation.py", folder, "--short", "--threads", 1, "--items", "--out", out)
    rows = json.loads(out.read_text())["results"]
    ranked = [row for row in rows if row["metrics"]]
    assert [row["system"] for row in ranked] == ["ours", "RecBole", "RecBole, its batch size"]
    for row in ranked:
        assert row["metrics"] == pytest.approx(rows[0]["metrics"], abs=1e-6)


@pytest.mark.slow
def test_a_peer_that_cannot_be_installed_is_left_out(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(name: str) -> float:
        raise peers.PeerError(f"{name} cannot be installed: no network")

    monkeypatch.setattr(peers, "make", no_network)
    out = tmp_path / "evaluation.json"
    options = ["--short", "--threads", 1, "--items", "--peers", "recbole", "--out", out]
    printed = run("evaluation.py", folder, *options)
    result = json.loads(out.read_text())
    assert result["skipped"] == {"recbole, shop": "recbole cannot be installed: no network"}
    assert [row["system"] for row in result["results"]] == ["ours", "the scores alone"]
    assert "no network" in printed


def test_environments_are_made_once_and_anew_where_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path)
    assert not peers.is_ready("recbole")
    (tmp_path / "recbole").mkdir()
    marker = tmp_path / "recbole" / "requirements.txt"
    marker.write_text((BENCHMARKS / "peers" / "recbole.txt").read_text())
    assert peers.is_ready("recbole")
    assert peers.make("recbole") == 0.0
    marker.write_text("torch==1.0\n")
    assert not peers.is_ready("recbole")


def test_workers_answer_in_turn(stub: Any) -> None:
    workers = {name: stub(name) for name in ("a", "b")}
    assert set(workers["a"].ready) == {"numpy"}
    answers = peers.take_turns(workers, "epoch", repeats=2, warmup=1, steps=3)
    assert list(answers) == ["a", "b"]
    assert [answer["positions"] for answer in answers["a"]] == [3, 3]
    if sys.platform == "linux":
        assert all(answer["peak"] > 30e6 for answer in answers["b"])  # the 32 MB that it took


def test_errors_of_workers_are_told(stub: Any) -> None:
    with pytest.raises(peers.PeerError, match="stub: ValueError: wrong"):
        stub().ask("fail")
    with pytest.raises(peers.PeerError, match="other: ended with code 1: no set-up"):
        stub("other", broken=True)


def test_equal_time_reports_the_test_of_the_best_validation(
    stub: Any, folder: Path, tmp_path: Path
) -> None:
    split = leave_last_out(FolderDataset(folder).interactions)
    count = len(split.val)
    # Epochs take 30 s each, as the stub says: two fit into a minute.
    worker = stub(queries=count, val_ranks=[3, 1, 0], test_rank=2)
    (row,) = equal_time({"stub": worker}, 1.0, split, tmp_path)
    expected = ranking_metrics(np.full(count, 2.0), [10])["ndcg@10"]
    assert (row["epochs"], row["best_epoch"], row["minutes"]) == (2, 2, 1.0)
    assert row["test_ndcg@10"] == pytest.approx(expected)
    other = stub("patient", queries=count, val_ranks=[1, *[5] * 30], test_rank=4)
    (row,) = equal_time({"patient": other}, 60.0, split, tmp_path)
    assert (row["epochs"], row["best_epoch"]) == (11, 1)


def test_sequences_hold_what_the_split_holds(tmp_path: Path, folder: Path) -> None:
    interactions = FolderDataset(folder).interactions
    split = leave_last_out(interactions)
    path = tmp_path / "data.npz"
    user, item = interactions.user_id, interactions.item_id
    np.savez(path, user=user, item=item, num_items=interactions.num_items)
    data = Sequences(str(path))
    assert data.item[data.in_training].tolist() == split.train.item_id.tolist()
    item_id = np.arange(1, interactions.num_items + 1)
    item_id[5] = 0  # not in the vocabulary
    for left in (False, True):
        for part in (split.val, split.test):
            rows, length = data.histories(part.name, 4, item_id, left=left)
            for query in range(len(part)):
                known = [i + 1 for i in part.history(query).tolist() if i != 5][-4:]
                row = rows[query].tolist()
                assert row == (
                    [0] * (4 - len(known)) + known if left else known + row[len(known) :]
                )
                assert sum(i > 0 for i in row) == len(known) == length[query]


def test_items_without_a_vector_come_last(folder: Path) -> None:
    split = leave_last_out(FolderDataset(folder).interactions)
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(150, 4, generator=generator)
    items = torch.randn(124, 4, generator=generator)
    known = torch.ones(124, dtype=torch.bool)
    known[split.test.target[0]] = False
    ranks = target_ranks(Factors(users, items, known), split.test, exclude_seen=False)
    assert ranks[0] == 123
    scores = users[1] @ items.t()
    others = scores[known] > scores[split.test.target[1]]
    assert ranks[1] == int(others.sum())
