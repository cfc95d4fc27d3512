"""Large files of lines, plain or compressed, whole lines of some megabytes at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mdsrec_pyg.datasets.reading.compressed import DAMAGE, damage, form_of, open_bytes
from mdsrec_pyg.showing import counted

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
        messages: The first errors.
        skipped: How many lines were skipped.
        unused: Columns or fields of the file that nobody reads.
    """

    on_error: str
    optional: bool = field(default=True, kw_only=True)
    messages: list[str] = field(default_factory=list)
    skipped: int = 0
    unused: tuple[str, ...] = ()

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
        return (f"{path.name}: {counted(self.skipped, 'record')} skipped, such as: {examples}",)

    def not_read(self, path: Path) -> tuple[str, ...]:
        """A sentence about the columns that nobody reads, if there are any."""
        return (f"{path.name}: not read: {', '.join(self.unused)}",) if self.unused else ()

    def say_unused(self, names: Iterable[str], used: Iterable[str]) -> None:
        """Remembers which of the names in a file nobody reads."""
        known = set(used)
        self.unused = tuple(name for name in names if name not in known)


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
    """Reads a file of lines, plain, gzip, bzip2, xz, zstd or zip, in constant memory.

    Args:
        path: The file.
        problems: What becomes of the rest of a file whose compression is cut off or damaged.
        size: Bytes of a block, about.

    Raises:
        ValueError: The compressed data are cut off or damaged, or a line has no end.
    """
    first, rest = 1, b""
    with open_bytes(path) as stream:
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
                problems.add(f"{path}, line {first}: {damage(form_of(path), failure)}", failure)
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
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's error, not the file's
            return b"".join(pieces), error
        if not piece:
            break
        pieces.append(piece)
        total += len(piece)
    return b"".join(pieces), None


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
    with open_bytes(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0
