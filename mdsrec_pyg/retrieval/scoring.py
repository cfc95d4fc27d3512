"""The best items of a batch of users: every item scored, or the candidates of an index."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.evaluation.scores import check_scores, diverged
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.retrieval.candidates import candidate_scores, decomposed
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.limits import BatchLimits
from mdsrec_pyg.retrieval.tables import renamed
from mdsrec_pyg.retrieval.topk import first_of_rows, top_items

__all__ = ["Scoring"]


@dataclass(frozen=True, eq=False)
class Scoring:
    """A model in evaluation mode with what it knows of the items; nothing is changed by it.

    Args:
        model: The model.
        score: What scores a batch: the model's ``score``, or its compiled form.
        items: Result of ``model.encode_items()``.
        index: Looks up candidates; ``None``: every item is scored.
    """

    model: Recommender
    score: Callable[..., Tensor]
    items: Any
    index: FaissIndex | None

    def best(
        self,
        batch: SequenceBatch,
        limits: BatchLimits | None,
        k: int,
        name: Callable[[int], str],
    ) -> tuple[Tensor, Tensor]:
        """Scores and indices ``[B, k]`` of the best items that the users may get.

        Args:
            batch: Histories.
            limits: Which items the users may get; ``None``: all.
            k: Items a user.
            name: The user of a row, for an error.
        """
        if self.index is not None:
            found = self._best_candidates(self.index, batch, limits, k, name)
            if found is not None:
                return found
        scores = self.score(batch, self.items)
        check_scores(self.model, scores, (len(batch), self.model.num_items), name)
        return top_items(scores if limits is None else limits.masked(scores), k)

    def _best_candidates(
        self,
        index: FaissIndex,
        batch: SequenceBatch,
        limits: BatchLimits | None,
        k: int,
        name: Callable[[int], str],
    ) -> tuple[Tensor, Tensor] | None:
        """Those among the candidates; ``None`` where a user has too few of them."""
        if k > index.num_candidates:
            raise ValueError(
                f"'k' must not exceed the index's 'num_candidates' (got k={k} and "
                f"{index.num_candidates})"
            )
        model = decomposed(self.model)
        found = candidate_scores(model, batch, self.items, index, limits, k)
        if found is None:
            return None
        row, item, score = found
        bad = row[score.isnan()]
        if len(bad):
            raise diverged(self.model, name(int(bad[0])))
        return first_of_rows(row, item, score, len(batch), k)

    def explanation(
        self, batch: SequenceBatch, index: Tensor, item_ids: pd.Index | None
    ) -> dict[str, list[Any]]:
        """Columns of ``model.explain``, ``B * k`` values each.

        Args:
            batch: Histories.
            index: Items to explain ``[B, k]``.
            item_ids: Raw id of each item, in place of indices.
        """
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
            columns[name] = renamed(flat, item_ids) if is_item else flat
        return columns
