from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAME = "THP_MEM_ALLOC_ENABLE"


def after(code: str, before: str | None = None) -> str:
    """The environment variable after some code in a process of its own, as printed."""
    environment = {key: value for key, value in os.environ.items() if key != NAME}
    if before is not None:
        environment[NAME] = before
    code = f"import os, mdsrec_pyg.memory; {code}; print(os.environ.get({NAME!r}))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_the_import_changes_nothing() -> None:
    assert after("import mdsrec_pyg") == "None"


@pytest.mark.parametrize(("before", "value"), [(None, "1"), ("0", "0")])
def test_huge_pages_unless_the_user_says_no(before: str | None, value: str) -> None:
    assert after("mdsrec_pyg.memory.use_huge_pages()", before) == value
