"""Ways to damage a file: seeded, so that every one can be made again."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes], bytes]

CONTROL = (b"\x00", b"\x1b[2J", b"\r", b"\x0b", b"\x08", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\x7f")
HUGE = (
    *(b"1e308", b"1e999", b"-1", b"NaN", b"inf", b"9223372036854775808", b"1e-320", b"0x10"),
    *(b"1" * 40, b"99999999999", b"007", b"1_000", b"\xd9\xa3", b"4294967296", b"-0"),
)
WRONG = (b"null", b"true", b"[]", b"{}", b'"x"', b"1.5", b"''", b"NA", b"\\N", b"!!python/name:os")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
WORD = re.compile(rb'"[^"\n]{0,40}"|[A-Za-z0-9_.:-]+')
#: What changes the length of a binary file: no reader may take the rest for the whole.
LENGTHS = ("cut", "cut at the front", "doubled", "appended", "empty")


def _at(random: random.Random, data: bytes) -> int:
    return random.randrange(len(data) + 1)


def _flip(random: random.Random, data: bytes, times: int = 1) -> bytes:
    changed = bytearray(data)
    for _ in range(times if data else 0):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _insert(random: random.Random, data: bytes, piece: bytes) -> bytes:
    at = _at(random, data)
    return data[:at] + piece + data[at:]


def _lines(random: random.Random, data: bytes, how: str) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    if how == "swap":
        lines[one], lines[two] = lines[two], lines[one]
    elif how == "drop":
        del lines[one]
    else:
        lines.insert(two, lines[one])
    return b"".join(lines)


def _replace(
    random: random.Random, data: bytes, pattern: re.Pattern[bytes], new: tuple[bytes, ...]
) -> bytes:
    places = list(pattern.finditer(data[:200_000]))
    if not places:
        return _insert(random, data, random.choice(new))
    place = random.choice(places)
    return data[: place.start()] + random.choice(new) + data[place.end() :]


def _nest(random: random.Random, data: bytes) -> bytes:
    depth = random.choice((100, 5_000, 200_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"- ", b"")))
    return _replace(random, data, WORD, (opening * depth + b"1" + closing * depth,))


def _hole(random: random.Random, data: bytes) -> bytes:
    at, size = _at(random, data), random.choice((1, 16, 512, 4096))
    return data[:at] + b"\0" * len(data[at : at + size]) + data[at + size :]


def _utf16(random: random.Random, data: bytes) -> bytes:
    coding = random.choice(("utf-16", "utf-16-le", "utf-32"))
    return data.decode("utf-8", "replace").encode(coding)


def _appended(random: random.Random, data: bytes) -> bytes:
    return data + random.choice((b"\0", b"\n", b"\xff" * 8, random.randbytes(64), b"x" * 4096))


MUTATIONS: dict[str, Mutation] = {
    "bit": lambda random, data: _flip(random, data),
    "eight bits": lambda random, data: _flip(random, data, 8),
    "cut": lambda random, data: data[: _at(random, data[:-1])],
    "cut at the front": lambda random, data: data[1 + _at(random, data[:-2]) :],
    "doubled": lambda random, data: data + data,
    "appended": _appended,
    "empty": lambda random, data: random.choice((b"", b"\n", b" ")),
    "control": lambda random, data: _insert(random, data, random.choice(CONTROL)),
    "not UTF-8": lambda random, data: _insert(random, data, random.choice((b"\xff", b"\xf0\x9f"))),
    "lines swapped": lambda random, data: _lines(random, data, "swap"),
    "line dropped": lambda random, data: _lines(random, data, "drop"),
    "line repeated": lambda random, data: _lines(random, data, "repeat"),
    "huge number": lambda random, data: _replace(random, data, NUMBER, HUGE),
    "wrong type": lambda random, data: _replace(random, data, WORD, WRONG),
    "nested": _nest,
    "quote": lambda random, data: _insert(random, data, random.choice((b'"', b"'", b'\\"', b"\\"))),
    "delimiter": lambda random, data: _replace(
        random, data, re.compile(rb"[\t,:|;]"), (b"\t", b",", b";", b"::", b"")
    ),
    "long line": lambda random, data: _insert(random, data, b"x" * 2_000_000),
    "BOM": lambda random, data: b"\xef\xbb\xbf" + data,
    "UTF-16": _utf16,
    "NUL": _hole,
}


def mutate(seed: str, data: bytes, only: str | None = None) -> tuple[str, bytes]:
    """One mutation of a file's bytes; half of the time that of what is packed in a gzip.

    Args:
        seed: Text: the same text gives the same mutation.
        data: The file.
        only: Name of the mutation; ``None``: the seed decides.

    Returns:
        The mutation's name, and the new bytes.
    """
    source = random.Random(seed)
    name = only or source.choice(list(MUTATIONS))
    if data[:2] == b"\x1f\x8b" and source.random() < 0.6:
        changed = MUTATIONS[name](source, gzip.decompress(data))
        return f"{name} inside", gzip.compress(changed, 1, mtime=0)
    return name, MUTATIONS[name](source, data)
