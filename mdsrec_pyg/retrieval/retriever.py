"""Recommendations one call after the other: item vectors are computed once and kept."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mdsrec_pyg.configs import check_device
from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation.scores import check_scores, seen_items
from mdsrec_pyg.nn.mode import evaluation_mode, model_device, scorer, uncompiled
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.retrieval.candidates import candidate_scores, decomposed
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.histories import Histories, raw_ids, read_histories, show
from mdsrec_pyg.retrieval.topk import first_of_rows, top_items

__all__ = ["Retriever"]


class Retriever:
    """Answers requests for recommendations from item vectors that are computed once.

    Without an index every item is scored, and the results are those of
    :func:`~mdsrec_pyg.recommend`. With one, candidates are looked up, joined with the items that
    the history votes for and the history itself, and scored by the model as ever: a score is
    always the model's, but an item may be missed.

    Example:
        >>> retriever = Retriever(model, item_ids=dataset.item_ids)
        >>> retriever.recommend([["a", "b"]], k=10, exclude_seen=True)

    Args:
        model: A trained model. After more training, make a new retriever.
        item_ids: Raw id of each item ``[num_items]``, distinct; they are expected in the histories
            and returned. Default: those of the model, as a saved one has them; without, items are
            the indices 0 to ``num_items - 1``.
        index: Looks up candidates: a :class:`~mdsrec_pyg.FaissIndex`, built here unless it is
            built already. Default: every item is scored.
        device: Where to compute; the model is moved there. Default: where the model is.

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
        device: str | torch.device | None = None,
    ) -> None:
        self.device = model_device(model) if device is None else check_device(device)
        self._score = scorer(model.to(self.device))
        self.model = model = uncompiled(model)
        self.item_ids = raw_ids(ids_of(model, item_ids), model.num_items)
        self.index = index
        if index is not None:
            decomposed(model)
        with torch.no_grad(), evaluation_mode(model):
            self.items = model.encode_items()
        self._parameters = list(model.parameters())
        self._versions = _versions(self._parameters)
        if index is not None:
            index.build(decomposed(model).item_table(self.items))

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
        | pd.DataFrame
        | EvaluationSplit,
        k: int = 10,
        *,
        exclude_seen: bool,
        user_id: ArrayLike | None = None,
        explain: bool = False,
        batch_size: int = 512,
    ) -> pd.DataFrame:
        """The ``k`` items with the highest scores for each history; equal scores: the lower index.

        Args:
            histories: Items of each user in any form that :func:`~mdsrec_pyg.recommend` takes.
            k: Number of items for each user.
            exclude_seen: Whether items of the history are left out.
            user_id: What to call each user in the result ``[Q]``.
            explain: Adds the columns of ``model.explain``.
            batch_size: Users scored at a time.

        Returns:
            Columns ``user``, ``rank`` (from 1), ``item``, ``score`` and the explanation's; ``k``
            rows a user, best first.

        Raises:
            ValueError: As :func:`~mdsrec_pyg.recommend`, and if the model has changed.
        """
        check_request(self.model, k, explain, batch_size)
        if _versions(self._parameters) != self._versions:
            raise ValueError(
                "'model' must stay as it was when the Retriever was made (got other weights or "
                "another device since): make a new Retriever"
            )
        queries = read_histories(histories, self.item_ids, self.model.num_items, user_id)
        return self.answer(queries, k, exclude_seen, explain, batch_size)

    @torch.no_grad()  # not inference_mode: a model may keep what it computes for its training
    def answer(
        self, queries: Histories, k: int, exclude_seen: bool, explain: bool, batch_size: int
    ) -> pd.DataFrame:
        """:meth:`recommend` for histories that are read and a request that is checked."""
        blocks: list[dict[str, Any]] = []
        with evaluation_mode(self.model):
            for start in range(0, len(queries), batch_size):
                rows = slice(start, min(start + batch_size, len(queries)))
                batch = queries.batch(rows, self.model.max_length).to(self.device)
                best, index = self._best(batch, queries, rows, k, exclude_seen)
                _check_found(best, queries, rows)
                item, score = index.flatten().cpu().numpy(), best.flatten().cpu().numpy()
                blocks.append({"item": item, "score": score})
                if explain:
                    blocks[-1] |= self._explanation(batch, index)
        item = _join(blocks, "item")
        columns: dict[str, Any] = {
            "user": queries.users.repeat(k),
            "rank": np.tile(np.arange(1, k + 1), len(queries)),
            "item": item if self.item_ids is None else self.item_ids.take(item),
            "score": _join(blocks, "score"),
        }
        for name in list(blocks[0])[2:]:
            columns[name] = [value for block in blocks for value in block[name]]
        return pd.DataFrame(columns)

    def _best(
        self, batch: SequenceBatch, queries: Histories, rows: slice, k: int, exclude_seen: bool
    ) -> tuple[Tensor, Tensor]:
        """Scores and indices ``[B, k]`` of the best items of a batch of users."""
        num_items = self.model.num_items
        seen = None
        if exclude_seen:
            seen = seen_items(queries.ptr, queries.item, rows, num_items)
            _check_left(seen[0], queries, rows, k, num_items)
            seen = seen[0].to(self.device), seen[1].to(self.device)
        if self.index is not None:
            found = self._best_candidates(self.index, batch, seen, k)
            if found is not None:
                return found
        scores = self._score(batch, self.items)
        check_scores(self.model, scores, (len(batch), num_items))
        if seen is not None:
            scores = scores.index_put(seen, scores.new_tensor(-torch.inf))
        return top_items(scores, k)

    def _best_candidates(
        self, index: FaissIndex, batch: SequenceBatch, seen: tuple[Tensor, Tensor] | None, k: int
    ) -> tuple[Tensor, Tensor] | None:
        """Those among the candidates; ``None`` where a user has too few of them."""
        if k > index.num_candidates:
            raise ValueError(
                f"'k' must not exceed the index's 'num_candidates' (got k={k} and "
                f"{index.num_candidates})"
            )
        row, item, score = candidate_scores(decomposed(self.model), batch, self.items, index, seen)
        if bool((torch.bincount(row, minlength=len(batch)) < k).any()):
            return None
        return first_of_rows(row, item, score, len(batch), k)

    def _explanation(self, batch: SequenceBatch, index: Tensor) -> dict[str, list[Any]]:
        model: Any = self.model
        takes_items = "items" in inspect.signature(model.explain).parameters
        options = {"items": self.items} if takes_items else {}
        columns = {}
        for name, values in model.explain(batch, index, **options).items():
            flat = [value for row in values for value in row]
            if len(flat) != index.numel():
                raise ValueError(
                    f"{type(model).__name__}.explain must return {tuple(index.shape)} values in "
                    f"{name!r} (got {len(flat)})"
                )
            is_item = name.endswith(("item", "items"))
            columns[name] = _rename(flat, self.item_ids) if is_item else flat
        return columns


