"""Each benchmark runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
import torch

from benchmarks.accuracy_rows import RULE, append, final_rows, tuned_on
from mdsrec_pyg import EASE, FolderDataset, SyntheticDataset, leave_last_out
from mdsrec_pyg.nn import MDSRec, MDSRecConfig

Run = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "shop"
    SyntheticDataset(150, 124, seed=0).save(path)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_accuracy_and_what_is_made_of_it(
    run_benchmark: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.jsonl"
    options = [folder, "--rows", rows, "--epochs", 1, "--seeds", 0, 1]
    options += ["--models", "Popularity", "EASE+features", "MDSRec"]
    run_benchmark("accuracy.py", *options)
    found = read(rows)
    for model in ("Popularity", "EASE+features", "MDSRec"):
        own = [row for row in found if row["model"] == model]
        assert [row["kind"] for row in own].count("trial") == len(trial_options()[model])
        assert [row["seed"] for row in final_rows(own, model, [])] == [0, 1]
        best = max(row["val"]["masked"]["ndcg@10"] for row in own if row["kind"] == "trial")
        winner = final_rows(own, model, [])[0]
        assert winner["val"]["masked"]["ndcg@10"] == best
        assert {row["chosen_by"] for row in own} == {"ndcg@10, seen items masked"}
        assert {row["trainer"]["exclude_seen"] for row in own} == {True}
    assert all(str(folder.parent) not in json.dumps(row) for row in found)

    run_benchmark("accuracy.py", *options)
    assert read(rows) == found  # finished jobs are skipped ...
    rows.write_text("".join(json.dumps(row) + "\n" for row in found[:-1]))
    run_benchmark("accuracy.py", *options)
    again = read(rows)  # ... and a missing one is made up for, with the same figures
    assert (len(again), again[-1]["test"]) == (len(found), found[-1]["test"])

    table = run_benchmark("accuracy_table.py", "--rows", rows)
    final = final_rows(again, "MDSRec", [])
    assert len(final_rows(again, "MDSRec-default", [])) == 2
    summary, *tables = [part for part in table.split("\n\n") if part.startswith("| ")]
    for part, metric in ((summary, "ndcg@10"), (tables[0], "recall@10")):
        mean = sum(row["test"]["kept"][metric] for row in final) / 2
        (line,) = [line for line in part.splitlines() if line.startswith("| **MDSRec**, tuned ")]
        assert f"| {mean:.4f}".replace("0.", ".", 1) in line
        assert len({len(line) for line in part.splitlines()}) == 1  # it lines up
    out = tmp_path / "compare.json"
    words = [folder, "--rows", rows, "--epochs", 1, "--seeds", 0, 1, "--out", out]
    words += ["--models", "Popularity", "EASE+features"]
    monkeypatch.setattr("benchmarks.accuracy.train_model", None)  # nothing is trained anew
    monkeypatch.setattr("benchmarks.compare.train_model", None, raising=False)
    printed = run_benchmark("compare.py", *words)
    assert "trained once more" not in printed
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    mean = sum(row["test"]["masked"]["ndcg@10"] for row in final) / 2
    shop = result["datasets"]["shop"]
    assert set(shop["comparison"]) == {"Popularity", "EASE+features"}
    for compared in shop["comparison"].values():
        assert compared["mean_a"] == pytest.approx(mean)  # over both seeds
        assert compared["difference"] == pytest.approx(compared["mean_a"] - compared["mean_b"])
        assert compared["p_holm_sets"] == compared["p_permutation"]  # one data set
    buckets = shop["by_training_count"]["EASE+features"].values()
    assert sum(part["queries"] for part in buckets) == 150
    total = sum(part["queries"] * part["difference"] for part in buckets if part["queries"])
    difference = shop["comparison"]["EASE+features"]["difference"]
    assert total / 150 == pytest.approx(difference)


def test_other_epochs_are_other_runs(run_benchmark: Run, folder: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    options = [folder, "--rows", rows, "--models", "Popularity", "--seeds", 0, "--epochs"]
    run_benchmark("accuracy.py", *options, 1)
    found = read(rows)
    run_benchmark("accuracy.py", *options, 2)
    assert len(read(rows)) == 2 * len(found)


def kept(rows: Path) -> list[Path]:
    return sorted(rows.with_name("rows-ranks").iterdir())


def test_any_modalities_any_split_and_ids_only(
    run_benchmark: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.json"
    made = SyntheticDataset(150, 124, ("$x^{$", "a b"), seed=0)
    made.save(tmp_path / "odd")
    made.features.clear()
    made.save(tmp_path / "ids")
    trials = {name: options[:1] for name, options in trial_options().items()}
    for module in ("trials", "accuracy", "accuracy_rows"):
        monkeypatch.setattr(f"benchmarks.{module}.TRIALS", trials)
    usual = ["--rows", rows, "--epochs", 1, "--seeds", 0, "--split", "temporal"]
    run_benchmark("accuracy.py", tmp_path / "odd", *usual, "--models", "EASE+features", "MDSRec")
    names = {tuple(row["modalities"]) for row in read(rows)}
    assert names == {("$x^{$", "a b")}
    assert {row["split"] for row in read(rows)} == {"temporal"}
    other = [*usual, "--models", "EASE+features", "--modalities", "a b"]
    run_benchmark("accuracy.py", tmp_path / "odd", *other)  # another run, as the row says
    assert read(rows)[-1]["modalities"] == ["a b"]
    table = run_benchmark("accuracy_table.py", "--rows", rows, "--split", "temporal")
    assert "odd ($x^{$, a b)" in table
    assert "odd (a b)" in table

    run_benchmark("accuracy.py", tmp_path / "ids", *usual)
    found = {row["model"] for row in read(rows) if row["dataset"] == "ids"}
    assert found == {"Popularity", "EASE", "GRU4Rec", "SASRec", "eSASRec", "MDSRec-paper", "MDSRec"}
    with pytest.raises(SystemExit, match="error: SASRecF needs features, and ids has none"):
        run_benchmark("accuracy.py", tmp_path / "ids", *usual, "--models", "SASRecF")

    words = [tmp_path / "ids", "--rows", rows, "--epochs", 1, "--split", "temporal", "--seeds", 0]
    words += ["--model", "EASE", "--models", "Popularity", "--metric", "recall@5", "--out", out]
    run_benchmark("compare.py", *words)
    first = json.loads(out.read_text(), parse_constant=pytest.fail)  # no NaN
    compared = first["datasets"]["ids"]
    buckets = compared["by_training_count"]["Popularity"].values()
    assert None in [part["standard_error"] for part in buckets]
    for path in kept(rows):
        path.unlink()  # as after rows that came with the repository
    again = run_benchmark("compare.py", *words)
    assert again.count("trained once more") == 2
    assert json.loads(out.read_text())["datasets"]["ids"] == compared
    pd.read_parquet(kept(rows)[0]).iloc[::-1].to_parquet(kept(rows)[0])
    with pytest.raises(SystemExit, match=r"error: .* must hold the queries of ids, split temporal"):
        run_benchmark("compare.py", *words)


def trial_options() -> dict[str, list[dict[str, Any]]]:
    from benchmarks.trials import TRIALS

    return TRIALS


def test_a_broken_row_is_named(run_benchmark: Run, folder: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n{oops\n")
    for script, words in (("accuracy.py", [folder]), ("accuracy_table.py", [])):
        with pytest.raises(SystemExit, match=r"^error: .*rows.jsonl, line 2: expected a JSON"):
            run_benchmark(script, *words, "--rows", rows)


def test_without_trials_there_is_no_winner(
    run_benchmark: Run, folder: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    for script in ("accuracy.py", "compare.py"):
        options = ["--models", "EASE", "--rows", rows, "--trials-of", "other", "--seeds", 0]
        with pytest.raises(SystemExit, match="no finished trials of"):
            run_benchmark(script, folder, *options)


def test_a_set_with_trials_of_its_own_takes_no_others(tmp_path: Path) -> None:
    own = {"dataset": "shop", "model": "EASE", "kind": "trial", "split": "temporal"}
    append(tmp_path / "rows.jsonl", {**own, "chosen_by": RULE})
    asked = [("shop", "EASE"), ("shop", "SASRec"), ("else", "EASE")]
    found = [tuned_on(tmp_path / "rows.jsonl", *key, "temporal", "other") for key in asked]
    assert found == ["shop", "other", "other"]
    assert tuned_on(tmp_path / "rows.jsonl", *asked[1], "temporal", None) == "shop"
    assert tuned_on(tmp_path / "rows.jsonl", *asked[0], "leave_last_out", "other") == "other"


def test_trials_and_ablations_reach_what_they_are_for(
    run_benchmark: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.trials import ABLATIONS, OF_TRAINER, TRIALS, make_model

    dataset = FolderDataset(folder)
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "benchmarks.trials.build_mdsrec", lambda *args, **options: given.append(options)
    )
    every = [*TRIALS["MDSRec"], *TRIALS["MDSRec-paper"], *ABLATIONS.values()]
    for trial in every:
        make_model("MDSRec", dataset, dataset.interactions, 3, trial)
    for trial, options in zip(every, given, strict=True):
        assert options.pop("seed") == 3
        graph, relations = options.pop("graph", {}), options.pop("relations", {})
        if relations is False:
            options["relations"], relations = False, {}
        assert set(graph) <= {"fill", "self_loops"}
        assert set(relations) <= {"l2", "feature_weight", "denoising"}
        assert set(options) <= {"num_centers", "relations", *MDSRecConfig.names()}
        assert {**options, **graph, **relations} == {
            name: value for name, value in trial.items() if name not in OF_TRAINER
        }
    assert sum("fill" in trial for trial in every) == 1
    assert {trial["self_loops"] for trial in TRIALS["MDSRec-paper"]} == {0.0, 0.25, 1.0}
    closed = ("EASE", "EASE+features")  # seconds each
    assert {len(TRIALS[name]) for name in closed} == {8}
    assert {len(trials) for name, trials in TRIALS.items() if name not in closed} == {4}


def test_a_trial_may_leave_the_ridge_to_the_training_part(folder: Path) -> None:
    from benchmarks.trials import TRIALS, make_model, mdsrec

    usual = {"l2": 70.0, "feature_weight": 20.0, "denoising": 0.33}
    assert {trial["l2"] for trial in TRIALS["MDSRec"]} == {"auto", 70.0}
    assert mdsrec(channels=8) == {"channels": 8, **usual}
    trial = mdsrec(l2="auto", feature_weight="auto", vectors=False, num_centers=0)
    assert {**trial, **usual} == mdsrec(vectors=False, num_centers=0)
    dataset = FolderDataset(folder)
    model = make_model("MDSRec", dataset, dataset.interactions, 3, trial)
    assert isinstance(model, MDSRec)
    assert model.ridge_weights is not None
    assert model.ridge_weights.chosen == ("l2", "feature_weight")


def test_trials_of_the_linear_models_reach_them(folder: Path) -> None:
    from benchmarks.trials import TRIALS, make_model, weights_of

    assert weights_of(["audio", "image"], {"image": 5.0, "other": 15.0}) == [15.0, 5.0]
    dataset = FolderDataset(folder)
    assert list(dataset.features) == ["image", "text"]
    train, features = dataset.interactions, list(dataset.features.values())
    for name in ("EASE", "EASE+features"):
        for trial in TRIALS[name]:
            given = make_model(name, dataset, train, 3, trial).hyperparameters()
            weight = trial.get("feature_weight", given["feature_weight"])
            weight = list(weight.values()) if isinstance(weight, dict) else weight
            assert {**given, **trial, "feature_weight": weight} == given
    *_, last = TRIALS["EASE+features"]
    assert last["feature_weight"] == 0.0
    options = {name: last[name] for name in ("l2", "denoising", "feature_weight")}
    plain = EASE(train, **{**options, "feature_weight": 20.0})
    assert torch.equal(EASE(train, features, **options).weight, plain.weight)


def test_epoch(run_benchmark: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "epoch.json"
    printed = run_benchmark(
        "epoch.py", folder, "--channels", 8, "--repeats", 1, "--threads", 1, "--out", out
    )
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    assert {row["model"] for row in result["results"]} >= {"MDSRec", "SASRec"}


def test_a_trial_may_hold_options_of_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import accuracy
    from benchmarks.trials import ENCODER_TRIALS, OF_TRAINER

    made = SyntheticDataset(60, 40)
    split, kept = leave_last_out(made.interactions), []

    class Kept(accuracy.Trainer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            kept.append(self.config.to_dict())

    monkeypatch.setattr(accuracy, "Trainer", Kept)
    for trial in ENCODER_TRIALS:
        options, short = {**trial, "channels": 4}, {**accuracy.TRAINER, "epochs": 1}
        accuracy.train_model(cast(Any, made), split, "GRU4Rec", 0, options, short)
        given = {name: kept[-1][name] for name in OF_TRAINER}
        assert given == {"lr": 1e-3, **{key: trial[key] for key in OF_TRAINER if key in trial}}
    assert len(kept) == 4
    assert {made["average_epochs"] for made in kept} == {3.0, 10.0}


def test_a_sampled_softmax_for_all_models_that_have_none_of_their_own() -> None:
    from benchmarks import accuracy

    made = SyntheticDataset(60, 40)
    split = leave_last_out(made.interactions)
    common = {**accuracy.TRAINER, "epochs": 1, "num_negatives": 7}
    for name in ("SASRec", "MDSRec", "EASE"):
        model, _ = accuracy.train_model(cast(Any, made), split, name, 0, {}, common)
        assert getattr(model, "num_negatives", 7) == 7
    own = {"num_negatives": 5, "channels": 4}
    model, _ = accuracy.train_model(cast(Any, made), split, "eSASRec", 0, own, common)
    assert cast(Any, model).num_negatives == 5
    assert "num_negatives" in common
