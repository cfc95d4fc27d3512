"""Code of the documentation runs: Python as it stands, commands as far as their options exist."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from mdsrec_pyg.cli.main import COMMANDS, load_command

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.name not in ("attacks_table.md", "layers_table.md")
)
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", flags=re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    code: str
    line: int


def blocks(page: str, *languages: str) -> list[Block]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        Block(found["language"], found["code"], text.count("\n", 0, found.start("code")) + 1)
        for found in BLOCK.finditer(text)
        if found["language"] in languages
    ]


def commands(page: str) -> Iterator[list[str]]:
    """The words of each command line, a backslash at its end joined with the next."""
    for block in blocks(page, "bash"):
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
        code = "\n" * (block.line - 1) + block.code  # a traceback names the line of the page
        exec(compile(code, str(DOCS / page), "exec"), vars(module))


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
    name, *rest = words
    assert name in COMMANDS, words
    module = load_command(name)
    if "--config" in rest:  # a file that is not there
        place = rest.index("--config")
        rest = rest[:place] + rest[place + 2 :]
    if "--print-config" in rest:
        with pytest.raises(SystemExit, match=r"^0$"):
            module.parse(rest)
    else:
        module.parse(rest)


def test_every_command_is_described() -> None:
    text = (DOCS / "guides" / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `mdsrec (\w+)` \| (.*) \|$", text, re.MULTILINE)
    assert dict(rows) == COMMANDS


def check_script(words: list[str]) -> None:
    """The script exists, and its source names the options."""
    script = ROOT / words[0]
    if words[0] == "-m":  # a package, or a module of one
        place = ROOT.joinpath(*words[1].split("."))
        script = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
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
