"""Pages that are files of the repository's root, with their links as they are seen from here."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]

#: Which file a page shows.
PAGES = {
    "benchmarks": "benchmarks/README.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
}


def show(app: Sphinx, page: str, source: list[str]) -> None:
    """Puts the file in place of the page's own text."""
    if page not in PAGES:
        return
    path = ROOT / PAGES[page]
    app.env.note_dependency(str(path))
    source[0] = from_docs(path.read_text(encoding="utf-8"), path.parent)


def from_docs(text: str, folder: Path) -> str:
    """The links of a file in a folder, as a page in ``docs`` has to write them."""
    names = {file: f"{page}.md" for page, file in PAGES.items()}

    def moved(found: re.Match[str]) -> str:
        target = os.path.relpath(folder / found[1], ROOT)
        return f"]({names.get(target, os.path.join('..', target))})"

    return re.sub(r"\]\((?!\w+:|#)([^)\s]+)\)", moved, text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the pages."""
    app.connect("source-read", show)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
