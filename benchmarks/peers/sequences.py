"""The interactions as a peer gets them, and the sequences that are made of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Sequences:
    """Interactions user by user, the oldest first: the last is the test, the one before validation.

    Args:
        path: NumPy file with ``user`` and ``item``, one row an interaction, and ``num_items``.
    """

    def __init__(self, path: str) -> None:
        with np.load(path) as data:
            self.user, self.item = data["user"], data["item"]
            self.num_items = int(data["num_items"])
        self.users, first, count = np.unique(self.user, return_index=True, return_counts=True)
        self.stop = first + count
        self.start = first
        #: Place of each row in its user's sequence: stands for the time.
        self.step = np.arange(len(self.user)) - np.repeat(first, count)
        #: Rows of the training part.
        self.in_training = self.step < np.repeat(count - 2, count)

    def histories(
        self, split: str, length: int, item_id: np.ndarray, left: bool
    ) -> tuple[Tensor, Tensor]:
        """Newest ``length`` items before each target of a split [Q, L], and how many [Q].

        Args:
            split: ``'val'`` or ``'test'``.
            length: L.
            item_id: Id of each item in the peer's vocabulary; 0 where it knows none, which leaves
                the item out.
            left: Pads to the left, else to the right; with zeros.
        """
        rows = np.zeros((len(self.users), length), np.int64)
        count = np.zeros(len(self.users), np.int64)
        held_out = {"val": 2, "test": 1}[split]
        for query, (start, stop) in enumerate(zip(self.start, self.stop, strict=True)):
            known = item_id[self.item[start : stop - held_out]]
            known = known[known > 0][-length:]
            count[query] = len(known)
            place = slice(length - len(known), length) if left else slice(len(known))
            rows[query, place] = known
        return torch.from_numpy(rows), torch.from_numpy(count)


def save_vectors(path: str, users: Tensor, items: Tensor, item_id: np.ndarray) -> None:
    """Writes user vectors [Q, D] and the item vectors in our order [N, D], and which are known."""
    table = items.detach().cpu().numpy()[item_id]
    np.savez(path, users=users.detach().cpu().numpy(), items=table, known=item_id > 0)
