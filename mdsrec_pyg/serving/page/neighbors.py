"""The neighborhood of an item in the graphs of the modalities, as the page draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd
import torch
from torch import Tensor

from mdsrec_pyg.showing import showable

__all__ = ["MOST", "Cards", "kinds", "neighborhood"]

#: Most neighbors that are drawn in a graph.
MOST = 20

#: Kinds of neighborhood, and how :attr:`mdsrec_pyg.Retriever.similarities` calls those of a
#: modality; the first that the model has is shown first.
NAMES = {"votes": "votes {}", "graph": "item graph {}", "features": "{}"}
VECTORS = "vectors"


class Cards(Protocol):
    """Items for people."""

    def card(self, item: Any) -> dict[str, Any]:
        """Raw id, text and picture of an item."""

    def __contains__(self, item: Any) -> bool:
        """Whether there is an item of this raw id."""


def kinds(retriever: Any) -> dict[str, dict[str | None, str]]:
    """The kinds of neighborhood of a model: by kind the name of each modality's similarity.

    ``'votes'`` are the learned graphs that a history votes over, ``'graph'`` the paper's item
    graphs (those that an item hears from), ``'features'`` the cosines of the features,
    ``'vectors'`` that of the final vectors, of no single modality.
    """
    known = set(retriever.similarities)
    found: dict[str, dict[str | None, str]] = {}
    for kind, name in NAMES.items():
        own: dict[str | None, str] = {m: name.format(m) for m in modalities(retriever)}
        own = {modality: named for modality, named in own.items() if named in known}
        if own:
            found[kind] = own
    if VECTORS in known:
        found["vectors"] = {None: VECTORS}
    return found


def modalities(retriever: Any) -> list[str]:
    """Names of the modalities; none for a model without."""
    return list(getattr(retriever.model, "modalities", ()))


def neighborhood(
    retriever: Any, catalog: Cards, item: str, k: int = 8, kind: str | None = None
) -> dict[str, Any]:
    """The ``k`` nearest items of each graph of a kind, and the edges among them.

    Args:
        retriever: A :class:`~mdsrec_pyg.Retriever`.
        catalog: Its items, for people.
        item: Raw id of the item in the middle.
        k: Most neighbors in each graph.
        kind: One of :func:`kinds`; default: the first that the model has, and no graph where it
            has none.

    Returns:
        ``item``, a card; ``kind`` and the ``kinds`` that there are; ``graphs``, a list with
        ``modality``, ``items`` (cards with ``rank`` and ``score``, the nearest first) and
        ``edges``, pairs of places among these items.

    Raises:
        ValueError: The model has no such kind.
    """
    known = kinds(retriever)
    if kind is None and not known:
        return {"item": catalog.card(item), "kind": None, "kinds": [], "graphs": []}
    kind = next(iter(known)) if kind is None else kind
    if kind not in known:
        expected = " or ".join(map(repr, known)) or "left out: the model has no graph"
        raise ValueError(f"'kind' must be {expected} (got {showable(kind, 80)!r})")
    names = known[kind]
    table = retriever.similar_items(item, k, by=list(names.values()))
    graphs = [
        _graph(retriever, catalog, table[table["by"] == name], kind, modality)
        for modality, name in names.items()
    ]
    return {"item": catalog.card(item), "kind": kind, "kinds": list(known), "graphs": graphs}


def _graph(
    retriever: Any, catalog: Cards, rows: pd.DataFrame, kind: str, modality: str | None
) -> dict[str, Any]:
    items = [
        {**catalog.card(item), "rank": rank, "score": float(score)}
        for rank, (item, score) in enumerate(zip(rows["item"], rows["score"], strict=True), start=1)
    ]
    edges = _edges_among(retriever, rows["item"].tolist(), kind, modality)
    return {"modality": modality, "items": items, "edges": edges}


def _edges_among(
    retriever: Any, items: Sequence[Any], kind: str, modality: str | None
) -> list[list[int]]:
    """Pairs of places of items that an edge joins, in whichever direction; graphs have some."""
    if kind not in ("votes", "graph") or modality is None or not items:
        return []
    model = retriever.model
    place = modalities(retriever).index(modality)
    index = torch.from_numpy(_rows(retriever, items)).to(retriever.device)
    joined = (
        model.votes.tables[place].between(index[:, None], index[None]) > 0
        if kind == "votes"
        else _between(getattr(model, f"edge_index_{place}"), index, model.num_items)
    )
    pairs: list[list[int]] = (joined | joined.t()).triu(1).nonzero().tolist()
    return pairs


def _rows(retriever: Any, items: Sequence[Any]) -> Any:
    ids = retriever.item_ids
    ids = pd.RangeIndex(retriever.model.num_items) if ids is None else ids
    return ids.get_indexer(pd.Index(items))


def _between(edge_index: Tensor, index: Tensor, num_items: int) -> Tensor:
    """Which of some items an edge of a graph joins, bool [n, n]."""
    place = torch.full((num_items,), -1, dtype=torch.long, device=index.device)
    place[index] = torch.arange(len(index), device=index.device)
    ends = place[edge_index]
    ends = ends[:, (ends >= 0).all(0)]
    joined = torch.zeros(len(index), len(index), dtype=torch.bool, device=index.device)
    joined[ends[0], ends[1]] = True
    return joined
