"""Formulas: those of every docstring and page are translated, unknown commands are errors."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("latex2mathml")

ROOT = Path(__file__).parents[2]
translate = runpy.run_path(str(ROOT / "docs" / "mathml.py"))["translate"]
MATHML = "{http://www.w3.org/1998/Math/MathML}"


def formulas() -> list[str]:
    """Every formula in a line of a docstring, and all of the page that explains them."""
    found = set()
    for path in (ROOT / "mdsrec_pyg").rglob("*.py"):
        found |= set(re.findall(r":math:`([^`]+)`", path.read_text(encoding="utf-8")))
    text = (ROOT / "docs" / "how_it_works.md").read_text(encoding="utf-8")
    found |= set(re.findall(r"\$\$\n(.*?)\$\$", text, re.DOTALL))
    found |= set(re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", text))
    return sorted(found)


def test_every_formula_is_mathml() -> None:
    found = formulas()
    assert len(found) > 100
    for source in found:
        formula = ElementTree.fromstring(translate(source, "inline"))
        assert formula.tag == f"{MATHML}math", source
        assert "\\" not in "".join(formula.itertext()), source


def test_an_unknown_command_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"unknown command \\frobnicate"):
        translate(r"x + \frobnicate y", "inline")


def test_signs_and_names_of_functions_stand_right() -> None:
    prefix = '<mo form="prefix">&#x02212;</mo>'
    assert translate("a = -b", "block").count(prefix) == 1
    assert prefix not in translate("a - b", "block")
    thin = '<mspace width="0.167em"/>'
    assert translate(r"2 \tanh x", "inline").count(thin) == 2
    assert thin not in translate(r"\log_2(r)", "inline")
    assert thin not in translate(r"\exp(x)", "inline")


def test_bars_and_maxima_stand_close() -> None:
    close = '<mo lspace="0" rspace="0" stretchy="false">&#x0007C;</mo>'
    assert translate("|Q| + 1", "inline").count(close) == 2
    assert '<mo rspace="0">max</mo>' in translate(r"\max(a, b)", "inline")
    assert "<mo>max</mo>" in translate(r"\max_j a_j", "inline")
    assert "&#x0223C;" in translate(r"x \sim y", "inline")


def test_block_and_line_differ() -> None:
    assert 'display="block"' in translate("x", "block")
    assert 'display="inline"' in translate("x", "inline")
