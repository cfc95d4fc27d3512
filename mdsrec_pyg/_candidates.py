"""Scores of a few items only: what an index found, what the history votes for, the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mdsrec_pyg.ann import FaissIndex
from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.nn.models.mdsrec import MDSRec

if TYPE_CHECKING:
    from mdsrec_pyg.nn.models.base import Recommender


def check_inner_products(model: Recommender) -> None:
    """Raises a ValueError where scores are more than inner products, votes and history bias."""
    known = isinstance(model, SequentialRecommender) and (
        type(model).score in (SequentialRecommender.score, MDSRec.score)
        and type(model).step_scores is SequentialRecommender.step_scores
    )
    if not known or not getattr(model, "vectors", True):
        raise ValueError(
            "'index' needs a model that scores by inner products with item vectors, such as "
            f"SASRec or MDSRec with vectors (got {type(model).__name__})"
        )


def candidate_scores(
    model: SequentialRecommender,
    batch: SequenceBatch,
    items: Any,
    index: FaissIndex,
    seen: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The model's scores of candidates, of every user at least what the index found.

    .. math::
        s(u, j) = s_{\text{sparse}}(u, j) + \beta \, \mathbf{h}_u^{\top} \mathbf{e}_j

    Votes and history bias, the sparse part, are known for all items: those it is not zero for are
    all candidates. With an exact index and at least k candidates the k best items are among them.

    Args:
        model: A model that :func:`check_inner_products` lets pass.
        batch: Histories.
        items: Result of ``model.encode_items()``.
        index: Looks up items by inner product.
        seen: Rows and items to leave out; the index is asked for as many more.

    Returns:
        Rows, items and scores ``[P]``, sorted by row and item.
    """
    users = model.encode_users(batch, items, newest_only=True)[:, -1]  # [B, C]
    key, sparse = sparse_scores(model, batch, items)
    extra = 0 if seen is None else int(torch.bincount(seen[0]).max())
    near = index.search(users, min(index.num_candidates + extra, model.num_items))  # [B, n]
    row = torch.arange(len(batch), device=near.device)[:, None] * model.num_items
    keys = torch.unique(torch.cat([key, (row + near)[near >= 0]]))
    score = sparse.new_zeros(len(keys))
    score[torch.searchsorted(keys, key)] = sparse
    if seen is not None:
        left = ~torch.isin(keys, seen[0] * model.num_items + seen[1])
        keys, score = keys[left], score[left]
    row, item = keys // model.num_items, keys % model.num_items
    inner = _inner_products(users, model.item_table(items), row, item)
    return row, item, score + vector_weight(model) * inner


def vector_weight(model: SequentialRecommender) -> float:
    """Weight of the inner products beside votes."""
    return model.vector_weight if isinstance(model, MDSRec) and model.votes is not None else 1.0


def sparse_scores(
    model: SequentialRecommender, batch: SequenceBatch, items: Any
) -> tuple[Tensor, Tensor]:
    """Votes and history bias: keys ``row * N + item``, sorted, and their scores ``[P]``."""
    row, step = batch.mask.nonzero(as_tuple=True)
    history = row * model.num_items + batch.item_id[row, step]
    votes = model.votes if isinstance(model, MDSRec) else None
    if votes is None:
        key = torch.unique(history)
        score = torch.zeros(len(key), device=key.device)
    else:
        key, score = votes.sparse_scores(batch, items.keys)
    if model.history_bias is not None:
        bias = model.history_bias.values(batch.mask, newest_only=True)[row, 0, step]
        score.index_add_(0, torch.searchsorted(key, history), vector_weight(model) * bias)
    return key, score


def _inner_products(users: Tensor, table: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Inner products ``[P]`` of users and items; one user at a time, whose items are gathered."""
    size = torch.bincount(row, minlength=len(users)).tolist()
    parts = zip(users, item.split(size), strict=True)
    return torch.cat([table[part] @ user for user, part in parts])
