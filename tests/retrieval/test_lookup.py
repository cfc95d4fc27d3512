"""Items are found in a catalog of text or of integers, however the other writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mdsrec_pyg.data.raw_ids import is_integer_id
from mdsrec_pyg.retrieval.lookup import look_up

ODD: list[Any] = [
    *("7", "007", "-0", "0", "+7", " 7", "7 ", "7.0", "1_0", "\u0667", "", "x", "-3", "10"),
    *(7, -3, 0, 10, True, 7.0, None, np.int64(7), np.uint8(10), float("nan"), ("7",), "9" * 30),
    *("9" * 5000, 2**63, 2**70, -(2**63), str(2**63), 2**62, str(2**62)),
]
CATALOGS: dict[str, Any] = {
    "range": pd.RangeIndex(12),
    "int64": pd.Index([7, -3, 10, 0]),
    "int8": pd.Index([7, -3, 10, 0], dtype="int8"),
    "uint64": pd.Index([7, 2**62, 10], dtype="uint64"),
    "objects": pd.Index([7, -3, 2**62], dtype=object),
    "text": pd.Index(["7", "007", "x", "-3", "9" * 30], dtype=object),
}


def is_id(value: Any) -> bool:
    return isinstance(value, str) or is_integer_id(value)


@pytest.mark.parametrize("kind", CATALOGS)
def test_an_item_is_found_by_what_is_written(kind: str) -> None:
    catalog = CATALOGS[kind]
    place = {str(value): row for row, value in enumerate(catalog.tolist())}
    want = [place.get(str(value), -1) if is_id(value) else -1 for value in ODD]
    items = pd.Index(ODD, dtype=object, tupleize_cols=False)
    assert look_up(items, catalog).tolist() == want
    for value, row in zip(ODD, want, strict=True):  # of one type, too
        alone = pd.Index([value], dtype=object, tupleize_cols=False)
        assert look_up(alone, catalog).tolist() == [row]


@pytest.mark.parametrize(
    "catalog",
    [
        pd.RangeIndex(1000),
        pd.Index(range(1000)),
        pd.Index([str(i) for i in range(1000)]),
        pd.Index([str(i) for i in range(1000)], dtype=object),
    ],
    ids=["range", "integers", "text", "objects"],
)
@pytest.mark.parametrize("items", [["7", "1000"], [7, 1000], ["7", 1000]])
def test_a_few_items_cost_no_pass_over_the_catalog(
    monkeypatch: pytest.MonkeyPatch, catalog: pd.Index, items: list[Any]
) -> None:
    given = pd.Index(items, dtype=object)
    look_up(given, catalog)  # pandas makes its table
    passed: list[int] = []

    def watch(kind: type[pd.Index], name: str) -> None:
        own = getattr(kind, name)

        def noted(self: Any, *args: Any, **more: Any) -> Any:
            passed.append(len(self))
            return own(self, *args, **more)

        monkeypatch.setattr(kind, name, noted)

    for kind in (pd.Index, pd.RangeIndex):
        watch(kind, "astype")
        watch(kind, "tolist")
    assert look_up(given, catalog).tolist() == [7, -1]
    assert max(passed, default=0) <= len(items)
