"""What the values of a column must be: for Arrow a block at a time, for messages one at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mdsrec_pyg.data.interactions import show_time
from mdsrec_pyg.datasets.reading.digits import INTEGER, NUMBER, PLAIN_INTEGER, all_plain_integers

# July 2100: later times are mistakes, or milliseconds.
FUTURE = 4_118_083_200


@dataclass(frozen=True)
class Field:
    """A column of text that may be empty."""

    name: str

    @property
    def type(self) -> Any:
        """Its Arrow type."""
        return pa.string()

    def valid(self, values: Any) -> bool:
        """Whether all values of an Arrow array are what they must be."""
        return True

    def parse(self, text: str) -> Any:
        """One value; an error says what it must be and what it is."""
        return text


@dataclass(frozen=True)
class Identifier(Field):
    """Raw ids: text that is not empty."""

    def valid(self, values: Any) -> bool:
        """No value is empty."""
        return not pc.any(pc.equal(values, "")).as_py()

    def parse(self, text: str) -> str:
        """The id."""
        if not text:
            raise ValueError("expected an id, got nothing")
        return text


@dataclass(frozen=True)
class IntegerId(Field):
    """Raw ids that are integers, at least 0, kept as text: ``7``, never ``007`` or ``0x7``."""

    def valid(self, values: Any) -> bool:
        """All read back the same, and fit in 64 bits."""
        return not len(values) or (
            all_plain_integers(values) and not pc.any(pc.starts_with(values, "-")).as_py()
        )

    def parse(self, text: str) -> str:
        """The id."""
        digits = text.strip(" \t")  # blanks around a number do not belong to it
        if not is_plain_id(digits):
            raise ValueError(f"expected an integer, got {text[:60]!r}")
        return digits


def is_plain_id(text: str) -> bool:
    """Whether a text is an integer from 0 as it is printed: ``7``, not ``007`` or ``0x7``."""
    return re.fullmatch(PLAIN_INTEGER, text) is not None and text[0] != "-"


@dataclass(frozen=True)
class Number(Field):
    """Numbers.

    Args:
        least: Smallest number that can be right.
        most: Largest number that can be right.
    """

    least: float
    most: float

    @property
    def type(self) -> Any:
        """Float64."""
        return pa.float64()

    def valid(self, values: Any) -> bool:
        """All are there and in the range."""
        return _within(values, self.least, self.most)

    def parse(self, text: str) -> float:
        """The number."""
        number = float(text) if re.fullmatch(NUMBER, text.strip(" \t")) else float("nan")
        if not self.least <= number <= self.most:
            raise ValueError(
                f"expected a number from {self.least:g} to {self.most:g}, got {text[:60]!r}"
            )
        return number


@dataclass(frozen=True)
class Time(Field):
    """Whole seconds, or smaller units, since 1970.

    Args:
        earliest: First second that can be right.
        latest: First second that cannot be right any more.
        per_second: Units in a second.
    """

    earliest: int = 0
    latest: int = FUTURE
    per_second: int = 1

    @property
    def type(self) -> Any:
        """Int64."""
        return pa.int64()

    def valid(self, values: Any) -> bool:
        """All are there and in the range."""
        first, last = self.earliest * self.per_second, self.latest * self.per_second - 1
        return _within(values, first, last)

    def parse(self, text: str) -> int:
        """The units since 1970."""
        unit = {1: "seconds", 1_000: "milliseconds"}[self.per_second]
        digits = text.strip(" \t")  # as Arrow reads it
        if not re.fullmatch(INTEGER, digits):  # 1_000 is a number for Python only
            raise ValueError(f"{self._expected(unit)}, got {text[:60]!r}")
        number = int(digits[:40])
        if not self.earliest * self.per_second <= number < self.latest * self.per_second:
            near = abs(number) < 10**13
            shown = f" ({show_time(number / self.per_second)})" if near else ""
            raise ValueError(f"{self._expected(unit)}, got {text[:60]}{shown}")
        return number

    def _expected(self, form: str) -> str:
        return (
            f"expected {form} since 1970, from {show_time(self.earliest)} and before "
            f"{show_time(self.latest)}"
        )


@dataclass(frozen=True)
class DateTime(Time):
    """Dates, ``2018-09-20``, or date-times in UTC, ``2009-05-04T23:08:57Z``."""

    form: str = "%Y-%m-%d"

    @property
    def type(self) -> Any:
        """Timestamps in seconds, with a zone if the text has one."""
        return pa.timestamp("s", "UTC" if self.form.endswith("Z") else None)

    def valid(self, values: Any) -> bool:
        """All are there and in the range."""
        return _within(values.cast(pa.int64()), self.earliest, self.latest - 1)

    def parse(self, text: str) -> Any:
        """The time."""
        expected = (
            f"expected a time such as {datetime(2009, 5, 4, 23, 8, 57).strftime(self.form)}, from "
            f"{show_time(self.earliest)} and before {show_time(self.latest)}, got {text[:60]!r}"
        )
        try:
            time = datetime.strptime(text, self.form).replace(tzinfo=timezone.utc)
        except ValueError:
            raise ValueError(expected) from None
        if not self.earliest <= time.timestamp() < self.latest:
            raise ValueError(expected)
        return pa.scalar(int(time.timestamp()), self.type)


def _within(values: Any, least: float, most: float) -> bool:
    if values.null_count:
        return False
    bounds = pc.min_max(values)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    # Of no values there is no smallest one. NaN fails both comparisons.
    return low is None or (low >= least and high <= most and not _has_nan(values))


def _has_nan(values: Any) -> bool:
    return pa.types.is_floating(values.type) and bool(pc.any(pc.is_nan(values)).as_py())
