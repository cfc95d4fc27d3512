"""First lines of properties stay sentences, single letters start no list."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("sphinx")

EXTENSION = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "docstrings.py"))


def processed(what: str, *lines: str) -> list[str]:
    """Lines as they are behind both handlers, with Napoleon's own step between them."""
    from sphinx.ext.napoleon import Config, GoogleDocstring

    app: Any = SimpleNamespace(env=SimpleNamespace(temp_data={}))
    changed = list(lines)
    EXTENSION["hide"](app, what, "name", None, None, changed)
    changed = str(GoogleDocstring(changed, Config(), what=what)).splitlines()
    EXTENSION["restore"](app, what, "name", None, None, changed)
    return changed


def test_a_property_keeps_its_sentence() -> None:
    assert processed("property", "Raw id of each item; None: by index.") == [
        "Raw id of each item; None: by index."
    ]


def test_a_letter_starts_no_list() -> None:
    lines = processed("class", "A model.", "", "Args:", "    channels: D. (default: 64)")
    assert lines[-2].startswith(":param channels:")
    assert lines[-1].strip() == r"\D. (default: 64)"
