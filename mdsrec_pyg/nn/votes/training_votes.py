"""What training over learned relation graphs needs: votes that the voter's own history is not in.

Each training pair co-occurred at least in its own sequence, so a learned graph holds its target.
Both classes here answer the same questions about a batch, over graphs without the user: how much
the items of the history vote for given items (``pairs``), how much they vote in all (``totals``)
and, where that was computed in advance, for all that the user never took (``others``).
"""

from __future__ import annotations

from torch import Tensor, nn

from mdsrec_pyg.data import Interactions


class TrainingVotes(nn.Module):
    """Votes of training users over graphs that have not seen them."""

    def pairs(self, source: Tensor, target: Tensor, user_id: Tensor) -> Tensor:
        """Votes of items [B, L] for items [B, T] of the same user: [B, M, T, L].

        Args:
            source: History items that vote, [B, L].
            target: Items that are voted for, [B, T].
            user_id: Training users, [B].
        """
        raise NotImplementedError

    def totals(self, source: Tensor, user_id: Tensor) -> Tensor:
        """All votes of items [B, L] of the user together: [B, M, L]."""
        raise NotImplementedError

    def others(self, source: Tensor, user_id: Tensor) -> tuple[Tensor, Tensor] | None:
        """Votes of items [B, L] of the user for all items that are not the user's own.

        They spare the votes within a history, which are L^2. None where they are not known.

        Returns:
            Votes [B, M, L], and the number of distinct items of each user [B].
        """
        return None

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the graphs were fitted on other interactions than these."""
        raise NotImplementedError
