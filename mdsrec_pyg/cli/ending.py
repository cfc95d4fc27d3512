"""How a command or a script ends: with one line and a status, never with a traceback.

Imports neither torch nor anything else that takes time, as ``mdsrec --help`` passes here.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from mdsrec_pyg.memory import is_out_of_memory
from mdsrec_pyg.showing import showable

__all__ = ["CLOSED", "FINE", "INTERRUPTED", "MISTAKE", "USAGE", "run_script"]

FINE, MISTAKE, USAGE, INTERRUPTED, CLOSED = 0, 1, 2, 130, 141

#: What the library and its readers raise for a mistake in data, options or machine.
MISTAKES = (
    *(ValueError, ImportError, OSError, FloatingPointError, MemoryError),
    subprocess.SubprocessError,
)


class ShownStream:
    """Standard output on which nothing that was read from data acts as a command.

    Ends of lines and tabs pass, everything else as :func:`~mdsrec_pyg.showing.showable` writes it.

    Args:
        stream: Where it goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Writes the text; a letter that the stream has no code for is written out."""
        shown = showable(text, keep="\n\t")
        if not shown.isascii():
            shown = shown.encode(self._encoding, "backslashreplace").decode(self._encoding)
        self._stream.write(shown)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes one text after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run_script(main: Callable[[], int | None], *, debug: bool | None = None) -> int:
    """Runs a program for people: results on standard output, one line on standard error if it ends.

    Example:
        >>> if __name__ == "__main__":
        ...     sys.exit(run_script(main))

    Args:
        main: The program; ``None`` stands for 0.
        debug: Shows where an error came from, too. Default: if ``MDSREC_DEBUG`` is set.

    Returns:
        The status: that of ``main``; 1 after a mistake in data, options or machine; 130 interrupted
        by Ctrl-C; 141 where the reader of the output has gone. Errors of another kind are ours and
        pass, with their traceback.
    """
    debug = bool(os.environ.get("MDSREC_DEBUG")) if debug is None else debug
    try:
        with _for_people(debug):
            return main() or FINE
    except SystemExit as stop:  # of a parser, or with a message
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or FINE
        return _ended(f"{stop.code}".removeprefix("error: "))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except (*MISTAKES, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        if debug:
            traceback.print_exc()
        return _ended(_said(error))


def _said(error: BaseException) -> str:
    text = str(error)
    if is_out_of_memory(error):
        return f"out of memory: {text or 'the machine has no more'}"
    return text or type(error).__name__


def _ended(message: str) -> int:
    print(f"error: {showable(' '.join(message.split()))}", file=sys.stderr)
    return MISTAKE


@contextlib.contextmanager
def _for_people(debug: bool) -> Iterator[None]:
    """Standard output shows text of others as text; a warning is one line."""
    standard = warnings.formatwarning
    shown: Any = ShownStream(sys.stdout)
    if not debug:
        warnings.formatwarning = _one_line
    try:
        with contextlib.redirect_stdout(shown), warnings.catch_warnings():
            yield
            sys.stdout.flush()
    finally:
        warnings.formatwarning = standard


def _one_line(message: Warning | str, *place: Any, **more: Any) -> str:
    """A warning for people who do not look into the library."""
    return f"warning: {showable(' '.join(str(message).split()))}\n"
