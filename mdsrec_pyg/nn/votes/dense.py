"""The votes in operators whose shapes do not depend on the data, for programs that are exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdsrec_pyg.nn.votes.scores import RelationVotes

__all__ = ["DenseVotes", "add_at", "newest", "taken"]


def newest(item_id: Tensor, mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The newest steps of histories: exactly ``length``, padded on the left where there are fewer.

    Args:
        item_id: Items ``[B, L]``, L of any size.
        mask: ``[B, L]``.
        length: W.

    Returns:
        Items and mask ``[B, W]``.
    """
    step = torch.arange(length, device=mask.device) + (mask.size(1) - length)
    column = step.clamp(min=0)
    return item_id.index_select(1, column), mask.index_select(1, column) & (step >= 0)


def add_at(scores: Tensor, item_id: Tensor, mask: Tensor, by_distance: Tensor) -> Tensor:
    """Adds to the scores of the items of histories what counts by steps back.

    Args:
        scores: ``[B, N]``.
        item_id: ``[B, L]``.
        mask: ``[B, L]``.
        by_distance: Value of an item d steps back ``[D]``; the last is that of all further back.
    """
    length = mask.size(1)
    back = torch.arange(length - 1, -1, -1, device=mask.device).clamp(max=len(by_distance) - 1)
    return scores.scatter_add(1, item_id, by_distance[back] * mask)


def taken(item_id: Tensor, mask: Tensor, num_items: int) -> Tensor:
    """Which items stand in the histories, bool ``[B, N]``."""
    none = torch.zeros(mask.size(0), num_items, device=mask.device)
    return none.scatter_add(1, item_id, mask.to(none.dtype)) > 0


class DenseVotes(nn.Module):
    """The scores of :class:`~mdsrec_pyg.nn.votes.scores.RelationVotes` with a place for every item.

    The votes of all edges out of the history are added up in rows of N and weighed there by the
    same :class:`~mdsrec_pyg.nn.VoteFusion`. Where a catalog is larger than all edges of a longest
    history, they are looked up again where an edge ends, weighed there, and put back (where several
    edges end, equal scores): nothing but the rows grows with the catalog then.

    Args:
        votes: What is to be exported.
        max_length: Steps of a history that vote.
    """

    alpha: Tensor
    gamma: Tensor | None

    def __init__(self, votes: RelationVotes, max_length: int) -> None:
        super().__init__()
        self.num_items, self.max_length = votes.num_items, max_length
        self.fusion, self.tables = votes.fusion, votes.tables
        self.register_buffer("alpha", votes.alpha.detach())  # [M, STEPS]
        bias = votes.history_bias
        self.register_buffer("gamma", None if bias is None else bias.gamma.detach())
        edges = sum(table.get_buffer("target").size(1) for table in votes.tables)
        self.weighs_all = self.num_items <= max_length * edges

    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[B, N]`` of histories ``[B, L]``."""
        none = self.alpha.new_zeros(mask.size(0), self.num_items)
        back = torch.arange(mask.size(1) - 1, -1, -1, device=mask.device)
        votes_too = (mask & (back < self.max_length))[..., None]
        places, totals, largest = [], [], []
        for m, table in enumerate(self.tables):
            target, weight = table(item_id)  # [B, L, H]
            weight = weight * votes_too
            place = target.flatten(1)
            alpha = self.alpha[m, back.clamp(max=self.alpha.size(1) - 1)]  # [L]
            places.append(place)
            totals.append(none.scatter_add(1, place, (weight * alpha[:, None]).flatten(1)))
            largest.append(none.scatter_reduce(1, place, weight.flatten(1), "amax"))
        scores = self._fused(none, torch.cat(places, 1), totals, largest)
        if self.gamma is None:
            return scores
        bias = add_at(none, item_id, mask, self.gamma)
        return torch.where(taken(item_id, mask, self.num_items), bias, scores)

    def _fused(
        self, none: Tensor, place: Tensor, totals: list[Tensor], largest: list[Tensor]
    ) -> Tensor:
        """One score from the evidence over all graphs, for all items or those voted for."""
        if self.weighs_all:
            evidence = [torch.stack(rows, 2).flatten(0, 1) for rows in (totals, largest)]
            return self.fusion(*evidence).view(none.shape)
        at = [[row.gather(1, place) for row in rows] for rows in (totals, largest)]
        evidence = [torch.stack(rows, 2).flatten(0, 1) for rows in at]
        return none.scatter(1, place, self.fusion(*evidence).view(place.shape))
