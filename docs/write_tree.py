"""Writes the annotated tree of the package, and which folder may import which, into tree.md.

    python docs/write_tree.py

A file's line is the first line of its docstring; the rule of imports is that of the test that keeps
it, ``tests/test_layout.py``.
"""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mdsrec_pyg"
PAGE = ROOT / "docs" / "tree.md"


def layout() -> dict[str, Any]:
    """The rule: ``FLOORS`` from the ground up, ``APART``, ``GROUND``."""
    return runpy.run_path(str(ROOT / "tests" / "test_layout.py"))


def first_line(path: Path) -> str:
    """What a module says it is for, as Markdown.

    Raises:
        ValueError: It says nothing.
    """
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise ValueError(f"{path.relative_to(ROOT)} has no docstring, whose first line stands here")
    line = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text.splitlines()[0]).replace("``", "`")
    return line.replace("|", "\\|")


def folders() -> list[Path]:
    """The folders with code, each floor before those above it."""
    floors = layout()["FLOORS"]
    found = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}

    def place(folder: Path) -> tuple[int, str]:
        parts = folder.relative_to(PACKAGE).parts
        return floors.index(parts[0]), "/".join(parts)

    return sorted(found, key=place)


def tree() -> str:
    """A table a folder, a line a file."""
    lines = []
    for folder in [PACKAGE, *folders()]:
        name = folder.relative_to(ROOT).as_posix()
        lines += [f"### {name}/", "", first_line(folder / "__init__.py"), ""]
        files = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        lines += ["| file | what it is for |", "|---|---|"]
        lines += [f"| `{path.name}` | {first_line(path)} |" for path in files]
        lines += [""]
    return "\n".join(lines)


def imports() -> str:
    """Which folder may import which."""
    rule = layout()
    lines = ["| folder | may import |", "|---|---|"]
    below: list[str] = []
    for floor in rule["FLOORS"]:
        allowed = [f"`{name}`" for name in below if (floor, name) not in rule["APART"]]
        lines.append(f"| `{floor}` | {', '.join(allowed) or 'nothing'} |")
        below.append(floor)
    ground = ", ".join(f"`{name}.py`" for name in sorted(rule["GROUND"]))
    return "\n".join([*lines, "", f"The ground is {ground} at the root."])


def page() -> str:
    """The page with both parts made anew between their markers."""
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (("tree", tree()), ("imports", imports())):
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{content.strip()}\n\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
