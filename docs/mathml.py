"""Formulas as MathML, which browsers show by themselves: no script, nothing to download."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)

_NAME = r"<mi>(?:exp|log|ln|tanh|cos|sin)</mi>"
_THIN = '<mspace width="0.167em"/>'

#: Spaces that latex2mathml leaves wrong.
MENDS = (
    # A minus behind one of these is a sign, not a difference.
    (
        r"(<mo[^>]*>(?:&#x0003D;|&#x00028;|&#x0002C;)</mo>)<mo>&#x02212;",
        r'\1<mo form="prefix">&#x02212;',
    ),
    # A function's name keeps apart from what stands beside it without a parenthesis; the base of a
    # subscript has its subscript there.
    (rf"(?<!<msub>)(?<!<msup>)(?<!<msubsup>)({_NAME})(?=<(?!mo|/))", rf"\1{_THIN}"),
    (rf"((?:</mi>|</mn>|</msub>|</msup>|</mfrac>))(?={_NAME})", rf"\1{_THIN}"),
    # Bars and the parenthesis of a maximum stand close, a tilde is a relation.
    (r"<mo([^>]*>&#x0007C;</mo>)", r'<mo lspace="0" rspace="0"\1'),
    (r"<mo>(max|min)</mo>(?=<mo[^>]*>&#x00028;)", r'<mo rspace="0">\1</mo>'),
    (r"<mi>&#x0007E;</mi>", r'<mo lspace="0.278em" rspace="0.278em">&#x0223C;</mo>'),
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
    for pattern, replacement in MENDS:
        formula = re.sub(pattern, replacement, formula)
    return formula


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
