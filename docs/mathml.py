"""Formulas as MathML, which browsers show by themselves: no script, nothing to download."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)

# A minus behind one of these is a sign, not a difference: no space behind it.
_SIGN = re.compile(r"(<mo[^>]*>(?:&#x0003D;|&#x00028;|&#x0002C;|\()</mo>)<mo>&#x02212;</mo>")
# A function's name and what follows it without a parenthesis stand apart. A subscript's base does
# not end there.
_FUNCTION = re.compile(
    r"(?<!<msub>)(?<!<msup>)(?<!<msubsup>)(?<!<munder>)"
    r"(<mi>(?:exp|log|ln|tanh|cos|sin|max|min)</mi>)(?=<(?!mo|/))"
)


def translate(source: str, display: str) -> str:
    """LaTeX as MathML.

    Args:
        source: The formula.
        display: ``'inline'`` or ``'block'``.

    Raises:
        ValueError: A command that latex2mathml does not know: it would be shown as it is written.
    """
    formula = convert(source, display=display)
    unknown = re.search(r"\\[A-Za-z]+", formula)
    if unknown:
        raise ValueError(f"unknown command {unknown[0]}")
    formula = _SIGN.sub(r'\1<mo form="prefix">&#x02212;</mo>', formula)
    return _FUNCTION.sub(r'\1<mspace width="0.167em"/>', formula)


def _formula(node: nodes.Element, display: str) -> str:
    source = node.astext()
    try:
        return translate(source, display)
    except Exception as error:  # the library has no common base class of its own
        LOGGER.warning("formula %r: %s", source, error, location=node)
        return ""


def visit_inline(self: Any, node: nodes.math) -> None:
    """A formula in a line."""
    self.body.append(_formula(node, "inline"))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """A formula of its own, with an anchor where it has a label."""
    ids = f' id="{node["ids"][0]}"' if node["ids"] else ""
    self.body.append(f'<div class="math-block"{ids}>{_formula(node, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
