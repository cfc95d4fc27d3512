"""Which rule chose the trials and epochs of a row, and that no figure mixes two."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.accuracy_rows import RULE, RULES, final_rows, read_rows, winner
from benchmarks.compare_tables import over_sets
from benchmarks.trials import TRIALS

MASKED, KEPT = RULES
FIRST, SECOND, *_ = TRIALS["EASE"]
COUNT = len(TRIALS["EASE"])


def row(options: dict[str, Any], kept: float, masked: float, **more: Any) -> dict[str, Any]:
    """A row whose figures are all the same under each rule."""
    names = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
    figures = {"kept": dict.fromkeys(names, kept), "masked": dict.fromkeys(names, masked)}
    parts = {"val": {**figures, "tied": 0.0}, "test": {**figures, "tied": 0.0}}
    known = {"dataset": "shop", "model": "EASE", "kind": "trial", "seed": 0, "options": options}
    return {**known, **parts, **more}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    return path


FORMER = [row(options, 0.3 - i / 10, 0.31) for i, options in enumerate(TRIALS["EASE"])]
TODAY = [
    row(options, 0.4, 0.45 - (COUNT - i) / 100, chosen_by=MASKED)
    for i, options in enumerate(TRIALS["EASE"])
]


def test_rows_without_a_rule_were_chosen_with_seen_items_kept(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.jsonl", [*FORMER, *TODAY]))
    assert [line["chosen_by"] for line in rows] == [KEPT] * COUNT + [MASKED] * COUNT


def test_a_winner_is_judged_by_its_rule_among_the_rows_of_that_rule(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.jsonl", [*FORMER, *TODAY]))
    assert winner(rows, "shop", "EASE", rule=KEPT) == FIRST
    assert winner(rows, "shop", "EASE") == TRIALS["EASE"][-1]  # by the figures masked
    assert winner(rows[:-1], "shop", "EASE") is None  # a trial is missing
    assert winner(rows[:-1], "shop", "EASE", rule=KEPT) == FIRST
    other = row({"l2": 7.0}, 0.9, 0.9, split="leave_last_out", chosen_by=KEPT)  # no trial today
    assert winner([*rows, other], "shop", "EASE", rule=KEPT) == {"l2": 7.0}


def test_rows_of_two_rules_make_no_cell(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.jsonl", [*FORMER, *TODAY]))
    with pytest.raises(ValueError, match="must be chosen by one rule"):
        final_rows(rows, "EASE", [])


def test_a_table_holds_the_rows_of_one_rule_and_says_which(
    run_benchmark: Callable[..., str], tmp_path: Path
) -> None:
    path = write(tmp_path / "rows.jsonl", FORMER)
    kept = run_benchmark("accuracy_table.py", "--rows", path)
    assert "chosen on validation by NDCG@10, seen items kept" in kept
    assert "| .3000 / .3100" in kept
    write(path, [*FORMER, *TODAY])
    masked = run_benchmark("accuracy_table.py", "--rows", path)
    assert "chosen on validation by NDCG@10, seen items masked" in masked
    assert "| .4000 / .4400" in masked
    assert "| .4400 " in masked  # the figure that chose
    assert ".3000" not in masked
    assert run_benchmark("accuracy_table.py", "--rows", path, "--chosen-by", KEPT) == kept


def test_holm_goes_over_the_data_sets_of_each_baseline() -> None:
    one = pd.DataFrame({"p_permutation": [0.01, 0.2]}, index=["EASE", "SASRec"])
    two = pd.DataFrame({"p_permutation": [0.03]}, index=["EASE"])
    found = over_sets({"a": one, "b": two})
    assert found["a"]["p_holm_sets"].tolist() == [0.02, 0.2]
    assert found["b"]["p_holm_sets"].tolist() == [0.03]
    assert RULE == MASKED
