"""One table, one set of modalities, one trainer; models of IDs stand in each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import accuracy
from benchmarks.accuracy_rows import (
    RULE,
    chosen,
    final_rows,
    has,
    kept_ranks,
    parts,
    ranks_path,
    winner,
)
from benchmarks.trials import OF_IDS, TRIALS, make_model
from mdsrec_pyg import FolderDataset, SyntheticDataset, leave_last_out
from mdsrec_pyg.nn.models import Recommender

Row = dict[str, Any]
ONE, TWO = ["image"], ["image", "text"]
LONG, SHORT = {"epochs": 100, "patience": 6}, {"epochs": 1, "patience": 6}
NAMES = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")


def row(model: str, figure: float, **more: Any) -> Row:
    """A final run of the model's first trial, unless said otherwise."""
    part = {seen: dict.fromkeys(NAMES, figure) for seen in ("kept", "masked")} | {"tied": 0.0}
    known: Row = {"dataset": "shop", "model": model, "kind": "final", "seed": 0, "chosen_by": RULE}
    known |= {"split": "leave_last_out", "modalities": ONE, "trainer": LONG}
    return {**known, "options": TRIALS[model][0], "val": part, "test": part, **more}


def trials(model: str, best: int, **more: Any) -> list[Row]:
    """All trials of a model, of which one is the best."""
    return [
        row(model, 0.2 if i == best else 0.1, kind="trial", options=options, **more)
        for i, options in enumerate(TRIALS[model])
    ]


def figures(rows: list[Row], model: str) -> list[float]:
    return [found["test"]["masked"]["ndcg@10"] for found in final_rows(rows, model, [])]


def test_a_table_has_one_set_of_modalities_and_every_model_of_ids() -> None:
    rows = [*trials("SASRecF", 0), *trials("SASRecF", 0, modalities=TWO)]
    rows += [row("SASRecF", 0.3, seed=seed) for seed in (1, 0)]
    rows += [row("SASRecF", 0.4, seed=seed, modalities=TWO) for seed in (0, 1, 2)]
    rows += [*trials("EASE", 0, modalities=TWO), row("EASE", 0.5), row("EASE", 0.6, modalities=TWO)]
    found = parts(rows)
    assert list(found) == ["shop (image)", "shop (image, text)"]
    assert figures(found["shop (image)"], "SASRecF") == [0.3, 0.3]
    assert figures(found["shop (image, text)"], "SASRecF") == [0.4, 0.4, 0.4]
    for own in found.values():
        assert figures(own, "EASE") == [0.5]  # a seed counts once
    assert list(parts(rows, TWO)) == ["shop (image, text)"]
    other = row("EASE", 0.1, dataset="other", modalities=[])
    assert list(parts([*rows, other], ONE)) == ["shop (image)", "other (IDs)"]
    with pytest.raises(ValueError, match=r"--modalities must be those .* \(got \['audio'\]\)"):
        parts(rows, ["audio"])


def test_other_settings_of_the_trainer_make_another_table() -> None:
    rows = [*trials("EASE", 0), row("EASE", 0.3), *trials("EASE", 1, trainer=SHORT)]
    assert list(parts(rows[: len(TRIALS["EASE"]) + 1])) == ["shop (IDs)"]
    found = parts(rows)
    assert list(found) == ["shop (IDs; epochs 100)", "shop (IDs; epochs 1)"]
    assert [figures(own, "EASE") for own in found.values()] == [[0.3], [0.2]]


