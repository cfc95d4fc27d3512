"""Items that are like an item: by features, over the graphs of a model, by its vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mdsrec_pyg.retrieval.histories import show
from mdsrec_pyg.retrieval.lookup import look_up
from mdsrec_pyg.retrieval.topk import top_items

__all__ = ["Similarities", "similar_table"]

Find = Callable[[int], tuple[Tensor, Tensor]]


class Similarities:
    """Every way in which a model knows items to be alike, by name.

    ========================  ===================================================================
    a modality                cosine of its features, as the model reads them
    ``'votes MODALITY'``      edges that the item votes with over the learned graph
    ``'item graph MODALITY'``  edges of the item graph from neighbors to the item
    ``'vectors'``             cosine of the item vectors that score, all modalities side by side
    ========================  ===================================================================

    A model has those that it is built with: votes read no features, and without modalities there
    are vectors at most.

    Args:
        model: Any model in evaluation mode.
        items: Result of ``model.encode_items()``.
    """

    def __init__(self, model: Any, items: Any) -> None:
        self.model, self.items = model, items
        self._norms: dict[str, Tensor] = {}

    def names(self) -> list[str]:
        """What the model has, modalities first."""
        return list(self._ways())

    def find(self, name: str, item: int, k: int) -> tuple[Tensor, Tensor]:
        """The items most like an item, itself left out; equal ones: the lower index first.

        Args:
            name: One of :meth:`names`.
            item: Index of the item.
            k: Most items.

        Returns:
            Items and similarities, at most ``k``: fewer where the graph has no more edges, none
            where the item lacks the modality.
        """
        others, score = self._ways()[name](item)
        known = (others != item) & score.isfinite()
        others, score = others[known], score[known]
        if not len(others):
            return others, score
        best, place = top_items(score[None], min(k, len(others)))
        return others[place[0]], best[0]

    def _ways(self) -> dict[str, Find]:
        ways: dict[str, Find] = {}
        model, names = self.model, list(getattr(self.model, "modalities", ()))
        votes: Any = getattr(model, "votes", None)
        project: Any = getattr(model, "project", None)
        for m, name in enumerate(names if project else ()):
            ways[name] = partial(self._by_features, name, project[m])
        for m, name in enumerate(names if votes is not None else ()):
            ways.setdefault(f"votes {name}", partial(_by_votes, votes.tables[m]))
        for m, name in enumerate(names):
            if hasattr(model, f"edge_index_{m}"):
                ways.setdefault(f"item graph {name}", partial(_by_neighbors, *model._edges(m)))
        if self._vectors() is not None:
            ways.setdefault("vectors", self._by_vectors)
        return ways

    def _vectors(self) -> Tensor | None:
        if not hasattr(self.model, "item_table") or not hasattr(self.model, "encode_users"):
            return None
        if self.items is None or getattr(self.items, "embedding", self.items) is None:
            return None
        table: Tensor = self.model.item_table(self.items)
        return table

    def _by_vectors(self, item: int) -> tuple[Tensor, Tensor]:
        table = self._vectors()
        assert table is not None
        cosine = self._cosine("vectors", table, item)
        return torch.arange(len(table), device=table.device), cosine

    def _by_features(self, name: str, projection: Any, item: int) -> tuple[Tensor, Tensor]:
        x, present = projection.x, projection.present
        if present is None:
            present = torch.arange(len(x), device=x.device)
        place = (present == item).nonzero()
        if not len(place):  # the item lacks the modality
            return present[:0], x.new_empty(0)
        return present, self._cosine(f"features {name}", x, int(place[0, 0]))

    def _cosine(self, name: str, table: Tensor, row: int) -> Tensor:
        """Cosine of a row with all rows; lengths are kept, so that a call makes one pass."""
        if name not in self._norms:
            self._norms[name] = torch.linalg.vector_norm(table, dim=1)
        norms = self._norms[name]
        return (table @ table[row] / (norms * norms[row])).clamp(-1, 1)


def _by_votes(table: Any, item: int) -> tuple[Tensor, Tensor]:
    target, weight = table.target[item].long(), table.weight[item]
    there = weight > 0
    order = target[there].argsort()
    return target[there][order], weight[there][order]


def _by_neighbors(
    edge_index: Tensor, edge_weight: Tensor | None, item: int
) -> tuple[Tensor, Tensor]:
    place = (edge_index[1] == item).nonzero()[:, 0]
    source = edge_index[0, place]
    weight = torch.ones_like(place, dtype=torch.float32)
    if edge_weight is not None:
        weight = edge_weight[place]
    order = source.argsort(stable=True)
    return source[order], weight[order]


def similar_table(
    similar: Similarities, raw: pd.Index | None, item: Any, k: int, by: str | Sequence[str] | None
) -> pd.DataFrame:
    """See :meth:`mdsrec_pyg.Retriever.similar_items`."""
    size, known = similar.model.num_items, similar.names()
    catalog = pd.RangeIndex(size) if raw is None else raw
    given = pd.Index([item], dtype=object, tupleize_cols=False)
    place = int(look_up(given, catalog)[0])
    if place < 0:
        listed = f"0 to {size - 1}" if raw is None else f"'item_ids', such as {show(raw, 0)}"
        raise ValueError(f"'item' must be one of {listed} (got {item!r})")
    if k < 1:
        raise ValueError(f"'k' must be at least 1 (got {k})")
    wanted = known if by is None else [by] if isinstance(by, str) else list(by)
    other = [name for name in wanted if name not in known]
    if other or not known:
        there = ", ".join(map(repr, known)) or f"none, as {type(similar.model).__name__} has none"
        raise ValueError(f"'by' must be among {there} (got {(other[0] if other else by)!r})")
    parts = []
    with torch.no_grad():
        for name in wanted:
            others, score = (part.cpu().numpy() for part in similar.find(name, place, k))
            items = others if raw is None else raw.take(others)
            rank = np.arange(1, len(others) + 1)
            parts.append(pd.DataFrame({"by": name, "rank": rank, "item": items, "score": score}))
    empty = pd.DataFrame({"by": [], "rank": [], "item": [], "score": []})
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else empty
