"""What Napoleon and docutils misread in docstrings, put right around them.

- The first line of a property is a sentence; Napoleon takes what stands before a colon for a type.
- ``num_items: N.`` says what a letter stands for; docutils starts a list at ``N.``.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

PLACEHOLDER = "The first line comes back"
_LETTER = re.compile(r"^(\s*:param [^:]+: |\s*)(?=[A-Z]\.(?: |$))")


def hide(app: Sphinx, what: str, name: str, value: object, options: Any, lines: list[str]) -> None:
    """Before Napoleon: takes the first line of a property away."""
    if what in ("attribute", "data", "property") and lines and ":" in lines[0]:
        app.env.temp_data[PLACEHOLDER] = lines[0]
        lines[0] = PLACEHOLDER


def restore(
    app: Sphinx, what: str, name: str, value: object, options: Any, lines: list[str]
) -> None:
    """After Napoleon: puts it back, and a backslash before single letters."""
    for row, line in enumerate(lines):
        if line == PLACEHOLDER:
            lines[row] = app.env.temp_data.pop(PLACEHOLDER)
        else:
            lines[row] = _LETTER.sub(r"\1\\", line)


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers both around Napoleon's 500."""
    app.connect("autodoc-process-docstring", hide, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