def test_a_sampled_softmax_is_part_of_what_a_run_is_known_by(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset: Any = SyntheticDataset(60, 40)
    keys = []
    for words in ([], ["--num-negatives", "7"], ["--num-negatives", "9"], ["--epochs", "3"]):
        monkeypatch.setattr("sys.argv", ["accuracy.py", "shop", *words])
        keys.append(accuracy.key_of(accuracy.parse(), dataset, "SASRec", 0, {}))
    assert [key["trainer"].get("num_negatives") for key in keys] == [None, 7, 9, None]
    assert len({ranks_path(tmp_path / "rows.jsonl", key) for key in keys}) == 4
    rows = [{**row("SASRec", 0.1), **key, "dataset": "shop"} for key in keys]
    assert [[has(line, rows[i]) for line in rows] for i in range(4)] == np.eye(4).tolist()
    heads = list(parts(rows))
    assert heads[1] == "shop (IDs; epochs 100; num_negatives 7)"
    assert len(heads) == 4


def test_no_cell_mixes_trainers_or_modalities() -> None:
    rows = [*trials("SASRecF", 0), row("SASRecF", 0.3)]
    for more in ({"modalities": TWO}, {"trainer": SHORT}):
        mixed = [*rows, row("SASRecF", 0.4, seed=1, **more)]
        with pytest.raises(ValueError, match="the runs of a cell must have one setting"):
            final_rows(mixed, "SASRecF", [])


def test_trials_are_held_against_those_of_their_setting(tmp_path: Path) -> None:
    rows = [*trials("SASRecF", 0), *trials("SASRecF", 1, modalities=TWO)]
    rows += trials("SASRecF", 2, modalities=TWO, trainer=SHORT)
    path = tmp_path / "rows.jsonl"

    def first(found: list[Row], modalities: list[str], trainer: Row) -> int:
        path.write_text("".join(json.dumps(line) + "\n" for line in found))
        settings = {"split": "leave_last_out", "modalities": modalities, "trainer": trainer}
        return TRIALS["SASRecF"].index(chosen(path, "shop", "SASRecF", settings))

    assert [first(rows, ONE, LONG), first(rows, TWO, LONG), first(rows, TWO, SHORT)] == [0, 1, 2]
    assert first(rows, ["audio"], LONG) == 0  # the nearest: the same trainer
    assert first(rows, ["audio"], SHORT) == 2
    assert first(rows, ONE, SHORT) == 0  # the same modalities before the same trainer
    with pytest.raises(ValueError, match="no finished trials of SASRecF"):
        first(rows[:-1], TWO, SHORT)  # its own lack one, and no other's count
    assert winner(rows[:-1], "shop", "SASRecF") == TRIALS["SASRecF"][0]
    mixed = [*rows[:1], *trials("SASRecF", 1, modalities=TWO)[1:]]
    assert winner(mixed, "shop", "SASRecF") is None


def test_a_data_set_without_trials_takes_anothers_winner() -> None:
    others = [*trials("SASRecF", 2, dataset="other"), *trials("SASRecF", 3, modalities=TWO)]
    rows = [row("SASRecF", 0.3, options=TRIALS["SASRecF"][2])]
    assert final_rows(rows, "SASRecF", others[:4]) == rows
    assert final_rows([*rows, *trials("EASE", 0)], "SASRecF", others[:4]) == rows
    assert final_rows(rows, "SASRecF", others[4:]) == []


def test_tables_say_whose_modalities_they_have(
    run_benchmark: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [*trials("SASRecF", 0), *trials("SASRecF", 0, modalities=TWO)]
    rows += [row("SASRecF", 0.3), row("SASRecF", 0.4, modalities=TWO)]
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    heads = ["| shop (image) ", "| shop (image, text) "]
    table = run_benchmark("accuracy_table.py", "--rows", path)
    assert [table.count(head) for head in heads] == [2, 2]  # of all, and its own
    assert ".3000 / .3000" in table
    one = run_benchmark("accuracy_table.py", "--rows", path, "--modalities", "image", "text")
    assert [one.count(head) for head in heads] == [0, 2]
    assert ".3000" not in one
    assert ".4000 / .4000" in one


def test_models_of_ids_read_no_modality_and_are_not_run_again(
    run_benchmark: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, folder = tmp_path / "rows.jsonl", tmp_path / "shop"
    SyntheticDataset(60, 40, seed=0).save(folder)
    for module in ("trials", "accuracy", "accuracy_rows"):
        shortened = {name: options[:1] for name, options in TRIALS.items()}
        monkeypatch.setattr(f"benchmarks.{module}.TRIALS", shortened)
    usual = [folder, "--rows", rows, "--epochs", 1, "--seeds", 0]
    run_benchmark("accuracy.py", *usual, "--models", *OF_IDS, "--modalities", "image")
    before = rows.read_text()
    run_benchmark("accuracy.py", *usual, "--models", *OF_IDS)
    assert rows.read_text() == before
    key = {**json.loads(before.splitlines()[0]), "modalities": TWO}
    assert kept_ranks(rows, key).exists()
    assert not kept_ranks(rows, {**key, "seed": 7}).exists()
    words = [*usual, "--model", "EASE", "--models", "Popularity"]
    assert "trained once more" not in run_benchmark("compare.py", *words)
    run_benchmark("accuracy.py", *usual, "--models", "EASE+features", "--modalities", "image")
    run_benchmark("accuracy.py", *usual, "--models", "EASE+features")
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [line["modalities"] for line in found if line["model"] == "EASE+features"] == [
        *[ONE] * 2,
        *[TWO] * 2,
    ]


def test_models_of_ids_are_those_that_features_do_not_move(tmp_path: Path) -> None:
    SyntheticDataset(60, 40, seed=0).save(tmp_path / "shop")
    whole = FolderDataset(tmp_path / "shop")
    train = leave_last_out(whole.interactions).train
    bare = FolderDataset(tmp_path / "shop", modalities=["image"])

    def made(name: str, dataset: FolderDataset) -> Recommender:
        return make_model(name, dataset, train, 0, TRIALS[name][0])

    def shapes(model: Recommender) -> list[Any]:
        return [(key, tensor.sum().item()) for key, tensor in sorted(model.state_dict().items())]

    for name in TRIALS:
        states = []
        for dataset in (whole, bare):
            torch.manual_seed(0)
            states.append(shapes(made(name, dataset)))
        assert (states[0] == states[1]) == (name in OF_IDS), name
