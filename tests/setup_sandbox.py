"""A checkout for scripts/setup.sh, with a Python whose pip only takes notes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.signals import heeds_ctrl_c

ROOT = Path(__file__).resolve().parents[1]

#: What the script reads: a change of it is a reason to set up anew.
READ = ["pyproject.toml", "setup.cfg"]
READ += ["scripts/setup.sh", "scripts/setup_sparse.sh", "scripts/check_sparse.py"]


class Sandbox:
    """A copy of what the script reads, and an environment in which nothing is really installed.

    ``python -m pip`` notes its arguments and succeeds, except that wheels never build and the
    compiled extras are never found. ``BUILD`` is a command that stands for the build of the wheels;
    ``NO_TORCH``, ``FINDS_CPU`` and ``CPU_INDEX`` say what there is of PyTorch, ``HAS_SPARSE`` that
    the extras are installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        (folder / "scripts").mkdir()
        for name in READ:
            shutil.copy(ROOT / name, folder / name)
        self.make_environment(".venv")

    def make_environment(self, name: str) -> None:
        python = self.folder / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(
            f"""#!/bin/sh
echo "$* FORCE_ONLY_CPU=$FORCE_ONLY_CPU" >> '{self.calls}'
case "$*" in
*" wheel "*)
    cat "$DIST_EXTRA_CONFIG" >> '{self.calls}'
    ninja --version || echo "ninja is hidden" >> '{self.calls}'
    eval "$BUILD"
    exit 1 ;;
*--no-index* | *check_sparse*) exit 1 ;;
*'version("torch-sparse")'*) test -n "$HAS_SPARSE"; exit ;;
*" index versions "*) if [ -n "$FINDS_CPU" ]; then echo "torch 2.14.0, 2.13.0+cpu"; fi ;;
*--index-url*) test -n "$CPU_INDEX"; exit ;;
"- torch>="*) if [ -n "$NO_TORCH" ]; then exit 1; fi ;;
esac
case "$*" in
-m*) exit 0 ;;
esac
exec '{sys.executable}' "$@"
"""
        )
        python.chmod(0o755)

    def environment(self, **settings: str) -> dict[str, str]:
        names = ["CI", "PYTHON", "VENV", "FORCE_ONLY_CPU"]
        names += ["MDSREC_SKIP_SPARSE", "MDSREC_REQUIRE_SPARSE"]
        environment = {key: value for key, value in os.environ.items() if key not in names}
        return (
            environment | {"XDG_CACHE_HOME": str(self.folder / "cache"), "CXX": "true"} | settings
        )

    def run(self, *parts: str, **settings: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        return subprocess.run(
            ["bash", "scripts/setup.sh", *parts],
            cwd=self.folder,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
        )

    @contextmanager
    def building(self) -> Iterator[subprocess.Popen[str]]:
        """A set-up that compiles until it is ended, as pip does: with an error of its own."""
        started = self.folder / "started"
        command = f"trap 'exit 1' INT TERM; touch '{started}'; sleep 60 & wait"
        build = subprocess.Popen(
            ["bash", "scripts/setup.sh"],
            cwd=self.folder,
            env=self.environment(BUILD=command),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heeds_ctrl_c,
        )
        try:
            while not started.exists():
                assert build.poll() is None
                time.sleep(0.05)
            yield build
        finally:
            with suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGKILL)
            build.communicate()

    def called(self, words: str) -> bool:
        return words in self.calls.read_text()
