"""The annotated tree names every file, and the rule of imports is the one that is tested."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREE = runpy.run_path(str(ROOT / "docs" / "write_tree.py"))
PAGE = (ROOT / "docs" / "tree.md").read_text(encoding="utf-8")


def test_every_file_has_its_line() -> None:
    assert TREE["page"]() == PAGE, "python docs/write_tree.py brings docs/tree.md up to date"
    for path in (ROOT / "mdsrec_pyg").rglob("*.py"):
        if path.name != "__init__.py":
            assert f"| `{path.name}` | " in PAGE


def test_a_file_without_a_docstring_is_an_error(tmp_path: Path) -> None:
    path = ROOT / "tests" / "docs" / "nothing.py"
    with pytest.raises(FileNotFoundError):
        TREE["first_line"](path)
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    TREE["first_line"].__globals__["ROOT"] = tmp_path
    with pytest.raises(ValueError, match=r"empty\.py has no docstring"):
        TREE["first_line"](empty)
    TREE["first_line"].__globals__["ROOT"] = ROOT


def test_the_table_of_imports_is_the_tested_rule() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    nn = next(row for row in rows if row.startswith("| `nn` | `"))
    assert nn == "| `nn` | `ground`, `io`, `data`, `graphs`, `export` |"
    assert any(row == "| `ground` | nothing |" for row in rows)


def test_the_files_to_read_first_exist() -> None:
    text = (ROOT / "docs" / "dive.md").read_text(encoding="utf-8")
    six = [line.split("](../")[1].split(")")[0] for line in text.splitlines() if "](../" in line]
    assert len(six) == 6
    for name in six:
        assert (ROOT / name).is_file(), name
    rest = [
        part
        for line in text.splitlines()
        if (line.startswith("| ") and "/" in line) or line.startswith("| options")
        for part in line.split("`")
        if part.endswith(".py")
    ]
    assert len(rest) > 12
    for name in rest:
        assert (ROOT / "mdsrec_pyg" / name).is_file(), name
