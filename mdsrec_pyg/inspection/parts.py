"""What a split trains on and asks about, and whom and what it leaves cold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.splits import Split

__all__ = ["SplitSummary", "summarize_split"]


@dataclass(frozen=True)
class SplitSummary:
    """Sizes of the parts of a split, and who and what training does not know.

    Args:
        method: How the split was made, in words.
        train_interactions: Rows of the training part.
        train_users: Users with a row in it.
        train_items: Items with a row in it.
        val_queries: Queries of validation.
        val_cold: Those of them whose target has no training interaction.
        test_queries: Queries of the test.
        test_cold: Those of them whose target has no training interaction.
        held_out_users: Users with a row that is not in the training part.
        users_not_asked: Those of them that no query asks about: with fewer than three interactions
            in leave-last-out, without a history before the held-out rows otherwise.
        users_unknown: Share of the test queries whose user has no row in the training part.
    """

    method: str
    train_interactions: int
    train_users: int
    train_items: int
    val_queries: int
    val_cold: int
    test_queries: int
    test_cold: int
    held_out_users: int
    users_not_asked: int
    users_unknown: float


def summarize_split(interactions: Interactions, split: Split) -> SplitSummary:
    """Counts what a split holds out and what training has never seen of it.

    Args:
        interactions: All interactions.
        split: A split of them; users and items have the same numbers in both.

    Raises:
        ValueError: The split is of other users or items.
    """
    train = split.train
    for name in ("num_users", "num_items"):
        if getattr(train, name) != getattr(interactions, name):
            raise ValueError(
                f"'split' must be of these interactions ({getattr(interactions, name):,} "
                f"{name.removeprefix('num_')}, got {getattr(train, name):,})"
            )
    rows = np.diff(interactions.user_ptr)
    known = np.diff(train.user_ptr)
    asked = np.zeros(len(rows), bool)
    asked[split.val.user_id] = asked[split.test.user_id] = True
    count = train.item_counts()
    return SplitSummary(
        method=split.method,
        train_interactions=len(train),
        train_users=int((known > 0).sum()),
        train_items=int((count > 0).sum()),
        val_queries=len(split.val),
        val_cold=int((count[split.val.target] == 0).sum()),
        test_queries=len(split.test),
        test_cold=int((count[split.test.target] == 0).sum()),
        held_out_users=int((rows > known).sum()),
        users_not_asked=int(((rows > known) & ~asked).sum()),
        users_unknown=float(1 - split.test.known.mean()) if len(split.test) else 0.0,
    )
