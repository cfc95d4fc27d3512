"""Comparisons over all targets and over new ones only, and the tables of many models and sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.compare_tables import (
    ALL,
    NEW,
    Judged,
    as_json,
    differences_table,
    judge,
    means_table,
)
from benchmarks.trials import TRIALS
from mdsrec_pyg import FolderDataset, leave_last_out
from mdsrec_pyg.datasets import from_dataframe
from mdsrec_pyg.evaluation import holm, per_user_metric


def test_a_judgment_has_the_paired_t_and_the_buckets() -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.random(40) for name in ("a", "b", "c")}
    target, counts = np.arange(40) % 4, np.array([0, 2, 4, 200])
    found = judge(values, "b", target, counts)
    assert found.queries == 40
    assert found.means == {name: pytest.approx(value.mean()) for name, value in values.items()}
    assert list(found.table.index) == list(found.buckets) == ["a", "c"]
    for name in ("a", "c"):
        want = stats.ttest_rel(values["b"], values[name])
        assert found.table.loc[name, "t"] == pytest.approx(want.statistic)
        assert found.table.loc[name, "p_t"] == pytest.approx(want.pvalue)
        queries = found.buckets[name]["queries"]
        assert queries[queries > 0].tolist() == [10] * 4
    assert (
        judge({"a": values["a"], "b": values["a"]}, "a", target, counts).table.loc["b", "t"] == 0.0
    )


def judged(difference: float, models: list[str], queries: int) -> Judged:
    table = pd.DataFrame(
        {"difference": difference, "t": 3.14, "p_holm_sets": 0.0123}, index=pd.Index(models)
    )
    means = {"MDSRec": 0.1 + difference, **dict.fromkeys(models, 0.1)}
    return Judged(queries, means, table, {})


def test_a_table_has_a_row_a_baseline_and_a_column_a_data_set() -> None:
    sets = {f"set_{i}": TRIALS if i else ["EASE", "SASRec"] for i in range(4)}
    found = {
        name: {
            ALL: judged(-0.00001, [m for m in models if m != "MDSRec"], 2000),
            NEW: judged(0.0026, [m for m in models if m != "MDSRec"], 1900),
        }
        for name, models in sets.items()
    }
    lines = differences_table(found, NEW).splitlines()
    assert lines[0].split() == [f"set_{i} (1,900)".split()[j] for i in range(4) for j in (0, 1)]
    assert [line.split()[0] for line in lines[1:3]] == ["EASE", "SASRec"]
    assert len(lines) == len(TRIALS)  # a head, and no row of MDSRec
    cells = {line.split()[0]: line.count("+.0026  t  3.14  p .0123") for line in lines[1:]}
    assert cells == {m: 4 if m in sets["set_0"] else 3 for m in TRIALS if m != "MDSRec"}
    assert "+.0000  t  3.14" in differences_table(found, ALL)  # and not -.0000
    means = means_table(found)
    assert "set_3 (new: 95.0%)" in means
    assert ".1000 / .1026" in means
    del found["set_3"][NEW]
    assert "set_3" not in differences_table(found, NEW)
    assert ".1000 / -" in means_table(found)
    assert "set_3 (new: 0.0%)" in means_table(found)


def saved(path: Path, users: int, repeat: bool = True) -> Path:
    """Users of nine items; every third's last item may be one that the user has taken before."""
    rows = [
        {"user": f"u{u}", "item": f"i{(u + step) % 9}", "timestamp": step}
        for u in range(users)
        for step in range(4)
    ]
    rows += [
        {"user": f"u{u}", "item": f"i{(u + (1 if u % 3 == 0 else 4 + u % 4)) % 9}", "timestamp": 9}
        for u in range(users)
        if repeat
    ]
    from_dataframe(pd.DataFrame(rows)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path / "again", 20)


def test_targets_of_the_history_are_left_out_of_the_second_judgment(
    run_benchmark: Callable[..., str], folder: Path, tmp_path: Path
) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.json"
    words = [folder, "--rows", rows, "--epochs", 1, "--seeds", 0, 1]
    run_benchmark("accuracy.py", *words, "--models", "Popularity", "EASE")
    words += ["--model", "EASE", "--models", "Popularity", "--metric", "ndcg@2", "--out", out]
    printed = run_benchmark("compare.py", *words)
    found = json.loads(out.read_text())["datasets"]["again"]
    assert json.loads(printed.splitlines()[-1])["datasets"]["again"] == found
    dataset = FolderDataset(folder)
    test = leave_last_out(dataset.interactions).test
    new = np.array([test.target[q] not in test.history(q) for q in range(20)])
    assert (~new).sum() == 7
    assert (found["queries"], found["new_targets"]["queries"]) == (20, 13)
    final = [json.loads(line) for line in rows.read_text().splitlines()]
    for model in ("EASE", "Popularity"):
        own = [row for row in final if (row["model"], row["kind"]) == (model, "final")]
        assert [row["seed"] for row in own] == [0, 1]
        ranks = [pd.read_parquet(tmp_path / "rows-ranks" / row["ranks"]) for row in own]
        value = np.mean([per_user_metric(r["rank_masked"], "ndcg@2") for r in ranks], axis=0)
        assert found["means"][model] == pytest.approx(value.mean())
        assert found["new_targets"]["means"][model] == pytest.approx(value[new].mean())
        assert value.mean() != pytest.approx(value[new].mean())
    compared = found["new_targets"]["comparison"]["Popularity"]
    means = found["new_targets"]["means"]
    assert compared["difference"] == pytest.approx(means["EASE"] - means["Popularity"])
    assert compared["p_holm_sets"] == compared["p_permutation"]
    buckets = found["new_targets"]["by_training_count"]["Popularity"].values()
    assert sum(part["queries"] for part in buckets) == 13
    assert "again (new: 65.0%)" in printed
    assert "again, new targets only: difference of ndcg@2" in printed


def test_holm_goes_over_the_sets_of_each_judgment_apart(
    run_benchmark: Callable[..., str], tmp_path: Path
) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.json"
    folders = saved(tmp_path / "again", 26), saved(tmp_path / "new", 7, repeat=False)
    words = [*folders, "--rows", rows, "--epochs", 1, "--seeds", 0]
    run_benchmark("accuracy.py", *words, "--models", "Popularity", "EASE")
    run_benchmark("compare.py", *words, "--model", "EASE", "--models", "Popularity", "--out", out)
    found = json.loads(out.read_text())["datasets"]
    assert found["new"]["queries"] == found["new"]["new_targets"]["queries"] == 7
    order = []
    for judgment in (lambda own: own, lambda own: own["new_targets"]):
        compared = [judgment(own)["comparison"]["Popularity"] for own in found.values()]
        p_values = [own["p_permutation"] for own in compared]
        assert [own["p_holm_sets"] for own in compared] == pytest.approx(holm(p_values))
        order.append(np.argsort(p_values).tolist())
    assert order == [[0, 1], [1, 0]]  # so that one correction is not the other's


def test_what_a_set_has_too_few_new_targets_for_is_null() -> None:
    table = judge(
        {"a": np.array([0.0, 1.0]), "b": np.array([1.0, 1.0])}, "a", np.zeros(2, int), np.array([3])
    )
    found = as_json({ALL: table})
    assert found["new_targets"] is None
    assert found["comparison"]["b"]["difference"] == -0.5
