"""Batches of texts and of images for an encoder, within bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.encoders.images import count_pixels, open_image

__all__ = ["ImageReader", "TextReader"]

Batches = Iterator[tuple[NDArray[np.int64], list[Any]]]


@dataclass(frozen=True)
class TextReader:
    """Batches of texts of like length, so that little is padded."""

    texts: list[str | None]
    batch_size: int

    def __call__(self, rows: NDArray[np.int64]) -> Batches:
        """Rows ``[B]`` and their texts."""
        # The longest first: what does not fit into memory fails at once.
        ordered = sorted(rows.tolist(), key=lambda row: -len(self.texts[row] or ""))
        for start in range(0, len(ordered), self.batch_size):
            batch = ordered[start : start + self.batch_size]
            yield np.array(batch), [self.texts[row] for row in batch]


class Room:
    """So many pixels may be decoded at a time, by all threads together.

    Args:
        size: Pixels; what is larger has the room for itself.
    """

    def __init__(self, size: int) -> None:
        self.size = self.free = size
        self.changed = Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Waits for ``amount`` pixels and gives them back."""
        amount = min(amount, self.size)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        try:
            yield
        finally:
            with self.changed:
                self.free += amount
                self.changed.notify_all()


@dataclass(frozen=True)
class ImageReader:
    """Batches of images, read in threads while the model works on the batch before.

    Args:
        files: Path of the image of each row.
        prepare: Turns an image into what is kept of it; ``None``: the image itself, and a batch is
            cut where its images have more than ``max_pixels`` together.
        batch_size: Images of a batch.
        num_workers: Threads.
        max_pixels: Pixels of the largest image that is read, and of all that are decoded at a time.
    """

    files: dict[int, Path]
    prepare: Callable[[Any], Any] | None
    batch_size: int
    num_workers: int
    max_pixels: int

    def __call__(self, rows: NDArray[np.int64]) -> Batches:
        """Rows ``[B]`` and their images; one that cannot be read is a ``ValueError``."""
        room = Room(self.max_pixels)
        with ThreadPoolExecutor(self.num_workers) as pool:
            batches = self._cut(rows, pool)
            ahead: deque[list[Future[Any]]] = deque()
            for number, batch in enumerate(batches):
                while len(ahead) < 2 and number + len(ahead) < len(batches):
                    later = batches[number + len(ahead)].tolist()
                    ahead.append([pool.submit(self._load, row, room) for row in later])
                yield batch, [future.result() for future in ahead.popleft()]

    def _cut(self, rows: NDArray[np.int64], pool: ThreadPoolExecutor) -> list[NDArray[np.int64]]:
        """Rows of each batch, in their order."""
        pixels = [0] * len(rows)
        if self.prepare is None:
            pixels = list(pool.map(lambda row: count_pixels(self.files[row]), rows.tolist()))
        starts, held = [0], 0
        for place, size in enumerate(pixels):
            held += size
            if place - starts[-1] == self.batch_size or (
                held > self.max_pixels and place > starts[-1]
            ):
                starts.append(place)
                held = size
        return np.split(rows, starts[1:]) if len(rows) else []

    def _load(self, row: int, room: Room) -> Any:
        path = self.files[row]
        with room.take(count_pixels(path)):
            try:
                image = open_image(path, self.max_pixels)
                return image if self.prepare is None else self.prepare(image)
            except ValueError as error:
                return error
            # Of an image, too: what prepares a million images meets one that it was not made for.
            except Exception as error:
                return ValueError(f"not prepared: {type(error).__name__}, {error}")
