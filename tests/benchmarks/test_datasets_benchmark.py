"""The benchmark of the readers runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.interaction_files import interaction_file
from benchmarks.peers import environments
from benchmarks.peers.histories import describe

Run = Callable[..., str]
FORMATS = ("inter", "inter-integers", "tsv", "parquet", "json", "json.gz")
RESULT = ("interactions", "users", "items", "checksum", "histories")


@pytest.fixture
def run(run_benchmark: Run) -> Run:
    """Runs the benchmark; what it printed."""
    return partial(run_benchmark, "datasets.py")


@pytest.mark.slow
def test_short_form(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--short", "--threads", 1, "--peers", "none", "--folder", tmp_path, "--out", out]
    printed = run(*options)
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    rows = result["results"]
    assert [(row["format"], row["reader"]) for row in rows] == [
        (form, reader) for form in FORMATS for reader in ("ours", "pandas")
    ]
    assert all(row["seconds"] > 0 and row["interactions"] == 2000 for row in rows)
    # All formats but the one with integers have the same ids, and all readers find the same.
    found = {tuple(row[name] for name in RESULT) for row in rows if row["format"] != FORMATS[1]}
    assert len(found) == 1
    assert str(tmp_path) not in printed.splitlines()[-1]
    # What is finished is kept; a reader that is missing is made up for.
    done = tmp_path / "done.jsonl"
    lines = done.read_text().splitlines(keepends=True)
    assert [json.loads(line) for line in lines] == rows
    done.write_text("".join(lines[1:]))
    again = json.loads(run(*options).splitlines()[-1])["results"]
    assert again[1:] == rows[1:]
    assert again[0]["histories"] == rows[0]["histories"]


def test_a_difference_stops_the_run(run: Run, tmp_path: Path) -> None:
    options = ["--short", "--threads", 1, "--peers", "none", "--formats", "parquet"]
    options += ["--folder", tmp_path, "--out", tmp_path / "out.json"]
    run(*options)
    done = tmp_path / "done.jsonl"
    first, second = map(json.loads, done.read_text().splitlines())
    second["histories"] = "another"
    done.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    with pytest.raises(AssertionError, match="another"):
        run(*options)


def test_recbole_reads_the_same(run: Run, tmp_path: Path) -> None:
    if not environments.is_ready("recbole"):
        pytest.skip("no environment of recbole")
    options = ["--short", "--threads", 1, "--formats", *FORMATS[:2], "--folder", tmp_path]
    rows = json.loads(run(*options, "--out", tmp_path / "out.json").splitlines()[-1])["results"]
    assert [row["reader"] for row in rows] == ["ours", "pandas", "RecBole"] * 2
    for first in (0, 3):
        assert len({row["histories"] for row in rows[first : first + 3]}) == 1


def test_files_are_made_once_and_have_the_same_rows(tmp_path: Path) -> None:
    table = pd.read_csv(interaction_file(tmp_path, "inter", 3000), sep="\t")
    table.columns = ["user", "item", "time"]
    assert len(table) == 3000
    reviews = pd.read_json(interaction_file(tmp_path, "json.gz", 3000), lines=True, dtype=False)
    assert (reviews["reviewerID"] == table["user"]).all()
    assert (reviews["asin"] == table["item"]).all()
    assert (reviews["unixReviewTime"] == table["time"]).all()
    assert 200 < reviews["reviewText"].str.len().mean() < 500
    folder = interaction_file(tmp_path, "parquet", 3000)
    rows, items = pd.read_parquet(folder), pd.read_parquet(folder.with_name("items.parquet"))
    assert (items["raw_id"].to_numpy()[rows["item"]] == table["item"]).all()
    assert (pd.read_csv(interaction_file(tmp_path, "tsv", 3000), sep="\t") == rows).all(axis=None)
    numbers = pd.read_csv(interaction_file(tmp_path, "inter-integers", 3000), sep="\t")
    assert (pd.factorize(numbers.iloc[:, 0])[0] == pd.factorize(table["user"])[0]).all()
    # In no order, and the most popular item has about 1 / log(60) of Zipf's law's share of one.
    assert 0.4 < (np.diff(table["time"]) > 0).mean() < 0.6
    assert 0.12 < table["item"].value_counts(normalize=True).iloc[0] < 0.22
    before = folder.stat().st_mtime_ns
    assert interaction_file(tmp_path, "parquet", 3000).stat().st_mtime_ns == before


def test_description_tells_what_differs() -> None:
    user, item = np.array([0, 1, 0, 0]), np.array([2, 0, 1, 0])
    seconds, users, items = np.array([9, 5, 3, 3]), ["ann", "bob"], ["x", "y", "z"]
    found = describe(user, item, seconds, users, items)
    assert (found["interactions"], found["users"], found["items"]) == (4, 2, 3)

    def differing(*changed: Any) -> set[str]:
        other = describe(*changed)
        return {name for name in found if found[name] != other[name]}

    # Other numbers for the same ids, rows sorted, times as floats: the same.
    order = np.array([1, 2, 3, 0])
    columns = (1 - user[order], 2 - item[order], seconds[order] * 1.0)
    assert not differing(*columns, users[::-1], items[::-1])
    # Rows that tie in another order, another time, another item, an id that nobody has.
    order = np.array([0, 1, 3, 2])
    assert differing(user[order], item[order], seconds[order], users, items) == {"histories"}
    assert differing(user, item, np.array([10, 5, 3, 3]), users, items) == {"checksum", "histories"}
    changed = differing(user, np.array([2, 1, 1, 0]), seconds, users, items)
    assert changed == {"checksum", "histories"}
    assert not differing(user, item, seconds, [*users, "eve"], items)
