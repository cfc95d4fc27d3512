from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mdsrec_pyg.data.prefetch import prefetch


def test_the_same_elements_in_the_same_order() -> None:
    assert list(prefetch(range(50))) == list(range(50))
    assert list(prefetch([])) == []
    assert list(prefetch([None, None], ahead=1)) == [None, None]


def test_elements_are_made_ahead_but_not_all() -> None:
    made, third = [], threading.Event()

    def elements() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            if i == 2:
                third.set()
            yield i

    batches = prefetch(elements(), ahead=2)
    assert next(batches) == 0
    assert third.wait(5)  # by itself, while nothing asks
    batches.close()
    assert len(made) < 10


def test_an_error_comes_where_its_element_would() -> None:
    def elements() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    found = prefetch(elements())
    assert next(found) == 1
    with pytest.raises(KeyError, match="broken"):
        next(found)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_no_thread_stays_behind(taken: int) -> None:
    before = threading.active_count()
    batches = prefetch(range(1000), ahead=2)
    for _ in range(taken):
        next(batches)
    batches.close()
    assert threading.active_count() == before


def test_nothing_ahead_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'ahead' must be at least 1 \(got 0\)"):
        prefetch([1], ahead=0)
