"""Recommendations one call after the other: item vectors are computed once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.configs import check_device
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.nn.mode import Unchanged, model_device, scorer, scoring_copy, uncompiled
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.one_modality import one_modality
from mdsrec_pyg.nn.models.saving.card import ModelCard
from mdsrec_pyg.retrieval.answerable import (
    Request,
    answerable,
    check_item_counts,
    check_request,
    counts_of,
    ids_of,
    without_unknown,
)
from mdsrec_pyg.retrieval.candidates import decomposed
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.histories import raw_ids, read_histories
from mdsrec_pyg.retrieval.limits import ItemChoice, Limits, read_limits
from mdsrec_pyg.retrieval.saved import from_folder, reopened, save_retriever
from mdsrec_pyg.retrieval.scoring import Scoring
from mdsrec_pyg.retrieval.similar import Similarities, similar_table
from mdsrec_pyg.retrieval.tables import Answers, with_popular

__all__ = ["Retriever"]

R = TypeVar("R", bound="Retriever")


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
            ``split.train.item_counts()``: what ``empty='popularity'`` goes by. Default: those that
            the model has, as the trainer gives them and a saved model keeps them.
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
        self._describe(model, item_ids, index, item_counts, device)
        weights = Unchanged(model.parameters())
        scoring = scoring_copy(model, self.device, own_weights=True)
        weights.check("while a Retriever is made of it")
        self._serve(scoring, None)

    def _describe(
        self,
        model: Recommender,
        item_ids: ArrayLike | None,
        index: FaissIndex | None,
        item_counts: ArrayLike | None,
        device: str | torch.device | None,
    ) -> None:
        """Everything but the model, checked before anything is computed."""
        self.device = model_device(model) if device is None else check_device(device)
        self.item_ids = raw_ids(ids_of(model, item_ids), model.num_items)
        known = counts_of(model, item_counts)
        self.item_counts = check_item_counts(known, model.num_items)
        self.index = index
        self._reopening: tuple[Any, ...] | None = None
        if index is not None:
            decomposed(uncompiled(model))

    def _serve(self, scoring: Recommender, items: Any) -> None:
        """Takes a model that is nobody else's, in evaluation mode, and what it knows of items."""
        self.model = uncompiled(scoring)
        if getattr(self.model, "built_from", None) is not None:  # of no use here, and large
            setattr(self.model, "built_from", None)  # noqa: B010 (typed as a tensor)
        self._tables = Unchanged([*self.model.parameters(), *self.model.buffers()])
        with torch.no_grad():
            self.items = self.model.encode_items() if items is None else items
        if self.index is not None:
            self.index.build(decomposed(self.model).item_table(self.items))
        self._scoring = Scoring(self.model, scorer(scoring), self.items, self.index)
        self._by_modality: dict[str, Scoring] = {}
        self._similar = Similarities(self.model, self.items)

    @classmethod
    def from_folder(
        cls: type[R],
        folder: str | PathLike[str],
        *,
        index: FaissIndex | bool | None = None,
        device: str | torch.device = "cpu",
        mmap: bool = False,
        **own_parts: Any,
    ) -> R:
        """A retriever over a saved model; it needs no data set.

        Args:
            folder: What ``model.save`` or :meth:`save` wrote, such as ``runs/NAME/model``.
            index: See above. ``None``: the one that :meth:`save` wrote there, if it did; ``True``:
                that one, and an error where there is none; ``False``: none.
            device: Where to compute.
            mmap: Maps weights, tables, item vectors and a saved index into memory instead of
                reading them: processes that serve the same folder share one copy. The item vectors
                are computed by the first of them, which writes them beside the model
                (``vectors.safetensors``). A pickle is then the path, and the other process maps the
                same files. On the CPU only.
            **own_parts: See :meth:`~mdsrec_pyg.nn.Recommender.load`.

        Raises:
            ValueError: See :meth:`~mdsrec_pyg.nn.Recommender.load` and
                :meth:`~mdsrec_pyg.retrieval.FaissIndex.load`, or the saved index was built over
                the vectors of another model.
        """
        return from_folder(cls, folder, index, device, mmap, own_parts)

    def save(self, folder: str | PathLike[str], *, card: ModelCard | None = None) -> None:
        """Writes model, raw ids, item counts and index; :meth:`from_folder` reads them again.

        Args:
            folder: Made if missing; a model in it is replaced, and its index with it.
            card: See :meth:`~mdsrec_pyg.nn.Recommender.save`.
        """
        save_retriever(self, folder, card)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A mapped retriever is opened again: its copies and pickles hold no tensor."""
        if self._reopening is None:
            return super().__reduce_ex__(protocol)
        return reopened, self._reopening

    @property
    def similarities(self) -> list[str]:
        """Names of the ways in which the model knows items to be alike."""
        return self._similar.names()

    def similar_items(
        self, item: Any, k: int = 10, by: str | Sequence[str] | None = None
    ) -> pd.DataFrame:
        """The items most like one, by features, over the learned graphs or by vectors.

        Args:
            item: Raw id of the item.
            k: Most items by each similarity.
            by: Names among :attr:`similarities`: a modality (cosine of its features as the model
                reads them), ``'votes MODALITY'`` (what the item votes for over the learned graph),
                ``'item graph MODALITY'`` (its neighbors, by the weight of the edge) and
                ``'vectors'`` (cosine of the item vectors that score). Default: all there are.

        Returns:
            Columns ``by``, ``rank`` (from 1), ``item`` and ``score``, the most similar first, equal
            ones by their index; the item itself is left out. There are fewer than ``k`` where a
            graph has no more edges, and none where the item lacks the modality.

        Raises:
            ValueError: An item that the catalog lacks, ``k`` below 1, or a similarity that the
                model does not have.
        """
        return similar_table(self._similar, self.item_ids, item, k, by)

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
