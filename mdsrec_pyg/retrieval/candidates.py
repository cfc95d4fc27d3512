"""Scores of a few items only: what an index found, what the history votes for, the history."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.nn.models.decomposed import DecomposedScores, is_decomposed
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.limits import BatchLimits

#: An allow list for all users of at most this share of the catalog is scored without the index.
SHORT = 64
#: How many times as many candidates the index is asked for where too few of them are allowed ...
STEP = 4
#: ... up to so many items or this share of the catalog: beyond, scoring all of them is faster.
MOST, SHARE = 4096, 8


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
    limits: BatchLimits | None,
    k: int,
) -> tuple[Tensor, Tensor, Tensor] | None:
    r"""The model's scores of candidates, of every user at least what the index found.

    .. math::
        s(u, j) = s_{\text{sparse}}(u, j) + \beta \, \mathbf{h}_u^{\top} \mathbf{e}_j

    Votes and history bias, the sparse part, are known for all items: those it is not zero for are
    all candidates. So are the items of allow lists, unless a list for all users is long. With an
    exact index the k best items are among them.

    Args:
        model: A model whose scores come apart, see :func:`decomposed`.
        batch: Histories.
        items: Result of ``model.encode_items()``.
        index: Looks up items by inner product.
        limits: Which items the users may get; ``None``: all.
        k: Items that each user must get.

    Returns:
        Rows, items and scores ``[P]``, sorted by row and item; ``None`` where the index does not
        give each user ``k`` items that are allowed.
    """
    users = model.encode_users(batch, items, newest_only=True)[:, -1]  # [B, C]
    key, sparse = model.sparse_scores(batch, items)
    given, rows = _given(limits, model.num_items, len(batch), users.device)
    near = _near(index, users, rows, key[sparse < 0], limits, model.num_items, k)
    if near is None:
        return None
    keys = torch.unique(torch.cat([key, given, near]))
    score = sparse.new_zeros(len(keys))
    score[torch.searchsorted(keys, key)] = sparse
    if limits is not None:
        left = limits.allows(keys)
        keys, score = keys[left], score[left]
    row, item = keys // model.num_items, keys % model.num_items
    if bool((torch.bincount(row, minlength=len(batch)) < k).any()):
        return None
    inner = _inner_products(users, model.item_table(items), row, item)
    assert model.dense_weight is not None
    return row, item, score + model.dense_weight * inner


def _given(
    limits: BatchLimits | None, num_items: int, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Keys of what stands on allow lists, and the rows of all users without a (short) one."""
    rows = torch.arange(size, device=device)
    if limits is None:
        return rows.new_empty(0), rows
    others = rows[~limits.own]
    if limits.common is None:
        return limits.listed, others
    allowed = limits.common.nonzero()[:, 0]
    if len(allowed) * SHORT > num_items:
        return limits.listed, others
    keys = (others[:, None] * num_items + allowed).flatten()
    return torch.cat([limits.listed, keys]), others[:0]


def _near(
    index: FaissIndex,
    users: Tensor,
    rows: Tensor,
    lowered: Tensor,
    limits: BatchLimits | None,
    num_items: int,
    k: int,
) -> Tensor | None:
    """Keys of what the index finds for some users ``[P]``; ``None``: not ``k`` allowed for each.

    The index is asked for as many more as a user may not get, or as the sparse part pushes down,
    and again for more where too few of those it found are left.

    Args:
        index: Looks up items by inner product.
        users: User vectors ``[B, C]``.
        rows: The users that are looked up.
        lowered: Keys of what the sparse part pushes down.
        limits: Which items the users may get.
        num_items: N.
        k: Items that each user must get.
    """
    if not len(rows):
        return rows
    out = lowered if limits is None else torch.unique(torch.cat([lowered, limits.barred]))
    extra = int(torch.bincount(out // num_items, minlength=1).max())
    number = min(index.num_candidates + extra, num_items)
    while True:
        near = index.search(users[rows], number)  # [R, n]
        key = (rows[:, None] * num_items + near).where(near >= 0, -1)
        use = key >= 0 if limits is None else (key >= 0) & limits.allows(key)
        use &= ~torch.isin(key, lowered)
        short = use.sum(1) < k
        ended = bool((near[short] < 0).any())  # the index has no more to give
        if not short.any() or (number == num_items and not ended):
            return key[key >= 0]
        if ended or number * STEP > max(MOST, num_items // SHARE):
            return None
        number = min(number * STEP, num_items)


def _inner_products(users: Tensor, table: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Inner products ``[P]`` of users and items; one user at a time, whose items are gathered."""
    size = torch.bincount(row, minlength=len(users)).tolist()
    parts = zip(users, item.split(size), strict=True)
    return torch.cat([table[part] @ user for user, part in parts])
