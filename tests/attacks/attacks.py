"""All attacks by name, in full or a share of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.attacks import addresses, disk, fuzz, hostile, kills, swollen, together
from tests.attacks.harness import Count

#: Up to this share, what takes long is left out.
SMALL = 0.1

Attack = Callable[[float, int], Iterator[Count]]


def _tries(most: int, scale: float, least: int = 2) -> int:
    return max(least, round(most * scale))


def _share(scale: float) -> int:
    """Only every so-many-th."""
    return max(1, round(1 / max(scale, 1 / 24)))


def _killed(scale: float, seed: int) -> Iterator[Count]:
    return kills.kills(_tries(60, scale), _tries(60, scale), seed)


def _damaged(scale: float, seed: int) -> Iterator[Count]:
    return fuzz.fuzz(_tries(64, scale), seed)


def _one_bit(scale: float, seed: int) -> Iterator[Count]:
    return fuzz.one_bit(_tries(200, scale), seed)


def _at_once(scale: float, seed: int) -> Iterator[Count]:
    yield from together.threads(_tries(2_000, scale, 40), seed)
    numbers = (2, 16) if scale > SMALL else (2,)
    yield from together.processes(_tries(4, scale, 1), numbers, seed)


def _starved(scale: float, seed: int) -> Iterator[Count]:
    tried = True
    try:
        yield from disk.full_disk(_tries(20, scale))
        yield from disk.read_only()
    except disk.NoDisk as reason:
        print(f"no disk of its own ({reason}): a limit on the size of files instead")
        tried = False
    if scale > SMALL or not tried:
        yield from disk.large_files(_tries(20, scale))


def _hostile(scale: float, seed: int) -> Iterator[Count]:
    share = _share(scale)
    yield from hostile.pickles(share)
    yield from hostile.links(share)
    yield from hostile.outside()
    yield from swollen.archives(share)
    if scale > SMALL:
        yield from swollen.pictures()
    yield from addresses.addresses(share)
    yield from addresses.names()


#: Each takes the share of all tries that is made (1: all), and a seed.
ATTACKS: dict[str, Attack] = {
    "killed": _killed,
    "damaged": _damaged,
    "one-bit": _one_bit,
    "at-once": _at_once,
    "starved": _starved,
    "hostile": _hostile,
}
