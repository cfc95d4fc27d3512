"""Why an item is recommended: the modality, the interest and the votes behind it."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.models.mdsrec_items import MDSRecItems
from mdsrec_pyg.nn.votes.scores import RelationVotes

__all__ = ["explain_items"]

MAX_VOTERS = 5


class ExplainableModel(Protocol):
    """What an explanation reads of :class:`~mdsrec_pyg.nn.MDSRec`."""

    config: MDSRecConfig
    modalities: list[str]
    votes: RelationVotes | None
    labels: Tensor | None

    def encode_items(self) -> MDSRecItems:
        """What is known of the items."""

    def encode_modalities(
        self, batch: SequenceBatch, items: MDSRecItems, newest_only: bool = True
    ) -> tuple[Tensor, Tensor]:
        """User vectors of the modalities, and their weights."""


@torch.no_grad()
def explain_items(
    model: ExplainableModel,
    batch: SequenceBatch,
    item_index: Tensor,
    items: MDSRecItems | None = None,
) -> dict[str, list[list[Any]]]:
    r"""Explains scores of MDSRec by what each modality adds to them.

    With :math:`v_m` the votes over modality m, :math:`v = \sum_m v_m`, :math:`s_{\text{votes}}`
    the score that :class:`~mdsrec_pyg.nn.VoteFusion` makes of them and
    :math:`\bar{\mathbf{e}}_m` the mean item vector, modality m adds

    .. math::
        \frac{v_m(u, j)}{v(u, j)} s_{\text{votes}}(u, j)
        + \beta \, w_{u,m} \, \mathbf{h}_{u,m}^{\top} (\mathbf{e}_{m,j} - \bar{\mathbf{e}}_m),

    which sums over m to the score, up to the history bias and what is the same for all items.
    Items of the history have no votes where the history bias takes their place.

    Args:
        model: An MDSRec with votes, vectors or both, in evaluation mode.
        batch: Histories.
        item_index: The items to explain for each history, Long tensor [B, k].
        items: Result of ``model.encode_items()``; computed here by default.

    Returns:
        For each history and item

        - ``'modality'``: name of the modality that adds most; None where no item voted and the
          model has no vectors,
        - ``'modality_shares'``: what each modality adds, in the order of ``model.modalities``, as a
          share of what all add that do not take away; all zero where none adds anything,
        - ``'center'``: the item's interest center in that modality (the number of centers where
          the item lacks it); None without such a modality or without centers,
        - ``'voter_items'``: up to five different items of the history that voted for it, the
          strongest first, ``'voter_modalities'``: over which modality each voted most,
          ``'voter_shares'``: their shares of all votes for the item,
        - ``'seen'``: whether the user has taken the item, however long ago.
    """
    items = model.encode_items() if items is None else items
    seen = was_taken(batch, item_index)  # [B, k]
    votes = single_votes(model, batch, item_index, seen)  # [B, M, k, L]
    added = vote_parts(model, batch, item_index, votes) + vector_parts(
        model, batch, items, item_index
    )
    modality = _largest(model, added)  # [B, k]
    known = (votes.sum((1, 3)) > 0) | model.config.vectors
    names = [
        [model.modalities[m] if ok else None for m, ok in zip(*row, strict=True)]
        for row in zip(modality.tolist(), known.tolist(), strict=True)
    ]
    return {
        "modality": names,
        "modality_shares": _shares(added),
        "center": item_centers(model, item_index, modality, known),
        **strongest_voters(model, batch, votes),
        "seen": seen.tolist(),
    }


def in_history(batch: SequenceBatch, item_index: Tensor) -> Tensor:
    """Where each item stands in the history: bool [B, k, L]."""
    same = item_index[:, :, None] == batch.item_id[:, None, :]
    return same & batch.mask[:, None, :]


def was_taken(batch: SequenceBatch, item_index: Tensor) -> Tensor:
    """Whether the users have taken the items, read by the model or not: bool [B, k]."""
    seen = in_history(batch, item_index).any(2)
    if batch.older is None:
        return seen
    row, item = batch.older
    size = 1 + int(torch.cat([item, item_index.flatten()]).max())
    own = torch.arange(len(batch), device=row.device)[:, None] * size
    return seen | torch.isin(own + item_index, row * size + item)


def single_votes(
    model: ExplainableModel, batch: SequenceBatch, item_index: Tensor, seen: Tensor
) -> Tensor:
    """Votes of each step over each modality that enter the scores: [B, M, k, L]."""
    if model.votes is None:
        size = len(batch), len(model.modalities), item_index.size(1), batch.item_id.size(1)
        return torch.zeros(size, device=item_index.device)
    votes = model.votes.votes(batch, item_index)
    if model.votes.history_bias is None:
        return votes
    return votes.masked_fill(seen[:, None, :, None], 0.0)


def vote_parts(
    model: ExplainableModel, batch: SequenceBatch, item_index: Tensor, votes: Tensor
) -> Tensor:
    """What the votes over each modality add to the scores, by their shares: [B, M, k]."""
    by_modality = votes.sum(3)
    if model.votes is None:
        return by_modality
    total = by_modality.sum(1, keepdim=True)
    share = by_modality / total.clamp(min=torch.finfo(total.dtype).tiny)
    return share * scores_of(model.votes, batch, item_index)[:, None]


def scores_of(votes: RelationVotes, batch: SequenceBatch, item_index: Tensor) -> Tensor:
    """The scores of a few items [B, k], without those of all others."""
    place, score = votes.sparse_scores(batch)
    row = torch.arange(len(batch), device=place.device)[:, None]
    wanted = row * votes.num_items + item_index
    at = torch.searchsorted(place, wanted).clamp(max=max(len(place) - 1, 0))
    if not len(place):
        return score.new_zeros(item_index.shape)
    return score[at].where(place[at] == wanted, 0.0)


def _shares(added: Tensor) -> list[list[list[float]]]:
    """What each modality adds [B, M, k] as shares, M for each item."""
    positive = added.clamp(min=0).transpose(1, 2)  # [B, k, M]
    total = positive.sum(2, keepdim=True)
    shares: list[list[list[float]]] = torch.where(total > 0, positive / total, 0.0).tolist()
    return shares


def _largest(model: ExplainableModel, added: Tensor) -> Tensor:
    """The modality that adds most, [B, k]; the only one that counts, if there is just one."""
    only = getattr(model, "only_modality", None)
    return added.argmax(1) if only is None else torch.full_like(added[:, 0], only).long()


def vector_parts(
    model: ExplainableModel, batch: SequenceBatch, items: MDSRecItems, item_index: Tensor
) -> Tensor:
    """What the vectors of each modality add to the scores, seen from the mean item: [B, M, k]."""
    if items.embedding is None:
        return torch.zeros((), device=item_index.device)
    users, weights = model.encode_modalities(batch, items, newest_only=True)
    users = users[:, 0] * weights[:, 0, :, None]  # [B, M, D]
    vectors = items.embedding[:, item_index] - items.mean[:, None, None]  # [M, B, k, D]
    parts = torch.einsum("bmd,mbkd->bmk", users, vectors)
    return parts if model.votes is None else model.config.vector_weight * parts


def item_centers(
    model: ExplainableModel, item_index: Tensor, modality: Tensor, known: Tensor
) -> list[list[int | None]]:
    """Interest center of each item in its modality."""
    if model.labels is None:
        return [[None] * item_index.size(1)] * len(item_index)
    label = model.labels[modality, item_index]
    return [
        [center if ok else None for center, ok in zip(*row, strict=True)]
        for row in zip(label.tolist(), known.tolist(), strict=True)
    ]


def strongest_voters(
    model: ExplainableModel, batch: SequenceBatch, votes: Tensor
) -> dict[str, list[list[list[Any]]]]:
    """The items that voted most, over which modality, and their shares; the newer of equals first.

    Args:
        model: The model that voted.
        batch: Histories.
        votes: [B, M, k, L].
    """
    same = in_history(batch, batch.item_id)  # [B, L, L]
    later = same.triu(1).any(2)  # counted at its newest place only
    votes = ((votes @ same.to(votes.dtype)[:, None]) * ~later[:, None, None]).flip(3)
    item_id = batch.item_id.flip(1)
    strength, step = votes.sum(1).sort(dim=2, descending=True, stable=True)  # [B, k, L]
    share = strength / strength.sum(2, keepdim=True).clamp(min=torch.finfo(votes.dtype).tiny)
    modality = votes.argmax(1).gather(2, step)
    count = (strength > 0).sum(2).clamp(max=MAX_VOTERS).tolist()
    voter = item_id[:, None].expand_as(step).gather(2, step)

    def kept(values: Tensor) -> list[list[list[Any]]]:
        rows = values[:, :, :MAX_VOTERS].tolist()
        return [
            [value[:n] for value, n in zip(*row, strict=True)]
            for row in zip(rows, count, strict=True)
        ]

    over = [[[model.modalities[m] for m in part] for part in row] for row in kept(modality)]
    return {
        "voter_items": kept(voter),
        "voter_modalities": over,
        "voter_shares": kept(share),
    }
