"""Large files of lines, plain or gzip, whole lines of some megabytes at a time."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

BLOCK_SIZE = 16_000_000
# The longest line of the collections that we know has some 300 kB. Python makes up to 25 bytes of
# one of JSON: 400 MB.
LONGEST_LINE = 16_000_000
ON_ERROR = ("raise", "skip")


@dataclass
class Problems:
    """What becomes of a line that cannot be used: an error, or a count.

    Args:
        on_error: ``'raise'`` or ``'skip'``.
        optional: Whether the user could ask for the other; the error then says so.
    """

    on_error: str
    optional: bool = field(default=True, kw_only=True)
    messages: list[str] = field(default_factory=list)
    skipped: int = 0

    def __post_init__(self) -> None:
        """Checks the option."""
        if self.on_error not in ON_ERROR:
            raise ValueError(f"'on_error' must be 'raise' or 'skip' (got {self.on_error!r})")

    def add(self, message: str, cause: Exception | None = None) -> None:
        """Raises an error that says so, or counts it."""
        if self.on_error == "raise":
            advice = " (on_error='skip' goes on without it)" if self.optional else ""
            raise ValueError(f"{message}{advice}") from cause
        self.skipped += 1
        if len(self.messages) < 3:
            self.messages.append(message)

    def notes(self, path: Path) -> tuple[str, ...]:
        """A sentence about what was skipped, if anything was."""
        if not self.skipped:
            return ()
        examples = "; ".join(self.messages)
        return (f"{path.name}: {self.skipped:,} records skipped, such as: {examples}",)


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Args:
        path: The file.
        data: The lines, each with its line break; the last of a file may have none.
        first: Number of the first line, counted from 1.
    """

    path: Path
    data: bytes
    first: int

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Number and text of each line that is not blank."""
        # Not splitlines(): it splits at more than line feeds.
        for number, line in enumerate(self.data.split(b"\n"), self.first):
            line = line.strip()
            if line:
                yield number, line


def read_blocks(path: Path, problems: Problems, size: int = BLOCK_SIZE) -> Iterator[Block]:
    """Reads a file of lines, decompressed if it is gzip whatever its name, in constant memory.

    Args:
        path: The file.
        problems: What becomes of the rest of a file whose gzip is cut off or damaged.
        size: Bytes of a block, about.

    Raises:
        ValueError: The gzip is cut off or damaged, or a line has no end.
    """
    first, rest = 1, b""
    with open_lines(path) as stream:
        while True:
            data, failure = _read(stream, size)
            if first == 1 and not rest:
                data = data.removeprefix(b"\xef\xbb\xbf")
            end_of_file = not data
            data = rest + data
            end = data.rfind(b"\n") + 1
            if end:
                yield Block(path, data[:end], first)
                first += data.count(b"\n", 0, end)
            rest = data[end:]
            if failure is not None:
                # What is left of the last line is part of the damage.
                problems.add(f"{path}, line {first}: {_damage(failure)}", failure)
                return
            if len(rest) > LONGEST_LINE:
                raise ValueError(
                    f"{path}, line {first}: expected lines of at most {LONGEST_LINE:,} bytes, got "
                    "one without an end: is this a file of lines?"
                )
            if end_of_file:
                break
    if rest:
        yield Block(path, rest, first)


def _read(stream: IO[bytes], size: int) -> tuple[bytes, Exception | None]:
    """About ``size`` bytes, fewer at the end, and what is wrong with those after them."""
    pieces: list[bytes] = []
    total = 0
    while total < size:
        try:
            # Not read(): it would throw away what came before the damage.
            piece = stream.read1(size - total)  # type: ignore[attr-defined]
        except (EOFError, OSError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's error, not the file's
            return b"".join(pieces), error
        if not piece:
            break
        pieces.append(piece)
        total += len(piece)
    return b"".join(pieces), None


def open_lines(path: Path) -> IO[bytes]:
    """Opens a file, decompressed if it starts like gzip."""
    if not path.is_file():
        raise ValueError(f"expected a file {path}, got none")
    with path.open("rb") as stream:
        magic = stream.read(2)
    return gzip.open(path, "rb") if magic == b"\x1f\x8b" else path.open("rb")  # type: ignore[return-value]


def _damage(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "expected the rest of a gzip file, got its end: the file is cut off"
    return f"expected a gzip file, got damaged data ({error})"


def parse_object(line: bytes) -> dict[str, Any]:
    """A line of JSON that is an object.

    Raises:
        ValueError: It is not, or it is too long; the message says why.
    """
    check_length(line, LONGEST_LINE)
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text ({error})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"expected a JSON object, got text that is not JSON ({error}): {show(line)}"
        ) from error
    return check_object(record, line)


def check_length(line: bytes, most: int) -> None:
    """Raises a ValueError about a line that would take too much memory as Python's objects."""
    if len(line) > most:
        raise ValueError(f"expected at most {most:,} bytes, got {len(line):,}: {show(line)}")


def check_object(record: Any, line: bytes) -> dict[str, Any]:
    """The record, if it is an object."""
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, got {show(line)}")
    return record


def show(line: bytes) -> str:
    """The beginning of a line, for a message."""
    text = line[:60].decode(errors="replace")
    return repr(text + " ..." if len(line) > 60 else text)


def line_not_utf8(path: Path) -> int:
    """The first line that is not UTF-8, counted from 1; 0 if all are."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0
