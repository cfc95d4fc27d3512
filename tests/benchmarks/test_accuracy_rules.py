"""By what trials and epochs were chosen: rows say it, and no other rows are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.accuracy_rows import RULE, read_rows, winner
from benchmarks.compare_tables import over_sets
from benchmarks.trials import TRIALS

OTHER = "ndcg@10, seen items kept"
COUNT = len(TRIALS["EASE"])


def row(options: dict[str, Any], kept: float, masked: float) -> dict[str, Any]:
    """A trial whose figures are all the same under each rule for seen items."""
    names = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
    figures = {"kept": dict.fromkeys(names, kept), "masked": dict.fromkeys(names, masked)}
    parts = {"val": {**figures, "tied": 0.0}, "test": {**figures, "tied": 0.0}}
    known = {"dataset": "shop", "model": "EASE", "kind": "trial", "seed": 0, "options": options}
    return {**known, **parts, "chosen_by": RULE, "split": "leave_last_out", "modalities": []}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    return path


# Seen items kept, the first is the best; masked, the last.
ROWS = [
    row(options, 0.4 - i / 100, 0.45 - (COUNT - i) / 100)
    for i, options in enumerate(TRIALS["EASE"])
]


@pytest.mark.parametrize("given", [OTHER, None])
def test_a_row_that_was_chosen_otherwise_is_refused_by_its_line(
    tmp_path: Path, given: str | None
) -> None:
    other = {**ROWS[0], "chosen_by": given}
    if given is None:
        del other["chosen_by"]
    path = write(tmp_path / "rows.jsonl", [ROWS[0], other])
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2: 'chosen_by' must be .*masked"):
        read_rows(path)


def test_a_winner_is_judged_with_seen_items_masked_once_all_trials_are_done(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.jsonl", ROWS))
    assert winner(rows, "shop", "EASE") == TRIALS["EASE"][-1]
    assert winner(rows[:-1], "shop", "EASE") is None


def test_a_table_says_by_what_its_rows_were_chosen(
    run_benchmark: Callable[..., str], tmp_path: Path
) -> None:
    printed = run_benchmark("accuracy_table.py", "--rows", write(tmp_path / "rows.jsonl", ROWS))
    assert "chosen on validation by NDCG@10, seen items masked" in printed
    assert "| .3300 / .4400" in printed
    assert "| .4400 " in printed  # the figure that chose


def test_holm_goes_over_the_data_sets_of_each_baseline() -> None:
    one = pd.DataFrame({"p_permutation": [0.01, 0.2]}, index=["EASE", "SASRec"])
    two = pd.DataFrame({"p_permutation": [0.03]}, index=["EASE"])
    found = over_sets({"a": one, "b": two})
    assert found["a"]["p_holm_sets"].tolist() == [0.02, 0.2]
    assert found["b"]["p_holm_sets"].tolist() == [0.03]
