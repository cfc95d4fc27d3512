"""Makes what a loop will need next while it is at work."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

#: Elements that wait at most.
AHEAD = 4


def prefetch(elements: Iterable[T], ahead: int = AHEAD) -> Generator[T, None, None]:
    """The same elements in the same order, made ahead by a thread.

    NumPy and copies into page-locked memory leave other threads at work. An error while an element
    is made is raised where its turn comes. The thread ends with the elements, or when the generator
    is closed before.

    Args:
        elements: What is iterated over in the thread.
        ahead: Elements that wait at most.

    Raises:
        ValueError: ``ahead`` is below 1.
    """
    if ahead < 1:
        raise ValueError(f"'ahead' must be at least 1 (got {ahead})")
    return _prefetched(elements, ahead)


def _prefetched(elements: Iterable[T], ahead: int) -> Generator[T, None, None]:
    made: Queue[tuple[list[T], BaseException | None]] = Queue(ahead)
    closed = threading.Event()

    def hand_over(element: list[T], error: BaseException | None = None) -> bool:
        while not closed.is_set():
            try:
                made.put((element, error), timeout=0.1)
                return True
            except Full:
                continue
        return False

    def make() -> None:
        try:
            for element in elements:
                if not hand_over([element]):
                    return
            hand_over([])
        except BaseException as error:  # raised where the element was wanted
            hand_over([], error)

    thread = threading.Thread(target=make, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            element, error = made.get()
            if error is not None:
                raise error
            if not element:
                return
            yield element[0]
    finally:
        closed.set()
        while not made.empty():  # what waits may hold page-locked memory
            try:
                made.get_nowait()
            except Empty:
                break
        thread.join()
