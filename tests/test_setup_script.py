"""scripts/setup.sh, with a Python whose pip only takes notes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from .setup_sandbox import READ, Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def test_second_run_installs_nothing(sandbox: Sandbox) -> None:
    first = sandbox.run(MDSREC_SKIP_SPARSE="1")
    assert first.returncode == 0, first.stderr
    assert sandbox.called("--no-build-isolation -e .[dev]")
    second = sandbox.run(MDSREC_SKIP_SPARSE="1")
    assert second.returncode == 0, second.stderr
    assert not sandbox.called("pip install")


@pytest.mark.parametrize("changed", READ)
def test_changed_files_are_noticed(sandbox: Sandbox, changed: str) -> None:
    sandbox.run(MDSREC_SKIP_SPARSE="1")
    with (sandbox.folder / changed).open("a") as file:
        file.write("\n# changed\n")
    sandbox.run(MDSREC_SKIP_SPARSE="1")
    assert sandbox.called("-e .[dev]")


def test_extras_are_attempted_unless_skipped(sandbox: Sandbox) -> None:
    sandbox.run(MDSREC_SKIP_SPARSE="1")
    assert not sandbox.called("pip wheel")
    sandbox.run()
    assert sandbox.called("pip wheel")


def test_extras_build_in_parallel_which_ninja_would_break(sandbox: Sandbox) -> None:
    sandbox.run()
    assert re.search(r"\[build_ext\]\nparallel=[1-9]", sandbox.calls.read_text())
    assert sandbox.called("ninja is hidden")


def test_cuda_kernels_are_asked_for_and_kept_apart(sandbox: Sandbox) -> None:
    sandbox.run()
    assert sandbox.called("FORCE_ONLY_CPU=1")
    assert not sandbox.called("-cuda/torch_sparse")
    sandbox.run(FORCE_ONLY_CPU="0")
    assert sandbox.called("FORCE_ONLY_CPU=0")
    assert sandbox.called("-cuda/torch_sparse")


def test_without_a_compiler_it_warns_and_goes_on(sandbox: Sandbox) -> None:
    run = sandbox.run(CXX="false")
    assert run.returncode == 0
    assert "warning: going on without torch-scatter and torch-sparse: no working C++" in run.stderr
    assert not sandbox.called("pip wheel")
    sandbox.run()  # with a compiler
    assert sandbox.called("pip wheel")


def test_a_failed_build_is_not_tried_again_until_required(sandbox: Sandbox) -> None:
    run = sandbox.run()
    assert run.returncode == 0
    assert "warning: going on without torch-scatter and torch-sparse: they failed" in run.stderr
    assert sandbox.called("pip wheel")
    sandbox.run()
    assert not sandbox.called("pip wheel")
    assert sandbox.run(MDSREC_REQUIRE_SPARSE="1").returncode == 1
    assert sandbox.called("pip wheel")


@pytest.mark.parametrize(
    "settings", [{"CI": "true"}, {"CI": "1"}, {"CI": "woodpecker"}, {"MDSREC_REQUIRE_SPARSE": "1"}]
)
@pytest.mark.parametrize("compiler", ["true", "false"])
def test_missing_extras_fail_where_required(
    sandbox: Sandbox, settings: dict[str, str], compiler: str
) -> None:
    run = sandbox.run(CXX=compiler, **settings)
    assert run.returncode == 1
    assert "error: torch-scatter and torch-sparse are required" in run.stderr


@pytest.mark.parametrize(
    "settings",
    [
        *({"CI": value} for value in ("", "0", "false", "False")),
        {"CI": "1", "MDSREC_REQUIRE_SPARSE": "0"},
    ],
)
def test_missing_extras_do_not_fail_elsewhere(sandbox: Sandbox, settings: dict[str, str]) -> None:
    run = sandbox.run(CXX="false", **settings)
    assert run.returncode == 0
    assert "warning: going on without torch-scatter and torch-sparse" in run.stderr


needs_no_gpu = pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="the machine has a GPU")


def test_a_torch_in_range_is_kept(sandbox: Sandbox) -> None:
    sandbox.run(MDSREC_SKIP_SPARSE="1")
    assert not sandbox.called("torch==")
    assert not sandbox.called("index")


@needs_no_gpu
@pytest.mark.parametrize(
    ("settings", "called"),
    [
        ({"FINDS_CPU": "1", "CPU_INDEX": "1"}, ["torch==2.13.0+cpu"]),
        ({"CPU_INDEX": "1"}, ["--index-url https://download.pytorch.org/whl/cpu torch==2.13.0"]),
        ({}, ["/whl/cpu torch==2.13.0", "pip install torch==2.13.0"]),
    ],
    ids=["pip finds a CPU build", "PyTorch's CPU index", "neither"],
)
def test_without_a_gpu_the_cpu_build_comes_first(
    sandbox: Sandbox, settings: dict[str, str], called: list[str]
) -> None:
    run = sandbox.run(NO_TORCH="1", MDSREC_SKIP_SPARSE="1", **settings)
    assert run.returncode == 0, run.stderr
    calls = [line for line in sandbox.calls.read_text().splitlines() if "torch==" in line]
    assert len(calls) == len(called)
    assert all(words in line for words, line in zip(called, calls, strict=True))
    assert ("taking the default build" in run.stdout) == (not settings)


def test_with_a_gpu_the_default_build_is_taken(sandbox: Sandbox) -> None:
    smi = sandbox.folder / "programs" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\n")
    smi.chmod(0o755)
    path = f"{smi.parent}:{os.environ['PATH']}"
    sandbox.run(NO_TORCH="1", FINDS_CPU="1", PATH=path, MDSREC_SKIP_SPARSE="1")
    assert sandbox.called("pip install torch>=2.11,<2.14")
    assert not sandbox.called("2.13.0")


def test_venv_names_the_environment(sandbox: Sandbox) -> None:
    sandbox.make_environment("other")
    assert "other/bin/python" in sandbox.run(VENV="other", MDSREC_SKIP_SPARSE="1").stdout
    assert (sandbox.folder / "other" / ".mdsrec-setup").exists()
    assert not (sandbox.folder / ".venv" / ".mdsrec-setup").exists()


def test_a_folder_that_is_no_environment_is_left_alone(sandbox: Sandbox) -> None:
    (sandbox.folder / "mine").mkdir()
    (sandbox.folder / "mine" / "thesis.tex").write_text("precious")
    run = sandbox.run(VENV="mine")
    assert run.returncode == 1
    assert "VENV must be a virtual environment or not exist yet, got 'mine'" in run.stderr
    assert (sandbox.folder / "mine" / "thesis.tex").read_text() == "precious"


def test_unfit_python_is_named(sandbox: Sandbox) -> None:
    run = sandbox.run(PYTHON="false", VENV="new")
    assert run.returncode == 1
    assert "error: PYTHON must be a Python 3.10 to 3.13, got 'false'" in run.stderr
    assert not (sandbox.folder / "new").exists()


def test_python_must_be_the_environments(sandbox: Sandbox, tmp_path: Path) -> None:
    other = tmp_path / "python-other"
    other.write_text('#!/bin/sh\ncase "$*" in *platform*) echo 3.99.0 ;; esac\n')
    other.chmod(0o755)
    run = sandbox.run(PYTHON=str(other))
    assert run.returncode == 1
    assert f"not PYTHON={other}; remove it or choose another VENV" in run.stderr
