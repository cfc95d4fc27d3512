"""A batch of item sequences: left-padded, masked, newest last; and where it counts in the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

__all__ = ["LossPositions", "SequenceBatch"]


@dataclass
class LossPositions:
    """Where a batch counts in the loss, known from collating: no step has to ask the device.

    Args:
        place: ``b * L + t`` of each position that counts, ascending, int64 ``[P]``.
        count: How many count, float32 scalar.
        weight: 1 where a place counts and 0 where it only fills the shape, float32 ``[P]``.
            ``None``: all count.
        number: ``count``, without asking the device; ``None`` where that must not be looked at.
    """

    place: Tensor
    count: Tensor
    weight: Tensor | None = None
    number: int | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> LossPositions:
        """The same with another form of each tensor."""
        return _mapped(self, function)


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
        positions: The same as places, as a :class:`SequenceLoader` collates them; ``None``: the
            loss looks for them, and on a GPU waits for it.
        flat: One block of memory that holds all tensors, see :meth:`packed`; it is moved by one
            copy.
    """

    item_id: Tensor
    mask: Tensor
    user_id: Tensor
    target: Tensor | None = None
    target_mask: Tensor | None = None
    older: Tensor | None = None
    positions: LossPositions | None = None
    flat: Tensor | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Number of sequences."""
        return self.item_id.size(0)

    @property
    def num_positions(self) -> int:
        """Number of positions that count in the loss; 0 without targets."""
        if self.positions is not None and self.positions.number is not None:
            return self.positions.number
        return 0 if self.target_mask is None else int(self.target_mask.sum())

    def to(self, device: torch.device | str | int, non_blocking: bool = False) -> SequenceBatch:
        """The same batch on ``device``."""
        if self.flat is not None:
            return self._over(self.flat.to(device, non_blocking=non_blocking))
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> SequenceBatch:
        """The same batch in page-locked memory, for faster copies to a GPU."""
        return self.packed(pin_memory=True)

    def packed(self, pin_memory: bool = False) -> SequenceBatch:
        """The same batch with all tensors in one block: a dozen copies to a GPU become one."""
        tensors = self.tensors()
        size = sum(_padded(tensor) for tensor in tensors)
        packed = self._over(torch.empty(size, dtype=torch.uint8, pin_memory=pin_memory))
        for own, given in zip(packed.tensors(), tensors, strict=True):
            own.copy_(given)
        return packed

    def _over(self, flat: Tensor) -> SequenceBatch:
        """A batch of the same shapes whose tensors are parts of a block of bytes."""
        start = 0

        def part(tensor: Tensor) -> Tensor:
            nonlocal start
            view = flat[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            start += _padded(tensor)
            return view

        batch = self.map(part)
        batch.flat = flat
        return batch

    def tensors(self) -> list[Tensor]:
        """Every tensor, in a fixed order."""
        found: list[Tensor] = []

        def keep(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        self.map(keep)
        return found

    def map(self, function: Callable[[Tensor], Tensor]) -> SequenceBatch:
        """The same with another form of each tensor."""
        return _mapped(self, function)

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
    length: int | None = None,
    older: bool = False,
) -> SequenceBatch:
    """Left-padded batch of ``item[start:stop]``, cut to the newest ``max_length`` each.

    It is as long as its longest row, or ``length`` steps where that is given. With ``older`` it
    says what was cut off.
    """
    if max_length < 1:
        raise ValueError(f"'max_length' must be at least 1 (got {max_length})")
    first, start = start, np.maximum(start, stop - max_length)
    length = int((stop - start).max()) if length is None else length
    position = stop[:, None] + np.arange(-length, 0)  # [B, L]
    mask = position >= start[:, None]
    return SequenceBatch(
        item_id=torch.from_numpy(gather(item, position, mask)),
        mask=torch.from_numpy(mask),
        user_id=torch.from_numpy(user.astype(np.int64)),
        older=_before(item, first, start) if older else None,
    )


def joined_ranges(
    start: NDArray[np.int64], length: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ranges one after the other, such as the rows of some users.

    Args:
        start: First number of each range, [Q].
        length: Numbers in each, [Q].

    Returns:
        Where each range begins and the last one ends, ``[Q + 1]``, and the numbers.
    """
    ptr = np.concatenate([[0], np.cumsum(length)])
    return ptr, np.repeat(start - ptr[:-1], length) + np.arange(ptr[-1])


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


def gather(
    item: NDArray[np.int64], position: NDArray[np.int64], mask: NDArray[np.bool_]
) -> NDArray[np.int64]:
    return np.where(mask, item[np.where(mask, position, 0)], 0)


def _padded(tensor: Tensor) -> int:
    """Bytes of a tensor, up to where the next of any type may begin."""
    return -(-tensor.nbytes // 16) * 16


T = TypeVar("T", SequenceBatch, LossPositions)


def _mapped(parts: T, function: Callable[[Tensor], Tensor]) -> T:
    """A copy with ``function`` of each tensor in it."""

    def mapped(value: Any) -> Any:
        if isinstance(value, LossPositions):
            return value.map(function)
        return function(value) if isinstance(value, Tensor) else value

    names = [part.name for part in fields(parts) if part.name != "flat"]
    found: dict[str, Any] = {name: mapped(getattr(parts, name)) for name in names}
    if isinstance(parts, SequenceBatch):
        found["flat"] = None  # the tensors are their own now
    return replace(parts, **found)
