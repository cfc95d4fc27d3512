"""The example of the service asks a real one and prints what it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_serve_and_query(run_script: Callable[..., str]) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    options = ("--users", 60, "--items", 60, "--history", "item-3,item-5", "-k", 4)
    output = run_script(EXAMPLES, "serve_and_query.py", *options)
    answers = [json.loads(part) for part in re.findall(r"^{$.*?^}$", output, re.M | re.S)]
    health, recommended, without, error, items = answers
    assert (health["items"], health["limits"]["k"]) == (60, 50)
    assert [item["rank"] for item in recommended["items"]] == [1, 2, 3, 4]
    assert not {item["item"] for item in recommended["items"]} & {"item-3", "item-5"}
    assert all(item["why"]["modalities"] for item in recommended["items"])
    assert without["dropped"] == ["no-such-item"]
    assert error["error"]["message"] == "'k' must be at least 1 (got 0)"
    assert [card["item"] for card in items["items"]] == ["item-1", "item-10"]
    assert output.count("POST /recommend") == 3
