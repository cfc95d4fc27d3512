"""scripts/setup.sh in parts: a first result waits for nothing that it does not need."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from .setup_sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def test_training_installs_neither_tools_nor_compiled_extras(sandbox: Sandbox) -> None:
    run = sandbox.run("base")
    assert run.returncode == 0, run.stderr
    assert sandbox.called("-e .[plot]")
    assert not sandbox.called(".[dev]")
    assert not sandbox.called("torch_sparse")
    assert not sandbox.called("pip wheel")
    sandbox.run("base")
    assert not sandbox.called("pip install")


def test_what_training_left_out_is_added_without_doing_anything_twice(sandbox: Sandbox) -> None:
    sandbox.run("base")
    sandbox.run("dev")
    assert sandbox.called("-e .[dev]")
    assert not sandbox.called("pip>=24")
    assert not sandbox.called("pip wheel")
    sandbox.run("dev")
    assert not sandbox.called("pip install")
    sandbox.run()
    assert sandbox.called("pip wheel")
    assert not sandbox.called(".[dev]")


def test_training_after_the_whole_set_up_installs_nothing(sandbox: Sandbox) -> None:
    sandbox.run(MDSREC_SKIP_SPARSE="1")
    sandbox.run("base")
    assert not sandbox.called("pip install")
    sandbox.run("dev")
    assert not sandbox.called("pip install")


def test_compiled_extras_need_no_tools(sandbox: Sandbox) -> None:
    sandbox.run("sparse")
    assert sandbox.called("pip wheel")
    assert not sandbox.called(".[dev]")


def test_after_training_it_says_what_is_missing(sandbox: Sandbox) -> None:
    sandbox.run("base")
    run = sandbox.run("missing")
    assert run.returncode == 0
    assert "torch-scatter and torch-sparse are not installed" in run.stdout
    assert "make sparse" in run.stdout
    assert not sandbox.called("pip")
    assert sandbox.run("missing", MDSREC_SKIP_SPARSE="1").stdout == ""
    assert sandbox.run("missing", HAS_SPARSE="1").stdout == ""


def test_an_unknown_part_is_named(sandbox: Sandbox) -> None:
    run = sandbox.run("sparce")
    assert run.returncode == 1
    assert "a part must be base, dev, sparse or missing, got 'sparce'" in run.stderr


def test_training_does_not_wait_for_a_build_elsewhere(sandbox: Sandbox) -> None:
    with sandbox.building():
        assert "waiting" not in sandbox.run("dev").stdout
        other = subprocess.Popen(
            ["bash", "scripts/setup.sh", "sparse"],
            cwd=sandbox.folder,
            env=sandbox.environment(BUILD=f"touch '{sandbox.folder}/second'"),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert "waiting for another set-up" in other.stdout.readline()
        assert not (sandbox.folder / "second").exists()
    other.communicate(timeout=60)
    assert (sandbox.folder / "second").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_and_is_not_a_failed_one(
    sandbox: Sandbox, number: signal.Signals
) -> None:
    with sandbox.building() as build:
        os.killpg(build.pid, number)
        assert build.wait(timeout=60) == 128 + number
    assert list((sandbox.folder / "cache").rglob(".build*")) == []
    sandbox.run()
    assert sandbox.called("pip wheel")
