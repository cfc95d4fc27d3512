"""Scores of a few items only: what an index found, what the history votes for, the history."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.nn.models.decomposed import DecomposedScores, is_decomposed
from mdsrec_pyg.retrieval.faiss_index import FaissIndex


def decomposed(model: torch.nn.Module) -> DecomposedScores:
    """The model as one whose scores come apart.

    Raises:
        ValueError: They are more than inner products and a sparse part.
    """
    if not is_decomposed(model):
        raise ValueError(
            "'index' needs a model that scores by inner products with item vectors, such as "
            f"SASRec or MDSRec with vectors (got {type(model).__name__})"
        )
    assert isinstance(model, DecomposedScores)
    return model


def candidate_scores(
    model: DecomposedScores,
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
        model: A model whose scores come apart, see :func:`decomposed`.
        batch: Histories.
        items: Result of ``model.encode_items()``.
        index: Looks up items by inner product.
        seen: Rows and items to leave out. The index is asked for as many more, and for as many as
            the sparse part pushes down.

    Returns:
        Rows, items and scores ``[P]``, sorted by row and item.
    """
    users = model.encode_users(batch, items, newest_only=True)[:, -1]  # [B, C]
    key, sparse = model.sparse_scores(batch, items)
    # What the index finds and is left out, or pushed down, makes room for as many more.
    lower = key[sparse < 0]
    if seen is not None:
        lower = torch.unique(torch.cat([lower, seen[0] * model.num_items + seen[1]]))
    extra = int(torch.bincount(lower // model.num_items, minlength=1).max())
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
    assert model.dense_weight is not None
    return row, item, score + model.dense_weight * inner


def _inner_products(users: Tensor, table: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Inner products ``[P]`` of users and items; one user at a time, whose items are gathered."""
    size = torch.bincount(row, minlength=len(users)).tolist()
    parts = zip(users, item.split(size), strict=True)
    return torch.cat([table[part] @ user for user, part in parts])
