"""Recommendations one call after the other: item vectors are computed once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.configs import check_device
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.nn.mode import Unchanged, model_device, scorer, scoring_copy, uncompiled
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.one_modality import check_modality, one_modality
from mdsrec_pyg.retrieval.answerable import (
    Request,
    answerable,
    check_item_counts,
    without_unknown,
)
from mdsrec_pyg.retrieval.candidates import decomposed
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.histories import raw_ids, read_histories
from mdsrec_pyg.retrieval.limits import ItemChoice, Limits, read_limits
from mdsrec_pyg.retrieval.scoring import Scoring
from mdsrec_pyg.retrieval.tables import Answers, with_popular

__all__ = ["Retriever"]


class Retriever:
    """Answers requests for recommendations from item vectors that are computed once.

    Without an index every item is scored, and the results are those of
    :func:`~mdsrec_pyg.recommend`. With one, candidates are looked up, joined with the items that
    the history votes for and the history itself, and scored by the model as ever: a score is
    always the model's, but an item may be missed.

    Nothing is changed by a request, so any number of threads may ask at once; a retriever can be
    copied and pickled.

    Example:
        >>> retriever = Retriever(model, item_ids=dataset.item_ids)
        >>> retriever.recommend([["a", "b"]], k=10, exclude_seen=True)

    Args:
        model: A trained model. The retriever keeps weights of its own, those of this moment: the
            model may be trained on, in another thread too, and a new retriever serves the new
            weights. Tables that training does not change, such as graphs, are shared.
        item_ids: Raw id of each item ``[num_items]``, distinct; they are expected in the histories
            and returned. Default: those of the model, as a saved one has them; without, items are
            the indices 0 to ``num_items - 1``.
        index: Looks up candidates: a :class:`~mdsrec_pyg.FaissIndex`, built here unless it is
            built already, over the same vectors. Default: every item is scored.
        item_counts: Training interactions of each item ``[num_items]``, such as
            ``split.train.item_counts()``: what ``empty='popularity'`` goes by.
        device: Where to compute; the model stays where it is. Default: there.

    Raises:
        ValueError: ``item_ids`` do not fit, or an index is given and the model's scores are not
            inner products with item vectors (Popularity, EASE, MDSRec with ``vectors=False``).
        ImportError: An index is given and FAISS is not installed.
    """

    def __init__(
        self,
        model: Recommender,
        item_ids: ArrayLike | None = None,
        *,
        index: FaissIndex | None = None,
        item_counts: ArrayLike | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.device = model_device(model) if device is None else check_device(device)
        self.item_ids = raw_ids(ids_of(model, item_ids), model.num_items)
        self.item_counts = check_item_counts(item_counts, model.num_items)
        self.index = index
        if index is not None:
            decomposed(uncompiled(model))
        weights = Unchanged(model.parameters())
        scoring = scoring_copy(model, self.device, own_weights=True)
        weights.check("while a Retriever is made of it")
        self.model = uncompiled(scoring)
        self._tables = Unchanged([*self.model.parameters(), *self.model.buffers()])
        with torch.no_grad():
            self.items = self.model.encode_items()
        if index is not None:
            index.build(decomposed(self.model).item_table(self.items))
        self._scoring = Scoring(self.model, scorer(scoring), self.items, index)
        self._by_modality: dict[str, Scoring] = {}

    @classmethod
    def from_folder(
        cls,
        folder: str | PathLike[str],
        *,
        index: FaissIndex | None = None,
        device: str | torch.device = "cpu",
        **own_parts: Any,
    ) -> Retriever:
        """A retriever over a saved model; it needs no data set.

        Args:
            folder: What ``model.save`` wrote, such as ``runs/NAME/model``.
            index: See above.
            device: Where to compute.
            **own_parts: See :meth:`~mdsrec_pyg.nn.Recommender.load`.
        """
        return cls(Recommender.load(folder, device, **own_parts), index=index)

    def recommend(
        self,
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
        user_id: ArrayLike | None = None,
        explain: bool = False,
        batch_size: int = 512,
        on_error: str = "raise",
        empty: str = "raise",
        unknown: str = "raise",
    ) -> pd.DataFrame:
        """The ``k`` items with the highest scores for each history; equal scores: the lower index.

        Args:
            histories: Items of each user in any form that :func:`~mdsrec_pyg.recommend` takes.
            k: Number of items for each user.
            exclude_seen: Whether items of the history are left out.
            include: See :func:`~mdsrec_pyg.recommend`.
            exclude: See :func:`~mdsrec_pyg.recommend`.
            modality: See :func:`~mdsrec_pyg.recommend`.
            user_id: What to call each user in the result ``[Q]``.
            explain: Adds the columns of ``model.explain``.
            batch_size: Users scored at a time.
            on_error: See :func:`~mdsrec_pyg.recommend`.
            empty: See :func:`~mdsrec_pyg.recommend`.
            unknown: See :func:`~mdsrec_pyg.recommend`.

        Returns:
            As :func:`~mdsrec_pyg.recommend`.

        Raises:
            ValueError: As :func:`~mdsrec_pyg.recommend`, and where a table that the retriever
                shares with the model, such as a graph, was written to.
        """
        request = Request(k, exclude_seen, explain, batch_size, on_error, empty, unknown, modality)
        check_request(self.model, request, self.item_counts)
        num_items = self.model.num_items
        queries = read_histories(histories, self.item_ids, num_items, user_id)
        queries = without_unknown(queries, request)
        lists = {"include": include, "exclude": exclude}
        limits = read_limits(queries, self.item_ids, num_items, seen=exclude_seen, **lists)
        rows = answerable(queries, request, limits)
        answers = Answers(num_items, request, queries, self.item_ids)
        scoring = self._scoring_by(modality)
        self._tables.check("while a Retriever serves it")
        for start in range(0, len(rows), batch_size):
            self._answer(scoring, answers, limits, rows[start : start + batch_size])
        self._tables.check("while a Retriever serves it")
        if request.popular:
            assert self.item_counts is not None
            with_popular(answers, self.item_counts, limits)
        return answers.table()

    def _scoring_by(self, modality: str | None) -> Scoring:
        """By all modalities, or by one alone: made when it is first asked for, and kept."""
        if modality is None:
            return self._scoring
        if modality not in self._by_modality:
            model = one_modality(self.model, modality)
            self._by_modality[modality] = replace(self._scoring, model=model, score=model.score)
        return self._by_modality[modality]

    @torch.no_grad()  # not inference_mode: a model may keep what it computes for its training
    def _answer(
        self, scoring: Scoring, answers: Answers, limits: Limits, rows: NDArray[np.int64]
    ) -> None:
        """Adds the answers for a batch of users."""
        request, queries = answers.request, answers.queries
        part = queries.select(rows)
        batch = part.batch(slice(0, len(rows)), self.model.max_length).to(self.device)
        allowed = limits.of(rows, self.device)
        best, index = scoring.best(
            batch, allowed, request.k, lambda row: queries.name(int(rows[row]))
        )
        why = scoring.explanation(batch, index, self.item_ids) if request.explain else {}
        bad = best.isneginf().any(1).nonzero()[:, 0].tolist()
        for row in bad:
            request.refuse(
                int(rows[row]),
                f"'k' must not exceed the items that the model scores for user "
                f"{queries.name(int(rows[row]))}",
            )
        answers.add(rows, index.cpu().numpy(), best.cpu().numpy(), why, bad)


def ids_of(model: Any, item_ids: Any) -> Any:
    """The raw ids that are given, or those that the model has."""
    return getattr(model, "item_ids", None) if item_ids is None else item_ids


def check_request(
    model: Recommender, request: Request, item_counts: NDArray[np.float64] | None
) -> None:
    """Raises a ValueError where the model cannot be asked for this."""
    if request.explain and not hasattr(model, "explain"):
        raise ValueError(f"explain=True needs a model with 'explain' (got {type(model).__name__})")
    if not 1 <= request.k <= model.num_items:
        raise ValueError(
            f"'k' must be from 1 to the number of items, {model.num_items} (got {request.k})"
        )
    if request.modality is not None:
        check_modality(uncompiled(model), request.modality)
    if request.batch_size < 1:
        raise ValueError(f"'batch_size' must be at least 1 (got {request.batch_size})")
    if request.empty == "popularity" and item_counts is None:
        raise ValueError(
            "empty='popularity' needs 'item_counts', the training interactions of each item, "
            "such as split.train.item_counts() (got None)"
        )
