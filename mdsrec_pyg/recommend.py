"""The best items for each history, with raw ids in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mdsrec_pyg._histories import Histories, plain_index, read_histories, show
from mdsrec_pyg._scoring import check_scores, evaluation_mode, model_device, seen_items
from mdsrec_pyg.data.neighbors import top_mask
from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.data.splits import EvaluationSplit

if TYPE_CHECKING:
    from mdsrec_pyg.nn.models.base import Recommender

__all__ = ["recommend", "top_items"]


def recommend(
    model: Recommender,
    histories: Sequence[Sequence[Any]]
    | Mapping[Any, Sequence[Any]]
    | pd.DataFrame
    | EvaluationSplit,
    k: int = 10,
    *,
    exclude_seen: bool,
    item_ids: ArrayLike | None = None,
    user_id: ArrayLike | None = None,
    explain: bool = False,
    batch_size: int = 512,
    device: str | torch.device | None = None,
) -> pd.DataFrame:
    """The ``k`` items with the highest scores for each history; equal scores: the lower index.

    New users need no training: their history is all that counts.

    Args:
        model: The model; it is put into evaluation mode and back into its earlier mode.
        histories: Items of each user, oldest first: a list of sequences, a mapping from user to
            sequence, a table with columns ``user``, ``item`` and perhaps ``timestamp`` (otherwise
            the order of its rows counts), or the queries of an ``EvaluationSplit``, whose items
            are indices already.
        k: Number of items for each user.
        exclude_seen: Whether items of the history are left out.
        item_ids: Raw id of each item ``[num_items]``, distinct; they are expected in ``histories``
            and returned. Default: items are the indices 0 to ``num_items - 1``.
        user_id: What to call each user in the result ``[Q]``, in the order of ``histories``.
            Default: the keys of a mapping, the users of a table or of a split, 0, 1, ... for a
            list.
        explain: Adds the columns that ``model.explain(batch, item_index)`` returns. In columns
            whose name ends in ``item`` or ``items`` the indices become raw ids.
        batch_size: Users scored at a time.
        device: Where to compute; the model is moved there. Default: where the model is.

    Returns:
        Columns ``user``, ``rank`` (from 1), ``item``, ``score`` and the explanation's; ``k`` rows
        a user, best first.

    Raises:
        ValueError: If a history is empty, an item is unknown, fewer than ``k`` items can be
            recommended to a user, or the model cannot explain.
    """
    if explain and not hasattr(model, "explain"):
        raise ValueError(f"explain=True needs a model with 'explain' (got {type(model).__name__})")
    if not 1 <= k <= model.num_items or batch_size < 1:
        raise ValueError(
            f"'k' must be from 1 to the number of items, {model.num_items}, and 'batch_size' at "
            f"least 1 (got {k} and {batch_size})"
        )
    raw = _raw_ids(item_ids, model.num_items)
    queries = read_histories(histories, raw, model.num_items, user_id)
    device = model_device(model) if device is None else torch.device(device)
    blocks = _recommend(model.to(device), queries, raw, k, exclude_seen, explain, batch_size)
    result = pd.concat(blocks, ignore_index=True)
    result.insert(0, "user", queries.users.repeat(k))
    result.insert(1, "rank", np.tile(np.arange(1, k + 1), len(queries)))
    return result


@torch.no_grad()
def _recommend(
    model: Recommender,
    queries: Histories,
    raw: pd.Index | None,
    k: int,
    exclude_seen: bool,
    explain: bool,
    batch_size: int,
) -> list[pd.DataFrame]:
    """Items, scores and explanations of each batch of users."""
    device = model_device(model)
    blocks = []
    with evaluation_mode(model):
        table = model.encode_items()
        for start in range(0, len(queries), batch_size):
            rows = slice(start, min(start + batch_size, len(queries)))
            batch = queries.batch(rows, model.max_length).to(device)
            scores = model.score(batch, table)
            check_scores(model, scores, (len(batch), model.num_items))
            if exclude_seen:
                scores = _mask_seen(scores, queries, rows, k)
            best, index = top_items(scores, k)
            _check_found(best, queries, rows)
            item = index.flatten().cpu().numpy()
            columns: dict[str, Any] = {"item": item if raw is None else raw.take(item)}
            columns["score"] = best.flatten().cpu().numpy()
            if explain:
                columns |= _explanation(model, batch, index, raw)
            blocks.append(pd.DataFrame(columns))
    return blocks


def top_items(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest scores of each row, best first; equal scores: the lower index first.

    Args:
        scores: Numbers ``[B, N]``.
        k: From 1 to ``N``.

    Returns:
        Scores ``[B, k]`` and indices ``[B, k]``.
    """
    index = top_mask(scores, k).nonzero()[:, 1].view(-1, k)  # rising in each row
    best, order = scores.gather(1, index).sort(dim=1, descending=True, stable=True)
    return best, index.gather(1, order)


def _mask_seen(scores: Tensor, queries: Histories, rows: slice, k: int) -> Tensor:
    row, item = seen_items(queries.ptr, queries.item, rows, scores.size(1))
    left = scores.size(1) - torch.bincount(row, minlength=scores.size(0))
    if left.min() < k:
        first = int((left < k).nonzero()[0])
        raise ValueError(
            f"'k' must not exceed the items left for a user (got k={k}, but user "
            f"{show(queries.users, rows.start + first)} has seen all but {int(left[first])} items)"
        )
    row, item = row.to(scores.device), item.to(scores.device)
    return scores.index_put((row, item), scores.new_tensor(-torch.inf))


def _check_found(best: Tensor, queries: Histories, rows: slice) -> None:
    bad = best.isneginf().any(1)
    if bad.any():
        user = show(queries.users, rows.start + int(bad.nonzero()[0]))
        raise ValueError(f"'k' must not exceed the items that the model scores for user {user}")


def _explanation(
    model: Recommender, batch: SequenceBatch, index: Tensor, raw: pd.Index | None
) -> dict[str, list[Any]]:
    columns = {}
    for name, values in model.explain(batch, index).items():  # type: ignore[operator]
        flat = [value for row in values for value in row]
        if len(flat) != index.numel():
            raise ValueError(
                f"{type(model).__name__}.explain must return {tuple(index.shape)} values in "
                f"{name!r} (got {len(flat)})"
            )
        columns[name] = _rename(flat, raw) if name.endswith(("item", "items")) else flat
    return columns


def _rename(value: Any, raw: pd.Index | None) -> Any:
    """Raw ids in place of indices, in lists of any depth."""
    if raw is None:
        return value
    if isinstance(value, list):
        return [_rename(part, raw) for part in value]
    return raw[value]


def _raw_ids(item_ids: ArrayLike | None, num_items: int) -> pd.Index | None:
    if item_ids is None:
        return None
    raw = plain_index(item_ids)
    if len(raw) != num_items or not raw.is_unique:
        raise ValueError(
            f"'item_ids' must hold {num_items} distinct ids, one for each item of the model (got "
            f"{len(raw)}, {raw.nunique()} distinct)"
        )
    return raw
