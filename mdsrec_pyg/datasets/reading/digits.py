"""Whether a column of text is numbers throughout: plain digits are told without an expression."""

from __future__ import annotations

import re
from typing import Any

import pyarrow.compute as pc

INTEGER = r"^-?[0-9]+$"
PRINTED_INTEGER = r"^(0|-?[1-9][0-9]*)$"
# As int(...) would print it, and short enough for int64: 007 is not 7.
PLAIN_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
NUMBER = r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
LONGEST = 18


def first(mask: Any) -> int | None:
    """Index of the first true value."""
    index = pc.index(mask, True).as_py()
    return None if index < 0 else index


def all_digits(values: Any) -> bool:
    """Whether every value is one digit or more and nothing else."""
    return pc.all(pc.ascii_is_decimal(values)).as_py() is True


def first_not_integer(values: Any) -> int | None:
    """Index of the first value that is no whole number as it is printed: 007 is not 7."""
    if all_digits(values) and not pc.any(pc.starts_with(values, "0")).as_py():
        return None
    return first(pc.invert(pc.match_substring_regex(values, PRINTED_INTEGER)))


def all_plain_integers(values: Any) -> bool:
    """Whether every value is a whole number that reads back the same, and fits in 64 bits."""
    # Most columns of other ids are told by their first value.
    if not len(values) or not re.search(PLAIN_INTEGER, values[0].as_py()):
        return False
    short = all_digits(values) and pc.max(pc.binary_length(values)).as_py() <= LONGEST
    if short and not pc.any(pc.starts_with(values, "0")).as_py():
        return True
    return pc.all(pc.match_substring_regex(values, PLAIN_INTEGER)).as_py() is True