def ids_of(model: Any, item_ids: Any) -> Any:
    """The raw ids that are given, or those that the model has."""
    return getattr(model, "item_ids", None) if item_ids is None else item_ids


def check_request(model: Recommender, k: int, explain: bool, batch_size: int) -> None:
    """Raises a ValueError where the model cannot be asked for this."""
    if explain and not hasattr(model, "explain"):
        raise ValueError(f"explain=True needs a model with 'explain' (got {type(model).__name__})")
    if not 1 <= k <= model.num_items or batch_size < 1:
        raise ValueError(
            f"'k' must be from 1 to the number of items, {model.num_items}, and 'batch_size' at "
            f"least 1 (got {k} and {batch_size})"
        )


def _versions(parameters: list[torch.nn.Parameter]) -> list[tuple[int, int]]:
    """Where each parameter lies and how often it was written to."""
    return [(parameter.data_ptr(), parameter._version) for parameter in parameters]


def _join(blocks: list[dict[str, Any]], name: str) -> NDArray[Any]:
    parts = [block[name] for block in blocks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _check_left(row: Tensor, queries: Histories, rows: slice, k: int, num_items: int) -> None:
    left = num_items - torch.bincount(row, minlength=rows.stop - rows.start)
    if left.min() < k:
        first = int((left < k).nonzero()[0])
        raise ValueError(
            f"'k' must not exceed the items left for a user (got k={k}, but user "
            f"{show(queries.users, rows.start + first)} has seen all but {int(left[first])} items)"
        )


def _check_found(best: Tensor, queries: Histories, rows: slice) -> None:
    bad = best.isneginf().any(1)
    if bad.any():
        user = show(queries.users, rows.start + int(bad.nonzero()[0]))
        raise ValueError(f"'k' must not exceed the items that the model scores for user {user}")


def _rename(value: Any, raw: pd.Index | None) -> Any:
    """Raw ids in place of indices, in lists of any depth."""
    if raw is None:
        return value
    if isinstance(value, list):
        return [_rename(part, raw) for part in value]
    return raw[value]
