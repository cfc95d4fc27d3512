"""The best items for each history, with raw ids in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from numpy.typing import ArrayLike

from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.retrieval.histories import raw_ids, read_histories
from mdsrec_pyg.retrieval.retriever import Retriever, check_request, ids_of
from mdsrec_pyg.retrieval.topk import top_items

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

    New users need no training: their history is all that counts. What does not depend on the user
    is computed anew in each call: keep a :class:`~mdsrec_pyg.Retriever` to answer many.

    Args:
        model: The model; it is put into evaluation mode and back into its earlier mode.
        histories: Items of each user, oldest first: a list of sequences, a mapping from user to
            sequence, a table with columns ``user``, ``item`` and perhaps ``timestamp`` (otherwise
            the order of its rows counts), or the queries of an ``EvaluationSplit``, whose items
            are indices already.
        k: Number of items for each user.
        exclude_seen: Whether items of the history are left out.
        item_ids: Raw id of each item ``[num_items]``, distinct; they are expected in ``histories``
            and returned. Default: those of the model, as a saved one has them; without, items are
            the indices 0 to ``num_items - 1``.
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
    check_request(model, k, explain, batch_size)
    raw = raw_ids(ids_of(model, item_ids), model.num_items)
    queries = read_histories(histories, raw, model.num_items, user_id)
    retriever = Retriever(model, raw, device=device)
    return retriever.answer(queries, k, exclude_seen, explain, batch_size)
