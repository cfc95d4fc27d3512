"""One line and a status, whatever happens; nothing that was read acts on the terminal."""

from __future__ import annotations

import io
import sys
import warnings

import pytest
import torch

from mdsrec_pyg.cli.ending import run_script


def raising(error: BaseException) -> object:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("'k' must\n  be 1 (got \x1b[2J)"), 1, r"error: 'k' must be 1 (got \x1b[2J)"),
        (OSError(28, "No space left on device", "a\nb"), 1, "error: [Errno 28] No space left"),
        (ImportError("x needs y: pip install y"), 1, "error: x needs y"),
        (MemoryError(), 1, "error: out of memory: the machine has no more"),
        (torch.OutOfMemoryError("CUDA out of memory."), 1, "error: out of memory: CUDA"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you"),
            1,
            "error: out of memory",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit("error: no trials"), 1, "error: no trials"),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_one_line_and_a_status(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(raising(error)) == code  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == bool(line)


def test_errors_of_our_own_are_not_hidden() -> None:
    for error in (KeyError("x"), RuntimeError("shapes"), AssertionError()):
        with pytest.raises(type(error)):
            run_script(raising(error))  # type: ignore[arg-type]


def test_debug_shows_where(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDSREC_DEBUG", "1")
    assert run_script(raising(ValueError("x"))) == 1  # type: ignore[arg-type]
    assert "Traceback" in capsys.readouterr().err


def test_output_is_text_and_warnings_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    before = (sys.stdout, warnings.formatwarning)

    def main() -> int:
        print("title\x1b]0;x\x07\u202e\ttab 東京")
        line = warnings.formatwarning(UserWarning("two\nlines\x1b[1m"), UserWarning, "f.py", 1)
        sys.stderr.write(line)
        return 4

    assert run_script(main) == 4
    done = capsys.readouterr()
    assert done.out == "title\\x1b]0;x\\x07\\u202e\ttab 東京\n"
    assert done.err == "warning: two lines\\x1b[1m\n"
    assert (sys.stdout, warnings.formatwarning) == before


def test_a_terminal_without_the_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    assert run_script(lambda: print("é 東")) == 0
    stream.seek(0)
    assert stream.read() == "é \\u6771\n"
