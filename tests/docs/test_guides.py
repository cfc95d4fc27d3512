"""Code of the documentation runs: Python as it stands, commands as far as their options exist.

A block under ``<!-- needs: NAME -->`` waits for a part of the library that is not there yet. It is
skipped, and the test fails once the part is there: then the mark has to go.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import mdsrec_pyg.training
from mdsrec_pyg import MDSRec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.name != "layers_table.md"
)
BLOCK = re.compile(
    r"(?:^<!-- needs: (?P<needs>\w+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    code: str
    line: int
    needs: str | None


def exists(part: str) -> bool:
    """Whether a part of the library that pages may wait for is there."""
    found = {
        "cli": importlib.util.find_spec("mdsrec_pyg.cli") is not None,
        "save": hasattr(MDSRec, "save"),
        "train": hasattr(mdsrec_pyg.training, "Callback"),
        "conv": (DOCS / "layers_table.md").exists(),
        "testing": importlib.util.find_spec("mdsrec_pyg.testing") is not None,
    }
    return found[part]


def blocks(page: str, *languages: str) -> list[Block]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            found["code"],
            text.count("\n", 0, found.start("code")) + 1,
            found["needs"],
        )
        for found in BLOCK.finditer(text)
        if found["language"] in languages
    ]


def commands(page: str) -> Iterator[list[str]]:
    """The words of each command line, a backslash at its end joined with the next."""
    for block in blocks(page, "bash"):
        if block.needs is None:
            for line in block.code.replace("\\\n", " ").splitlines():
                if line and not line.startswith("#"):
                    yield shlex.split(line, comments=True)


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
WITH_COMMANDS = [page for page in PAGES if blocks(page, "bash")]


@pytest.mark.parametrize("page", WITH_PYTHON)
@pytest.mark.filterwarnings("ignore:.*users with fewer than:UserWarning")
def test_python_runs_in_the_order_of_the_page(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")  # PyG looks up the module of a layer
    monkeypatch.setitem(sys.modules, "page", module)
    for block in blocks(page, "python"):
        if block.needs is None:
            code = "\n" * (block.line - 1) + block.code  # a traceback names the line of the page
            exec(compile(code, str(DOCS / page), "exec"), vars(module))


@pytest.mark.parametrize("page", PAGES)
def test_no_block_waits_for_what_is_there(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    marks = re.findall(r"<!-- needs: (\w+) -->", text)
    assert [part for part in marks if exists(part)] == [], "remove the mark: the block can run"
    assert len(marks) == sum(block.needs is not None for block in blocks(page, "python", "bash"))


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands_exist_with_their_options(page: str) -> None:
    for words in commands(page):
        program, *rest = words
        if program == "mdsrec":
            check_mdsrec(rest)
        elif program == "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {word for word in rest if word.islower()} <= set(targets), words
        elif program == "python":
            check_script(rest)
        elif program == "pip":
            check_extras(rest)
        else:
            assert program in ("apt-get", "cd", "git"), f"{page}: {words}"


def check_mdsrec(words: list[str]) -> None:
    """The command exists, and its parser knows the options."""
    cli = importlib.import_module("mdsrec_pyg.cli.main")
    name, *rest = words
    assert name in cli.COMMANDS, words
    module = cli.load_command(name)
    sources = getattr(module, "SOURCES", None)
    parser = module.make_parser(rest[0]) if sources is not None else module.make_parser()
    known = {option for action in parser._actions for option in action.option_strings}
    given = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert given <= known, f"{words}: no {sorted(given - known)}"


def check_script(words: list[str]) -> None:
    """The script exists, and its source names the options."""
    script = ROOT / words[0]
    source = script.read_text(encoding="utf-8")
    for option in re.findall(r"(?<= )--[a-z][a-z0-9-]*", " ".join(words)):
        assert f'"{option}"' in source, f"{script.name} has no {option}"


def check_extras(words: list[str]) -> None:
    """Extras that are installed are those of the package."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    known = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    for extras in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= known, words


def test_every_guide_is_read() -> None:
    guides = {path.stem for path in (DOCS / "guides").glob("*.md")}
    listed = set(re.findall(r"^guides/(\w+)$", (DOCS / "index.md").read_text(), re.MULTILINE))
    assert guides == listed
    assert len(WITH_PYTHON) >= 8
