"""The README's Python runs, its links lead somewhere, its commands exist."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import Recommender
from tests.docs.test_guides import check_mdsrec

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_python_blocks_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
        if "trained" not in names:
            names["trained"] = names["model"]
    output = capsys.readouterr().out
    assert "500 queries over 500 items" in output
    loaded = Recommender.load(tmp_path / "model")
    batch = SequenceBatch.from_histories([[3, 141, 59]], loaded.max_length)
    assert torch.equal(loaded.score(batch), names["trained"].score(batch))
    recommended = [line for line in output.splitlines() if " Ada " in line]
    assert len(recommended) == 5
    assert not any(re.search(r"Ada +\d+ +item-(3|141|59) ", line) for line in recommended)


def test_links_and_pictures_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if not link.startswith("https://")]
    assert "docs/architecture.svg" in local
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_the_drawing_is_drawn_by_its_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(sys, "argv", ["draw_architecture.py", "--folder", str(tmp_path)])
    runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"), run_name="__main__")
    drawn = (tmp_path / "architecture.svg").read_text()
    assert "<svg" in drawn
    assert drawn.count("<path") > 100
    assert (tmp_path / "architecture.png").stat().st_size > 50_000


def test_example_commands_name_options_that_exist() -> None:
    commands = re.findall(r"python (examples/\w+\.py)([^`\n]*)", README)
    assert commands
    for script, arguments in commands:
        source = (ROOT / script).read_text()
        for option in re.findall(r"(?<= )--[a-z][a-z0-9-]*", arguments):
            assert f'"{option}"' in source, f"{script} has no {option}"


def test_commands_exist_with_their_options() -> None:
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    called = [rest for program, *rest in filter(None, words) if program == "mdsrec"]
    assert {name for name, *_ in called} >= {"prepare", "train", "recommend", "doctor"}
    for rest in called:
        check_mdsrec(rest)


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 220


def test_results_stand_between_their_markers() -> None:
    begin, end = README.index("<!-- results:begin -->"), README.index("<!-- results:end -->")
    assert README.index("## Results") < begin < end
