"""Training batches: windows of the histories, and where they count in the loss."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from mdsrec_pyg.data.batch import LossPositions, SequenceBatch, gather, pack
from mdsrec_pyg.data.interactions import Interactions

__all__ = ["SequenceBatch", "SequenceLoader"]

#: Steps of a history that is read, and sequences of a training step, where nothing else is said.
MAX_LENGTH, BATCH_SIZE = 50, 128

# Batches that are sorted by length together. More pack tighter, fewer mix lengths better.
POOL = 16

# Of fixed shapes: lengths are multiples of this (memory-efficient attention wants eights) ...
LENGTH_STEP = 8
# ... and the places of a batch come in so many sizes.
PLACE_SIZES = 4


class SequenceLoader:
    r"""Training batches in which every training position is a target exactly once an epoch.

    A user with rows :math:`0..n-1` has the training positions :math:`1..n-1`. Where the
    :math:`n - 1` inputs do not fit into ``max_length``, they are cut into windows that end
    ``stride`` apart, counted from the newest item back, so that only the oldest window may be
    short. With ``stride < max_length`` windows overlap: a position is a target only in the window
    in which it stands among the newest ``stride``, so it sees at least
    ``max_length - stride`` items before it (as far as there are that many).

    Windows of similar length share a batch and a batch is as long as its longest window: the
    shuffled windows are sorted by length within pools of 16 batches, then the batches are shuffled.
    All randomness comes from ``(seed, epoch)``, so a resumed run repeats exactly; call
    :meth:`set_epoch` before each epoch.

    Args:
        interactions: The training part.
        max_length: Longest window.
        batch_size: Windows a batch; one batch may hold fewer.
        stride: Distance of window ends, 1 to ``max_length``. Default: ``max_length``.
        shuffle: Shuffle the windows each epoch; if false they come user by user, oldest first,
            in batches that are not sorted by length.
        shuffle_ties: Put the items of a user that share a timestamp into a new random order each
            epoch. Warns if there are no timestamps.
        seed: Seed of all randomness.
        fixed_shapes: Fill batches up to few shapes (``batch_size`` rows, lengths in steps of 8),
            so that what is compiled or captured for a shape is used again. What is filled in does
            not count in the loss.

    Raises:
        ValueError: ``max_length`` or ``batch_size`` is below 1, ``stride`` lies outside
            ``1..max_length``, ``seed`` is negative, or no user has two rows.
    """

    def __init__(
        self,
        interactions: Interactions,
        max_length: int = MAX_LENGTH,
        batch_size: int = BATCH_SIZE,
        *,
        stride: int | None = None,
        shuffle: bool = True,
        shuffle_ties: bool = False,
        seed: int = 0,
        fixed_shapes: bool = False,
    ) -> None:
        stride = max_length if stride is None else stride
        for name, value in (("max_length", max_length), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"'{name}' must be at least 1 (got {value})")
        if not 1 <= stride <= max_length:
            raise ValueError(
                f"'stride' must lie in 1..max_length, or positions are lost (got stride={stride}, "
                f"max_length={max_length})"
            )
        if seed < 0:
            raise ValueError(f"'seed' must not be negative (got {seed})")
        if shuffle_ties and interactions.timestamp is None:
            warnings.warn(
                "'shuffle_ties' has no effect: the interactions have no timestamps", stacklevel=2
            )
        self.interactions = interactions
        self.num_items = interactions.num_items
        self.max_length, self.batch_size, self.stride = max_length, batch_size, stride
        self.shuffle, self.shuffle_ties, self.seed, self.epoch = shuffle, shuffle_ties, seed, 0
        self.fixed_shapes = fixed_shapes
        self._user, self._start, self._new, self._stop = _windows(
            interactions.user_ptr, max_length, stride
        )
        self._tied, self._group = _tied_rows(interactions)
        if not len(self._user):
            raise ValueError("'interactions' must hold a user with two rows or more (got none)")

    def __len__(self) -> int:
        """Number of batches an epoch."""
        return -(-len(self._user) // self.batch_size)

    @property
    def num_positions(self) -> int:
        """Number of targets an epoch."""
        return int((self._stop - self._new).sum())

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration follows, from 0."""
        if epoch < 0:
            raise ValueError(f"'epoch' must not be negative (got {epoch})")
        self.epoch = epoch

    def __iter__(self) -> Iterator[SequenceBatch]:
        """The batches of the current epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        item = self.interactions.item_id
        if self.shuffle_ties:
            item = item.copy()
            order = np.lexsort((rng.random(len(self._tied)), self._group))
            item[self._tied] = item[self._tied[order]]
        for windows in self._batches(rng):
            yield self._collate(item, windows)

    def _batches(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        size, windows = self.batch_size, np.arange(len(self._user))
        if not self.shuffle:
            return [windows[i : i + size] for i in range(0, len(windows), size)]
        windows = rng.permutation(len(self._user))
        pool = np.arange(len(windows)) // (POOL * size)
        length = (self._stop - self._start)[windows]
        windows = windows[np.lexsort((length, pool))]
        batches = [windows[i : i + size] for i in range(0, len(windows), size)]
        return [batches[i] for i in rng.permutation(len(batches))]

    def _collate(self, item: NDArray[np.int64], windows: NDArray[np.int64]) -> SequenceBatch:
        start, stop, new = self._start[windows], self._stop[windows], self._new[windows]
        user, length = self._user[windows], None
        if self.fixed_shapes:
            longest = int((stop - start).max())
            length = min(-(-longest // LENGTH_STEP) * LENGTH_STEP, self.max_length)
            empty = (0, self.batch_size - len(windows))  # rows without a single item
            start, stop, new, user = (np.pad(part, empty) for part in (start, stop, new, user))
        batch = pack(item, start, stop, user, self.max_length, length)
        position = stop[:, None] + np.arange(-batch.item_id.size(1), 0)  # [B, L]
        counts = (position >= new[:, None]) & (position >= start[:, None])
        target = gather(item, position + 1, batch.mask.numpy())
        batch.target = torch.from_numpy(target)
        batch.target_mask = torch.from_numpy(counts)
        batch.positions = self._positions(counts)
        return batch

    def _positions(self, counts: NDArray[np.bool_]) -> LossPositions:
        """The places that count."""
        place = np.flatnonzero(counts)
        number, weight = len(place), None
        if self.fixed_shapes:
            step = -(-counts.size // PLACE_SIZES)
            filled = -(-number // step) * step
            place = np.pad(place, (0, filled - number))
            weight = torch.from_numpy((np.arange(filled) < number).astype(np.float32))
        return LossPositions(
            place=torch.from_numpy(place),
            count=torch.tensor(float(number)),
            weight=weight,
            number=number,
        )


def _windows(
    user_ptr: NDArray[np.int64], max_length: int, stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """User, first input row, first row whose successor is a target, end of the input rows."""
    first, inputs = user_ptr[:-1], np.diff(user_ptr) - 1
    count = np.where(inputs > 0, 1 + -(-np.maximum(inputs - max_length, 0) // stride), 0)
    user = np.repeat(np.arange(len(first)), count)
    # Windows to go until the newest one of the user: the oldest comes first.
    later = np.repeat(np.cumsum(count), count) - 1 - np.arange(len(user))
    stop = first[user] + inputs[user] - later * stride
    start = np.maximum(first[user], stop - max_length)
    oldest = later == count[user] - 1
    new = np.where(oldest, start, stop - stride)
    return user, start, new, stop


def _tied_rows(interactions: Interactions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that share user and timestamp with another row, and the group of each."""
    if interactions.timestamp is None or not len(interactions):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    same = (np.diff(interactions.user_id) == 0) & (np.diff(interactions.timestamp) == 0)
    group = np.concatenate([[0], np.cumsum(~same)])
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    return tied, group[tied]
