"""The answers of a request, batch by batch, as one table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mdsrec_pyg.retrieval.answerable import Request, plain, warn_of
from mdsrec_pyg.retrieval.histories import Histories
from mdsrec_pyg.retrieval.limits import Limits
from mdsrec_pyg.retrieval.topk import top_items


class Answers:
    """Gathers items and scores of the users who were answered.

    Args:
        num_items: Size of the catalog.
        request: What was asked for.
        queries: All users of the request.
        item_ids: Raw id of each item; ``None``: items are called by their indices.
    """

    def __init__(
        self, num_items: int, request: Request, queries: Histories, item_ids: pd.Index | None
    ) -> None:
        self.num_items, self.request = num_items, request
        self.queries, self.item_ids = queries, item_ids
        self.rows: list[NDArray[np.int64]] = []
        self.items: list[NDArray[np.int64]] = []
        self.scores: list[NDArray[Any]] = []
        self.why: dict[str, list[Any]] = {}

    def add(
        self,
        rows: NDArray[np.int64],
        items: NDArray[np.int64],
        scores: NDArray[Any],
        why: dict[str, list[Any]],
        without: list[int],
    ) -> None:
        """Adds a batch.

        Args:
            rows: Positions of the users ``[B]``.
            items: Their items ``[B, k]``.
            scores: The scores ``[B, k]``.
            why: Columns of the explanation, ``B * k`` values each.
            without: Rows of the batch to leave out.
        """
        kept = np.ones(len(rows), bool)
        kept[without] = False
        self.rows.append(rows[kept])
        self.items.append(items[kept])
        self.scores.append(scores[kept])
        each = np.repeat(kept, self.request.k).tolist()
        for name, values in why.items():
            column = self.why.setdefault(name, [])
            column.extend(value for value, ok in zip(values, each, strict=True) if ok)

    def table(self) -> pd.DataFrame:
        """One row a user and rank, in the order of the users; says once who is missing."""
        k, empty = self.request.k, np.empty(0, np.int64)
        rows = np.concatenate([empty, *self.rows])
        item = np.concatenate([np.empty((0, k), np.int64), *self.items]).ravel()
        scores = self.scores or [np.empty((0, k), np.float32)]
        columns: dict[str, Any] = {
            "user": self.queries.users[rows].repeat(k),
            "rank": np.tile(np.arange(1, k + 1), len(rows)),
            "item": item if self.item_ids is None else self.item_ids.take(item),
            "score": np.concatenate(scores).ravel(),
        }
        if self.request.names_source:
            popular = np.isin(rows, self.request.popular)
            columns["source"] = np.where(popular, "popularity", "model").repeat(k)
        table = pd.DataFrame(columns | self.why)
        if (np.diff(rows) < 0).any():  # the most popular items came last
            order = np.argsort(rows.repeat(k), kind="stable")
            table = table.iloc[order].reset_index(drop=True)
        self._say(table)
        return table

    def _say(self, table: pd.DataFrame) -> None:
        skipped = self.request.skipped(self.queries.users)
        popular = [plain(self.queries.users, row) for row in self.request.popular]
        if self.request.on_error == "skip":
            table.attrs["skipped"] = skipped
        dropped = self.request.left_out(self.queries.users)
        if self.request.unknown == "drop":
            table.attrs["dropped"] = dropped
        warn_of(skipped, popular, dropped)


def with_popular(answers: Answers, item_counts: NDArray[np.float64], limits: Limits) -> None:
    """Adds the most popular of the allowed items for the users without a history."""
    request = answers.request
    scores = torch.from_numpy(np.log1p(item_counts))
    nothing: dict[str, Any] = {
        name: [] if any(isinstance(value, list) for value in values) else None
        for name, values in answers.why.items()
    }
    for start in range(0, len(request.popular), request.batch_size):
        rows = np.array(request.popular[start : start + request.batch_size], dtype=np.int64)
        found, each = limits.of(rows, scores.device), scores[None]
        if found is not None:
            each = found.masked(scores.expand(len(rows), -1))
        best, item = (part.expand(len(rows), -1) for part in top_items(each, request.k))
        why = {name: [value] * item.numel() for name, value in nothing.items()}
        answers.add(rows, item.numpy(), best.float().numpy(), why, [])


def renamed(value: Any, raw: pd.Index | None) -> Any:
    """Raw ids in place of indices, in lists of any depth."""
    if raw is None:
        return value
    if isinstance(value, list):
        return [renamed(part, raw) for part in value]
    return raw[value]
