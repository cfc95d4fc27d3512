"""Numbers of things in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, thing: str, things: str | None = None) -> str:
    """``'1 item'``, ``'2,000 items'``.

    Args:
        number: How many.
        thing: Name of one.
        things: Name of several. Default: ``thing`` and an s, ``'y'`` becoming ``'ies'``.
    """
    if things is None:
        things = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else things}"
