"""Every script ends with one line and a status, whatever it is given; no traceback is shown."""

from __future__ import annotations

import argparse
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    path.relative_to(ROOT).as_posix(): path
    for folder in ("examples", "benchmarks", "scripts")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
}
#: Takes no options: what it checks is installed.
WITHOUT_OPTIONS = {"scripts/check_sparse.py", "scripts/wheel_smoke.py"}

Ended = tuple[object, str]
End = Callable[..., Ended]


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> End:
    """Runs a script in an empty folder: its status and what it said on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")

    def run(name: str, *words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(SCRIPTS[name]), run_name="__main__")
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return stop.value.code, said

    return run


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - {"scripts/check_sparse.py"}))
def test_every_script_ends_in_one_way(name: str) -> None:
    text = SCRIPTS[name].read_text(encoding="utf-8")
    assert text.rstrip().splitlines()[-1].lstrip().startswith("sys.exit(run_script(main))")


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - WITHOUT_OPTIONS))
def test_an_unknown_option_an_interruption_and_a_missing_package(
    end: End, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = end(name, "--no-such-option")
    assert code == 2
    assert re.search("no-such-option|required", said.splitlines()[-1])

    for error, status, line in (
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ImportError("it needs x: pip install x"), 1, "error: it needs x: pip install x\n"),
        (PermissionError(13, "Permission denied", "f\x1b[2J"), 1, "error: [Errno 13] Permission"),
    ):

        def stop(*args: object, error: BaseException = error, **more: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, "parse_args", stop)
            code, said = end(name)
        assert code == status
        assert said.startswith(line)
        assert said.count("\n") == 1
        assert "\x1b" not in said


NOWHERE = "error: .*nowhere"
MISUSE: dict[str, list[tuple[str, int, str]]] = {
    "examples/add_modality.py": [
        ("--items 0", 1, "error: 'num_interests' must"),
        ("--channels 0", 1, "error: 'channels' must be at least 1"),
        ("--users many", 2, "invalid int value: 'many'"),
    ],
    "examples/encode_features.py": [
        ("nowhere --text m", 1, NOWHERE),
        (".", 2, "nothing to do"),
        ("file --text m", 1, "error: .*file"),
    ],
    "examples/inspect_data.py": [
        ("nowhere", 1, NOWHERE),
        ("file", 1, "error: .*file"),
        ("--cutoff 0", 1, "error: 'k' must be at least 1"),
        ("--split last", 2, "invalid choice: 'last'"),
    ],
    "examples/prepare_data.py": [
        ("movielens nowhere --out o", 1, NOWHERE),
        ("movielens . --out o --set k_core", 1, "error: --set must give k_core a value"),
        ("amazn", 2, "invalid choice: 'amazn'"),
    ],
    "examples/quickstart.py": [
        ("--users 0", 1, "error: 'num_users' and 'channels' must be positive"),
        ("--lr x", 2, "invalid float value: 'x'"),
    ],
    "examples/recommend.py": [
        ("nowhere --user a", 1, NOWHERE),
        ("file --user a", 1, "error: .*file holds no run"),
        ("nowhere", 2, "one of the arguments --user --history .*is required"),
    ],
    "examples/swap_gnn_layer.py": [
        ("--users 0", 1, "error: 'num_users' and 'channels' must be positive"),
        ("--users 50 --items 93 --channels 0", 1, "error: 'channels' must be at least 1"),
    ],
    "examples/train_mdsrec.py": [
        ("--data nowhere", 1, NOWHERE),
        ("--data file", 1, "error: .*file"),
        ("--threads 0", 1, "error: --threads must be at least 1"),
        ("--memory-limit -1", 1, "error: 'memory_limit' must not be negative"),
        ("--resume", 1, "error: --resume needs a run in runs/synthetic-best-seed0"),
        ("--data . --directory file", 1, "error: "),
    ],
    "benchmarks/accuracy.py": [
        ("nowhere", 1, NOWHERE),
        ("file", 1, "error: .*file"),
        (". --threads 0", 2, "expected a whole number from 1"),
        (". --models Best", 2, "invalid choice: 'Best'"),
        ("nowhere --rows file", 1, NOWHERE),
    ],
    "benchmarks/accuracy_table.py": [
        ("--rows nowhere", 1, "error: no rows of the split leave_last_out in nowhere"),
        ("--rows file", 1, "error: file, line 1: expected a JSON object"),
        ("--rows .", 1, "error: "),
    ],
    "benchmarks/ceiling.py": [
        ("--users 0", 2, "from 1"),
        ("--seeds x", 2, "'x'"),
        ("--drift 2", 1, "error: 'drift' must lie in 0..1"),
    ],
    "benchmarks/compare.py": [
        ("nowhere", 1, NOWHERE),
        (". --metric best", 1, "error: .*metric"),
        (". --epochs 0", 2, "expected a whole number from 1"),
    ],
    "benchmarks/datasets.py": [("--rows 0", 2, "from 1"), ("--formats xml", 2, "'xml'")],
    "benchmarks/epoch.py": [("nowhere", 1, NOWHERE), (". --repeats 0", 2, "from 1")],
    "benchmarks/evaluation.py": [
        ("nowhere --peers none", 1, NOWHERE),
        (". --device gpu", 2, "--device must be one that torch has here"),
    ],
    "benchmarks/figures.py": [
        ("--out o.json nowhere", 1, NOWHERE),
        ("--compare nowhere nowhere", 1, NOWHERE),
        ("--compare file file", 1, "error: file must be a file that benchmarks.figures wrote"),
        ("--compare list file", 1, "error: list must be a file that benchmarks.figures wrote"),
    ],
    "benchmarks/gpu_check.py": [
        ("--device gpu", 2, "--device must be one that torch has here"),
        ("--parts all", 2, "invalid choice: 'all'"),
    ],
    "benchmarks/one_user.py": [
        ("nowhere --peers none", 1, NOWHERE),
        (". --calls 0", 2, "from 1"),
        (". --ours Best", 2, "invalid choice: 'Best'"),
    ],
    "benchmarks/gpu_parts.py": [("tests", 2, "--rows"), ("all --rows r", 2, "'all'")],
    "benchmarks/item_graph.py": [("--num-items 0", 2, "from 1"), ("--targets x", 2, "'x'")],
    "benchmarks/kernel_tilings.py": [("--channels 0", 2, "from 1"), ("--dtype int", 2, "'int'")],
    "benchmarks/loss.py": [("--num-items -1", 2, "from 1"), ("--device gpu", 2, "--device must")],
    "benchmarks/propagation.py": [("--channels 0", 2, "from 1"), ("--dtype int", 2, "'int'")],
    "benchmarks/propagation_plot.py": [
        ("nowhere", 1, NOWHERE),
        ("file", 1, "error: file must be a result of benchmarks.propagation"),
        ("list", 1, "error: list must be a result of benchmarks.propagation"),
    ],
    "benchmarks/recommend.py": [("--sizes 0", 2, "from 1"), ("--models x", 2, "'x'")],
    "benchmarks/ridge_quality.py": [("nowhere", 1, NOWHERE), (". --candidates 0", 2, "from 1")],
    "benchmarks/short.py": [("nothing --folder f", 1, "error: no benchmark .*nothing")],
    "benchmarks/step.py": [("nowhere --device cpu", 1, NOWHERE), (". --steps x", 2, "'x'")],
    "benchmarks/training.py": [
        ("nowhere --peers none", 1, NOWHERE),
        (". --batch-size 0", 2, "from 1"),
    ],
    "benchmarks/export.py": [
        ("nowhere", 1, NOWHERE),
        ("-k 0", 2, "from 1"),
        ("--models Best", 2, "invalid choice: 'Best'"),
    ],
    "benchmarks/new_items.py": [
        ("nowhere", 1, NOWHERE),
        (". --epochs 0", 2, "from 1"),
        (". --parts all", 2, "invalid choice: 'all'"),
    ],
    "benchmarks/serving.py": [("--sizes 0", 2, "from 1"), ("--model Best", 2, "'Best'")],
    "examples/serve_and_query.py": [
        ("--directory nowhere", 1, NOWHERE),
        ("--users many", 2, "invalid int value: 'many'"),
    ],
    "scripts/check_wheel.py": [("--keep", 2, "expected one argument")],
}


def test_every_script_is_misused() -> None:
    assert set(MISUSE) == set(SCRIPTS) - WITHOUT_OPTIONS


@pytest.mark.parametrize(
    ("name", "words", "status", "line"),
    [(name, *case) for name, cases in MISUSE.items() for case in cases],
)
def test_misuse(end: End, tmp_path: Path, name: str, words: str, status: int, line: str) -> None:
    (tmp_path / "file").write_bytes(b"\x00\xff no JSON\n")
    (tmp_path / "list").write_text("[1]")
    code, said = end(name, *words.split())
    assert code == status
    last = said.splitlines()[-1]
    assert re.search(line, last), said
    errors = [part for part in said.splitlines() if part.startswith("error: ")]
    assert len(errors) == (status == 1)
