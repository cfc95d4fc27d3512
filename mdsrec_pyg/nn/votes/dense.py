"""The votes in operators whose shapes do not depend on the data, for programs that are exported."""

from __future__ import annotations

from typing import Any

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

    The votes of all edges out of the history are added up in rows of N, looked up again where an
    edge ends, weighed there by the same :class:`~mdsrec_pyg.nn.VoteFusion`, and put back: nothing
    but the rows grows with the catalog. Where several edges end, equal scores are put.

    Args:
        votes: What is to be exported.
        max_length: Steps of a history that vote.
    """

    def __init__(self, votes: RelationVotes, max_length: int) -> None:
        super().__init__()
        self.num_items, self.max_length = votes.num_items, max_length
        self.fusion, self.tables = votes.fusion, votes.tables
        back = torch.arange(max_length - 1, -1, -1).clamp(max=votes.weight.size(1) - 1)
        self.register_buffer("alpha", votes.alpha.detach()[:, back])  # [M, W]
        bias = votes.history_bias
        self.register_buffer("gamma", None if bias is None else bias.gamma.detach())

    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[B, N]`` of histories ``[B, L]``."""
        voter, votes_too = newest(item_id, mask, self.max_length)
        none = self.alpha.new_zeros(mask.size(0), self.num_items)
        places, totals, maxima = [], [], []
        table: Any
        for table, alpha in zip(self.tables, self.alpha, strict=True):
            target, weight = table(voter)  # [B, W, H]
            weight = weight * votes_too[..., None]
            place = target.flatten(1)
            cast = (weight * alpha[:, None]).flatten(1)
            places.append(place)
            totals.append(none.scatter_add(1, place, cast))
            maxima.append(none.scatter_reduce(1, place, weight.flatten(1), "amax"))
        place = torch.cat(places, 1)  # [B, P]
        evidence = (
            torch.stack([rows.gather(1, place) for rows in side], 2).flatten(0, 1)
            for side in (totals, maxima)
        )
        scores = none.scatter(1, place, self.fusion(*evidence).view(place.shape))
        if self.gamma is None:
            return scores
        bias = add_at(none, item_id, mask, self.gamma)
        return torch.where(taken(item_id, mask, self.num_items), bias, scores)
