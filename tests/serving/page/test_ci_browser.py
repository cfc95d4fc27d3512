"""CI looks at the page where there is a browser, and says so where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def end_of_ci(folder: Path, user: int, *programs: str) -> subprocess.CompletedProcess[str]:
    """Runs what .ci/run does about the browser, with programs that only say what they are asked."""
    script = (ROOT / ".ci" / "run").read_text().partition("# The page of the service")[2]
    for name in ("make", *programs):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
    (folder / "id").write_text(f"#!/bin/sh\necho {user}\n")
    for path in folder.iterdir():
        path.chmod(0o755)
    return subprocess.run(
        ["/bin/bash", "-euc", f"#{script}"],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_page_is_tested_where_there_is_a_browser(tmp_path: Path) -> None:
    done = end_of_ci(tmp_path, 0, "chromium", "chromedriver", "apt-get")
    assert done.stdout.splitlines() == ["make browser ARGS=--require-browser"]
    assert done.stderr == ""


@pytest.mark.parametrize("programs", [(), ("chromium",), ("chromedriver",)])
def test_it_is_said_where_there_is_none(tmp_path: Path, programs: tuple[str, ...]) -> None:
    done = end_of_ci(tmp_path, 1000, "apt-get", *programs)
    assert done.stdout == ""
    assert "the page was not tested in a browser" in done.stderr


def test_one_is_installed_where_that_is_allowed(tmp_path: Path) -> None:
    done = end_of_ci(tmp_path, 0, "apt-get")
    assert done.stdout.splitlines()[0] == "apt-get update -q"
    assert done.stdout.splitlines()[1].endswith("chromium chromium-driver")
    assert "the page was not tested in a browser" in done.stderr  # this apt-get installs nothing
