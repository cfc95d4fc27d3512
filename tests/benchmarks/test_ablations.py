"""Ablations over several seeds, and how their table holds them against the whole model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from benchmarks import accuracy
from benchmarks.accuracy_rows import RULE, chosen, final_rows, parts
from benchmarks.accuracy_table import ablation_table
from benchmarks.trials import ABLATIONS, TRIALS, UNTUNED, ablations_for, make_model
from mdsrec_pyg import MDSRec, SyntheticDataset, build_mdsrec, leave_last_out
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.evaluation import per_user_metric

Row = dict[str, Any]
PART, OTHER, *_ = ABLATIONS
WINNER = TRIALS["MDSRec"][0]
FINAL = ("final", "MDSRec")


def row(kind: str, seed: int, figure: float, **more: Any) -> Row:
    """A row of MDSRec with one figure on validation and one that is .01 lower on test."""
    val, test = (
        {seen: {"ndcg@10": value} for seen in ("kept", "masked")} | {"tied": 0.0}
        for value in (figure, figure - 0.01)
    )
    known: Row = {
        "dataset": "shop",
        "model": "MDSRec",
        "split": "leave_last_out",
        "chosen_by": RULE,
    }
    known |= {"modalities": ["image"], "trainer": {"epochs": 9}, "options": WINNER}
    return {**known, "kind": kind, "seed": seed, "val": val, "test": test, **more}


def cut(name: str, seed: int, figure: float, **more: Any) -> Row:
    return row(f"ablation: {name}", seed, figure, **{"options": WINNER | ABLATIONS[name], **more})


WHOLE = [
    *(
        row("trial", 0, 0.2 - i / 100, options=options)
        for i, options in enumerate(TRIALS["MDSRec"])
    ),
    *(row("final", seed, figure) for seed, figure in enumerate((0.2, 0.21, 0.23, 0.9, 0.9))),
]
CUT = [cut(PART, seed, figure) for seed, figure in enumerate((0.19, 0.2, 0.21))]


def lines(rows: list[Row], ranks: Path) -> dict[str, list[str]]:
    """The cells of each line by its first."""
    table = ablation_table(parts(rows), [], ranks)
    cells = [line.strip("| ").split("|") for line in table.splitlines() if line.startswith("|")]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in cells}


def test_the_change_is_over_the_same_seeds_with_its_standard_error(tmp_path: Path) -> None:
    found = lines([*WHOLE, *CUT], tmp_path)
    head = ["shop (image), val", "shop (image), test", "seeds"]
    assert found["NDCG@10, seen items masked"] == head
    # .2 .21 .23 whole; without the part .01, .01 and .02 less.
    assert found["whole"] == [".2133 (153)", ".2033 (153)", "3"]
    error = f"{stats.sem([0.01, 0.01, 0.02]):.4f}".removeprefix("0")
    assert found[PART] == [f".2000 (-.0133 ± {error})", f".1900 (-.0133 ± {error})", "3"]


def test_an_unfinished_ablation_is_held_against_the_seeds_that_it_has(tmp_path: Path) -> None:
    found = lines([*WHOLE, *CUT, cut(OTHER, 1, 0.22)], tmp_path)
    assert found[OTHER] == [".2200 (+.0100)", ".2100 (+.0100)", "1"]
    assert found[PART][2] == "3"
    assert lines(WHOLE, tmp_path) == {}
    lonely = [line for line in WHOLE if line["seed"] != 4] + [cut(OTHER, 4, 0.1)]
    assert lines(lonely, tmp_path) == {}  # there is nothing to hold it against


def test_ablations_of_another_winner_do_not_count(tmp_path: Path) -> None:
    former = [cut(PART, seed, 0.5, options={"channels": 7, **ABLATIONS[PART]}) for seed in (0, 1)]
    unknown = row("ablation: of yore", 0, 0.5, options={**WINNER, "channels": 7})
    found = lines([*WHOLE, *former, unknown, *CUT, *former], tmp_path)
    assert found[PART] == lines([*WHOLE, *CUT], tmp_path)[PART]
    assert "of yore" not in found


def test_t_is_over_the_queries_of_ranks_averaged_over_the_seeds(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values: dict[str, list[Any]] = {}
    rows = [*WHOLE[:-2], *CUT]
    for i, line in enumerate(rows):
        if line["kind"] != "trial":
            rank = generator.integers(0, 12, 30)
            table = pd.DataFrame({"user": range(30), "target": 0, "rank": 99, "rank_masked": rank})
            table.to_parquet(tmp_path / f"{i}.parquet")
            line = rows[i] = {**line, "ranks": f"{i}.parquet"}
            values.setdefault(line["kind"], []).append(per_user_metric(rank, "ndcg@10"))
    one, two = np.mean(values[f"ablation: {PART}"], 0), np.mean(values["final"], 0)
    t = stats.ttest_rel(one, two).statistic
    found = lines(rows, tmp_path)[PART]
    assert found[1].endswith(f", t {t:.1f})")
    assert "t" not in found[0]
    pd.read_parquet(tmp_path / f"{i}.parquet").iloc[::-1].to_parquet(tmp_path / f"{i}.parquet")
    with pytest.raises(ValueError, match=f"{i}.parquet must hold the queries of "):
        lines(rows, tmp_path)
    (tmp_path / f"{i}.parquet").unlink()
    assert ", t" not in lines(rows, tmp_path)[PART][1]


@pytest.mark.parametrize("options", [{}, {"ablation_seeds": 2}])
def test_ablations_run_over_the_first_seeds_and_go_on_where_they_were(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: dict[str, int]
) -> None:
    words = ["accuracy.py", "shop", "--ablations", "--models", "Popularity"]
    words += [
        part for name, n in options.items() for part in (f"--{name.replace('_', '-')}", str(n))
    ]
    monkeypatch.setattr("sys.argv", [*words, "--seeds", "5", "3", "8", "1"])
    args = accuracy.parse()
    monkeypatch.setattr(accuracy, "chosen", lambda *_: {"channels": 4})
    monkeypatch.setitem(accuracy.UNTUNED, "MDSRec-default", ("MDSRec", {"channels": 8}))
    dataset = cast(Any, SyntheticDataset(60, 40))
    jobs = [job for job in accuracy.jobs(args, dataset) if job[0].startswith("ablation")]
    seeds = [5, 3, 8][: options.get("ablation_seeds", 3)]
    assert [(kind, seed) for kind, _, seed, _ in jobs] == [
        (f"ablation: {name}", seed) for seed in seeds for name in ABLATIONS
    ]
    assert jobs[0][3] == {"channels": 8, **ABLATIONS[PART]}


def test_the_run_without_a_search_has_the_defaults_of_the_library(tmp_path: Path) -> None:
    dataset = cast(Any, SyntheticDataset(60, 40, seed=0))
    train = leave_last_out(dataset.interactions).train
    name, options = UNTUNED["MDSRec-default"]
    made, usual = (
        make_model(name, dataset, train, 0, options),
        build_mdsrec(dataset.features, train),
    )
    assert isinstance(made, MDSRec)
    assert made.config == usual.config
    assert made.ridge_weights == usual.ridge_weights
    found = tmp_path / "rows.jsonl"
    assert chosen(found, "shop", "MDSRec-default", {}) == options  # no trials are needed
    better = [
        row("trial", 0, 0.2 + i / 10, options=part) for i, part in enumerate(TRIALS["MDSRec"])
    ]
    runs = [row("final", seed, 0.1, options=options) for seed in (0, 1)]
    rows = [*better, *runs, row("final", 0, 0.5, options=TRIALS["MDSRec"][-1])]
    assert final_rows(rows, "MDSRec-default", []) == runs
    assert final_rows(rows, "MDSRec", []) == rows[-1:]


def test_the_defaults_run_over_all_seeds_beside_the_winner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["accuracy.py", "shop", "--rows", str(tmp_path / "rows.jsonl"), "--seeds", "5", "3"]
    monkeypatch.setattr("sys.argv", [*words, "--models", "Popularity", "MDSRec"])
    monkeypatch.setattr(accuracy, "chosen", lambda *_: {"channels": 4})
    jobs = accuracy.jobs(accuracy.parse(), cast(Any, SyntheticDataset(60, 40)))
    final = [(seed, options) for kind, name, seed, options in jobs if (kind, name) == FINAL]
    assert final == [(seed, part) for seed in (5, 3) for part in ({"channels": 4}, WINNER)]


@pytest.mark.filterwarnings("ignore:.*no effect")
@pytest.mark.parametrize("modalities", [[], ["text"]])
def test_an_ablation_that_changes_nothing_is_not_run(modalities: list[str]) -> None:
    dataset = cast(Any, SyntheticDataset(60, 40, seed=0))
    train = leave_last_out(dataset.interactions).train
    features = {name: dataset.features[name] for name in modalities}
    some = SimpleNamespace(features=features, num_items=40)
    options = {**WINNER, "channels": 8, "l2": 70.0, "feature_weight": 20.0}

    def scores(change: Row) -> Tensor:
        model = make_model("MDSRec", cast(Any, some), train, 0, {**options, **change})
        with torch.no_grad():
            for parameter in model.parameters():  # what starts at zero must not hide a part
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
        item_id = torch.tensor([[1, 2, 3, 2], [0, 0, 4, 5]])
        return model.eval().score(SequenceBatch(item_id, item_id > 0, torch.tensor([0, 1])))

    left_out = ABLATIONS.keys() - ablations_for(len(modalities))
    assert left_out
    for name in left_out:
        assert torch.equal(scores({}), scores(ABLATIONS[name])), name


@pytest.mark.filterwarnings("ignore:.*have no effect with centers=None")
def test_each_ablation_takes_out_what_it_says() -> None:
    dataset = cast(Any, SyntheticDataset(60, 40, seed=0))
    train = leave_last_out(dataset.interactions).train
    options = {**WINNER, "channels": 8, "l2": 70.0, "feature_weight": 20.0}

    def made(change: Row) -> MDSRec:
        return cast(MDSRec, make_model("MDSRec", dataset, train, 0, {**options, **change}))

    def tables(model: MDSRec) -> list[Any]:
        votes = [] if model.votes is None else [model.votes.edges(m)[1].tolist() for m in (0, 1)]
        return [model._edges(0)[0].tolist(), model.labels is None, votes]

    whole = made({})
    for name, change in ABLATIONS.items():
        cut = made(change)
        assert (cut.config, tables(cut)) != (whole.config, tables(whole)), name
        assert (cut.votes is None) == (name == "vectors only"), name
        assert cut.config.vectors == ("vectors" not in change), name
