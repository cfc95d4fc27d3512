"""Sorting by digits, and numbers told from text, against the slow way."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from mdsrec_pyg.datasets.order import by_user_and_time, stable_argsort
from mdsrec_pyg.datasets.reading.digits import (
    PLAIN_INTEGER,
    PRINTED_INTEGER,
    all_digits,
    all_plain_integers,
    first_not_integer,
)

EXTREME = np.iinfo(np.int64)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [5],
        [7, 7, 7],
        [-3, 2, -3, 70_000, -70_000, 2],
        [1_500_000_000, 0, 1_500_000_000, -1],
        [2**48, 2**32, 2**16, 0, 2**48],
        [EXTREME.min, EXTREME.max, 0, EXTREME.min],
        [EXTREME.min, -1, EXTREME.min],
    ],
)
def test_argsort_is_stable(values):
    array = np.array(values, np.int64)
    assert stable_argsort(array).tolist() == np.argsort(array, kind="stable").tolist()


@pytest.mark.parametrize("span", [3, 2**16, 2**17, 2**40])
def test_argsort_of_many(span):
    values = np.random.default_rng(0).integers(-span, span, 20_000)
    assert (stable_argsort(values) == np.argsort(values, kind="stable")).all()


@pytest.mark.parametrize("kind", [np.int64, np.float64, None])
def test_by_user_and_time(kind):
    rng = np.random.default_rng(0)
    user = rng.integers(70_000, size=5000)
    user[::2] %= 5
    if kind is None:
        assert (by_user_and_time(user, None) == np.argsort(user, kind="stable")).all()
        return
    seconds = (rng.integers(-50, 50, 5000) * 86_400 / 7).astype(kind)
    assert (by_user_and_time(user, seconds) == np.lexsort((seconds, user))).all()


TEXTS = ["0", "7", "-7", "-0", "007", "+1", "0x1F", " 5", "5 ", "٣", "1_000", "x", "9" * 18]
TEXTS += ["9" * 19, "-" + "9" * 18, "1.5", "5\n"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("before", [[], ["12"], ["-12"]])
def test_numbers_are_told_as_by_the_expressions(text, before):
    values = [*before, text]
    column = pa.array(values)
    integer = [re.fullmatch(PRINTED_INTEGER.strip("^$"), value) is not None for value in values]
    expected = None if all(integer) else integer.index(False)
    assert first_not_integer(column) == expected
    plain = all(re.fullmatch(PLAIN_INTEGER.strip("^$"), value) for value in values)
    assert all_plain_integers(column) == plain
    assert all_digits(column) == all(re.fullmatch("[0-9]+", value) for value in values)
