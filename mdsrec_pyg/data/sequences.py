"""Batches of item sequences: left-padded, masked, newest last."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mdsrec_pyg.data.interactions import Interactions

__all__ = ["SequenceBatch", "SequenceLoader"]

#: Steps of a history that is read, and sequences of a training step, where nothing else is said.
MAX_LENGTH, BATCH_SIZE = 50, 128

# Batches that are sorted by length together. More pack tighter, fewer mix lengths better.
POOL = 16


@dataclass
class SequenceBatch:
    """Histories of several users, left-padded, the newest item last.

    Args:
        item_id: Items, int64 ``[B, L]``; padding is 0 and must be ignored by way of ``mask``.
        mask: True where there is an item, bool ``[B, L]``.
        user_id: User of each row, int64 ``[B]``; -1 for a user the training part does not know.
        target: The item that follows each position, int64 ``[B, L]``, 0 where there is none.
            ``None``: nothing to predict (evaluation, recommendation).
        target_mask: True where ``target`` counts in the loss, bool ``[B, L]``.
        older: Rows and items of the steps that lie before those L, int64 ``[2, P]``: they are not
            read, but taken, so they count wherever seen items do. ``None``: there are none.
    """

    item_id: Tensor
    mask: Tensor
    user_id: Tensor
    target: Tensor | None = None
    target_mask: Tensor | None = None
    older: Tensor | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return self.item_id.size(0)

    @property
    def num_positions(self) -> int:
        """Number of positions that count in the loss; 0 without targets."""
        return 0 if self.target_mask is None else int(self.target_mask.sum())

    def to(self, device: torch.device | str | int, non_blocking: bool = False) -> SequenceBatch:
        """The same batch on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> SequenceBatch:
        """The same batch in page-locked memory, for faster copies to a GPU."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, function: Callable[[Tensor], Tensor]) -> SequenceBatch:
        return SequenceBatch(
            item_id=function(self.item_id),
            mask=function(self.mask),
            user_id=function(self.user_id),
            target=None if self.target is None else function(self.target),
            target_mask=None if self.target_mask is None else function(self.target_mask),
            older=None if self.older is None else function(self.older),
        )

    @classmethod
    def from_histories(
        cls,
        histories: Sequence[ArrayLike],
        max_length: int,
        user_id: ArrayLike | None = None,
    ) -> SequenceBatch:
        """Packs item sequences of different lengths, oldest item first.

        Args:
            histories: One sequence of item ids a user, each with at least one item.
            max_length: Only the newest ``max_length`` items of each are read; the rest is
                ``older``.
            user_id: Users ``[B]``. Default: -1, users the training part does not know.
        """
        rows = [np.asarray(history) for history in histories]
        for index, row in enumerate(rows):
            if row.ndim != 1 or not len(row) or row.dtype.kind not in "iu" or row.min() < 0:
                raise ValueError(
                    f"'histories' must hold non-empty sequences of item ids (got "
                    f"{histories[index]!r} at index {index})"
                )
        if not rows:
            raise ValueError("'histories' must hold at least one history (got none)")
        stop = np.cumsum([len(row) for row in rows])
        start = np.concatenate([[0], stop[:-1]])
        users = np.full(len(rows), -1) if user_id is None else np.asarray(user_id)
        if users.shape != (len(rows),):
            raise ValueError(
                f"'user_id' must have one value a history (got {users.shape} for {len(rows)})"
            )
        return pack(np.concatenate(rows), start, stop, users, max_length, older=True)


def pack(
    item: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    user: NDArray[np.int64],
    max_length: int,
    older: bool = False,
) -> SequenceBatch:
    """Left-padded batch of ``item[start:stop]``, cut to the newest ``max_length`` each.

    With ``older`` it says what was cut off.
    """
    if max_length < 1:
        raise ValueError(f"'max_length' must be at least 1 (got {max_length})")
    first, start = start, np.maximum(start, stop - max_length)
    position = stop[:, None] + np.arange(-int((stop - start).max()), 0)  # [B, L]
    mask = position >= start[:, None]
    return SequenceBatch(
        item_id=torch.from_numpy(_gather(item, position, mask)),
        mask=torch.from_numpy(mask),
        user_id=torch.from_numpy(user.astype(np.int64)),
        older=_before(item, first, start) if older else None,
    )


def _before(
    item: NDArray[np.int64], first: NDArray[np.int64], start: NDArray[np.int64]
) -> Tensor | None:
    """Rows and items of ``item[first:start]``; ``None`` where all are empty."""
    size = start - first
    if not size.any():
        return None
    row = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(row)) + (first - (np.cumsum(size) - size))[row]
    return torch.from_numpy(np.stack([row, item[place].astype(np.int64)]))


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
        start, stop = self._start[windows], self._stop[windows]
        batch = pack(item, start, stop, self._user[windows], self.max_length)
        position = stop[:, None] + np.arange(-batch.item_id.size(1), 0)  # [B, L]
        count = position >= self._new[windows][:, None]
        batch.target = torch.from_numpy(_gather(item, position + 1, batch.mask.numpy()))
        batch.target_mask = torch.from_numpy(count)
        return batch


def _gather(
    item: NDArray[np.int64], position: NDArray[np.int64], mask: NDArray[np.bool_]
) -> NDArray[np.int64]:
    return np.where(mask, item[np.where(mask, position, 0)], 0)


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
