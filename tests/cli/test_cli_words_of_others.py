"""A data set whose ids, texts and modalities would act: it goes through every command as text."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.datasets import RecommendationDataset

ESCAPE = "\x1b]0;owned\x07\x9b2J\u202e"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    made = SyntheticDataset(60, 93, seed=0)
    names = [f"=HYPERLINK({i})" if i % 2 else f"{ESCAPE}{i}" for i in range(93)]
    RecommendationDataset(
        "h",
        made.interactions,
        {"$x^{$": made.features["image"], f"{ESCAPE}|<b>": made.features["text"]},
        user_ids=[f"{ESCAPE}{i}" for i in range(60)],
        item_ids=names,
        item_text=[f"{ESCAPE} title\nof {i}" for i in range(93)],
    ).save(tmp_path / "h")
    return tmp_path / "h"


def acts(text: str) -> list[str]:
    return re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_every_command_shows_text(call: Any, hostile: Path, tmp_path: Path) -> None:
    small = ("--num-centers", 4, "--model.channels", 8, "--trainer.epochs", 1)
    user = f"{ESCAPE}0"
    for words in (
        ("inspect", hostile, "--out", "seen"),
        ("inspect", hostile, "--json"),
        ("train", "--data", hostile, *small, "--directory", "run"),
        ("evaluate", "run"),
        ("evaluate", "run", "--against", "run", "--json"),
        ("recommend", "run", "--user", user, "--explain"),
        ("recommend", "run", "--user", user, "--json"),
    ):
        done = call(*words)
        assert done.code == 0, done.err
        assert acts(done.out + done.err) == [], words
        if "--json" in words:
            json.loads(done.out)
    assert json.loads(done.out)[0]["user"] == user  # JSON is the same text
    assert not (tmp_path / "owned").exists()
    assert acts((tmp_path / "run" / "model" / "README.md").read_text()) == []
    assert call("recommend", "run", "--user", f"{ESCAPE}nobody").err.count("\n") == 1


def test_tables_for_people_hold_no_formula_and_those_for_programs_the_ids(
    call: Any, hostile: Path, tmp_path: Path
) -> None:
    small = ("--num-centers", 4, "--model.channels", 8, "--trainer.epochs", 1)
    assert call("train", "--data", hostile, *small, "--directory", "run").code == 0
    found = {}
    for ending in ("csv", "tsv", "parquet", "jsonl"):
        name = f"best.{ending}"
        words = ("--history", "=HYPERLINK(1)", "-k", 20, "--output", name)
        with (
            pytest.warns(UserWarning, match="apostrophe")
            if ending in ("csv", "tsv")
            else nullcontext()
        ):
            assert call("recommend", "run", *words).code == 0
        found[ending] = (tmp_path / name).read_bytes()
    items = pd.read_parquet(tmp_path / "best.parquet")["item"].tolist()
    assert any(item.startswith("=") for item in items)
    rows = found["jsonl"].decode().splitlines()
    assert [json.loads(row)["item"] for row in rows] == items
    for ending, sep in (("csv", ","), ("tsv", "\t")):
        table = pd.read_csv(tmp_path / f"best.{ending}", sep=sep, dtype=str)
        assert table["item"].tolist() == [f"'{i}" if i.startswith("=") else i for i in items]
        assert not re.search(rf"(^|{sep})[\"]?[=+@]", found[ending].decode(), re.MULTILINE)
    assert np.isfinite(pd.read_csv(tmp_path / "best.csv")["score"]).all()
