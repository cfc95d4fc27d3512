"""The best items for each history, with raw ids in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from numpy.typing import ArrayLike

from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.retrieval.answerable import Request, check_item_counts, check_request, counts_of
from mdsrec_pyg.retrieval.limits import ItemChoice
from mdsrec_pyg.retrieval.retriever import Retriever
from mdsrec_pyg.retrieval.topk import top_items

__all__ = ["recommend", "top_items"]


def recommend(
    model: Recommender,
    histories: Sequence[Sequence[Any]]
    | Mapping[Any, Sequence[Any]]
    | pd.Series[Any]
    | pd.DataFrame
    | EvaluationSplit,
    k: int = 10,
    *,
    exclude_seen: bool,
    include: ItemChoice | None = None,
    exclude: ItemChoice | None = None,
    modality: str | None = None,
    item_ids: ArrayLike | None = None,
    user_id: ArrayLike | None = None,
    explain: bool = False,
    batch_size: int = 512,
    on_error: str = "raise",
    empty: str = "raise",
    unknown: str = "raise",
    item_counts: ArrayLike | None = None,
    device: str | torch.device | None = None,
) -> pd.DataFrame:
    """The ``k`` items with the highest scores for each history; equal scores: the lower index.

    New users need no training: their history is all that counts. What does not depend on the user
    is computed anew in each call: keep a :class:`~mdsrec_pyg.Retriever` to answer many.

    Args:
        model: The model. A copy in evaluation mode answers, with the weights of this moment; the
            model's own mode is never touched.
        histories: Items of each user, oldest first: a list of sequences, a mapping or Series from
            user to sequence, a table with columns ``user``, ``item`` and perhaps ``timestamp``
            (otherwise the order of its rows counts), or the queries of an ``EvaluationSplit``,
            whose items are indices already.
        k: Number of items for each user.
        exclude_seen: Whether items of the history are left out: of all that the user has taken,
            not only of the newest ``max_length`` items that the model reads.
        include: The only items that may be recommended, raw ids in any order: a list, set or
            Series for all users, or a mapping from the name of a user to such a list for that user
            (the others may get everything). Lists narrow what ``exclude_seen`` leaves; scores stay
            what they are without. Default: the whole catalog.
        exclude: Items that must not be recommended, such as those out of stock, in the same forms.
        modality: Name of the only modality whose votes and vectors count, one of
            ``model.modalities``: each adds to the score what it adds beside the others, see
            :func:`~mdsrec_pyg.nn.models.one_modality.one_modality`. The history bias stays.
            Default: all of them.
        item_ids: Raw id of each item ``[num_items]``, distinct; they are expected in ``histories``
            and returned. Default: those of the model, as a saved one has them; without, items are
            the indices 0 to ``num_items - 1``.
        user_id: What to call each user in the result ``[Q]``, in the order of ``histories``.
            Default: the keys of a mapping, the users of a table or of a split, 0, 1, ... for a
            list.
        explain: Adds the columns that ``model.explain(batch, item_index)`` returns. In columns
            whose name ends in ``item`` or ``items`` the indices become raw ids.
        batch_size: Users scored at a time. The memory is that of
            :func:`~mdsrec_pyg.evaluation.evaluate`, and as many scores again with
            ``exclude_seen``: the model's stay as they are.
        on_error: ``'raise'``: a user who cannot be answered (no history, an item that the catalog
            lacks, fewer than ``k`` items left) is an error that names the user. ``'skip'``: the
            others are answered; a warning says once who was skipped and why, and
            ``table.attrs['skipped']`` lists ``user``, ``position`` and ``reason`` of each.
        empty: ``'raise'``: a user without a history is one who cannot be answered.
            ``'popularity'``: gets the allowed items most often taken in training, scored
            ``log(1 + item_counts)``; a column ``source`` says of each row ``'model'`` or
            ``'popularity'``, and a warning says it once.
        unknown: ``'raise'``: a user with an item that the catalog lacks cannot be answered.
            ``'drop'``: such items are left out of the history, and a user of whom nothing is left
            is one without a history, see ``empty``. A column ``source`` is added, too, a warning
            says it once, and ``table.attrs['dropped']`` lists ``user``, ``position`` and ``items``
            of each.
        item_counts: Training interactions of each item ``[num_items]``, such as
            ``split.train.item_counts()``, for ``empty='popularity'``. Default: those of the model,
            as the trainer gives them and a saved model keeps them.
        device: Where to compute; the model stays where it is. Default: there.

    Returns:
        Columns ``user``, ``rank`` (from 1), ``item``, ``score`` and the explanation's; ``k`` rows
        a user, best first.

    Raises:
        ValueError: A user who cannot be answered, see ``on_error``, a user called by an empty
            text, an item in ``include`` or ``exclude`` that the catalog lacks or a user there who
            is not asked about, an option out of range, scores that are not numbers, or a model
            that cannot explain or has no such modality.
    """
    request = Request(k, exclude_seen, explain, batch_size, on_error, empty, unknown, modality)
    counts = check_item_counts(counts_of(model, item_counts), model.num_items)
    check_request(model, request, counts)  # before the items are encoded
    retriever = Retriever(model, item_ids, item_counts=counts, device=device)
    return retriever.recommend(
        histories,
        k,
        exclude_seen=exclude_seen,
        include=include,
        exclude=exclude,
        modality=modality,
        user_id=user_id,
        explain=explain,
        batch_size=batch_size,
        on_error=on_error,
        empty=empty,
        unknown=unknown,
    )
