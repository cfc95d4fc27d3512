"""The neighborhood of an item in the graphs of the modalities, as the page draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mdsrec_pyg.serving.errors import ServiceError, shown
from mdsrec_pyg.serving.state import Loaded

__all__ = ["kinds", "neighborhood"]

#: Kinds of neighborhood, and how :attr:`mdsrec_pyg.Retriever.similarities` calls those of a
#: modality; the first that the model has is shown first.
NAMES = {"votes": "votes {}", "graph": "item graph {}", "features": "{}"}
VECTORS = "vectors"


def kinds(loaded: Loaded) -> dict[str, dict[str | None, str]]:
    """The kinds of neighborhood of a model: by kind the name of each modality's similarity.

    ``'votes'`` are the learned graphs that a history votes over, ``'graph'`` the paper's item
    graphs (those that an item hears from), ``'features'`` the cosines of the features,
    ``'vectors'`` that of the final vectors, of no single modality.
    """
    known = set(loaded.retriever.similarities)
    found: dict[str, dict[str | None, str]] = {}
    for kind, name in NAMES.items():
        own: dict[str | None, str] = {m: name.format(m) for m in loaded.modalities}
        own = {modality: named for modality, named in own.items() if named in known}
        if own:
            found[kind] = own
    if VECTORS in known:
        found["vectors"] = {None: VECTORS}
    return found


def neighborhood(loaded: Loaded, item: str, k: int = 8, kind: str | None = None) -> dict[str, Any]:
    """The ``k`` nearest items of each graph of a kind, and the edges among them.

    Args:
        loaded: The model, and its items for people.
        item: Raw id of the item in the middle.
        k: Most neighbors in each graph.
        kind: One of :func:`kinds`; default: the first that the model has, and no graph where it
            has none.

    Returns:
        ``item``, a card; ``kind`` and the ``kinds`` that there are; ``graphs``, a list with
        ``modality``, ``items`` (cards with ``rank`` and ``score``, the nearest first) and
        ``edges``, pairs of places among these items.

    Raises:
        ServiceError: There is no such item, or the model has no such kind.
    """
    if item not in loaded.catalog:
        raise ServiceError(
            404, f"'item' must be an item of the catalog (got {shown(item)})", "item"
        )
    known, card = kinds(loaded), loaded.catalog.card(item)
    if kind is None and not known:
        return {"item": card, "kind": None, "kinds": [], "graphs": []}
    kind = next(iter(known)) if kind is None else kind
    if kind not in known:
        expected = " or ".join(map(repr, known)) or "left out: the model has no graph"
        raise ServiceError(422, f"'kind' must be {expected} (got {shown(kind)})", "kind")
    names = known[kind]
    table = loaded.retriever.similar_items(item, k, by=list(names.values()))
    graphs = [
        _graph(loaded, table[table["by"] == name], kind, modality)
        for modality, name in names.items()
    ]
    return {"item": card, "kind": kind, "kinds": list(known), "graphs": graphs}


def _graph(loaded: Loaded, rows: pd.DataFrame, kind: str, modality: str | None) -> dict[str, Any]:
    items = [
        {**loaded.catalog.card(item), "rank": rank, "score": float(score)}
        for rank, (item, score) in enumerate(zip(rows["item"], rows["score"], strict=True), start=1)
    ]
    edges = _edges_among(loaded, rows["item"].tolist(), kind, modality)
    return {"modality": modality, "items": items, "edges": edges}


def _edges_among(
    loaded: Loaded, items: Sequence[Any], kind: str, modality: str | None
) -> list[list[int]]:
    """Pairs of places of items that an edge joins, in whichever direction; graphs have some."""
    if kind not in ("votes", "graph") or modality is None or not items:
        return []
    model: Any = loaded.retriever.model
    place = loaded.modalities.index(modality)
    rows = [loaded.catalog.row(item) for item in items]
    index = torch.tensor(rows, device=loaded.retriever.device)
    joined = (
        model.votes.tables[place].between(index[:, None], index[None]) > 0
        if kind == "votes"
        else _between(getattr(model, f"edge_index_{place}"), index, model.num_items)
    )
    pairs: list[list[int]] = (joined | joined.t()).triu(1).nonzero().tolist()
    return pairs


def _between(edge_index: Tensor, index: Tensor, num_items: int) -> Tensor:
    """Which of some items an edge of a graph joins, bool [n, n]."""
    place = torch.full((num_items,), -1, dtype=torch.long, device=index.device)
    place[index] = torch.arange(len(index), device=index.device)
    ends = place[edge_index]
    ends = ends[:, (ends >= 0).all(0)]
    joined = torch.zeros(len(index), len(index), dtype=torch.bool, device=index.device)
    joined[ends[0], ends[1]] = True
    return joined
