"""Why an item is recommended, as people can see it: modalities, voters, interest center."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd

from mdsrec_pyg.serving.catalog import Card
from mdsrec_pyg.serving.state import Loaded
from mdsrec_pyg.serving.typical import most_typical

__all__ = ["reasons", "typical_items"]

MOST_VOTERS = MOST_TYPICAL = 5


def reasons(loaded: Loaded, table: pd.DataFrame) -> list[dict[str, Any] | None]:
    """The why of each row of recommendations with the columns of ``model.explain``."""
    if "voter_items" not in table:
        return [None] * len(table)
    return [_reason(loaded, row) for row in table.to_dict("records")]


def _reason(loaded: Loaded, row: dict[Any, Any]) -> dict[str, Any]:
    voters = [
        {**loaded.catalog.card(item), "modality": modality, "share": float(share)}
        for item, modality, share in zip(
            row["voter_items"], row["voter_modalities"], row["voter_shares"], strict=True
        )
    ][:MOST_VOTERS]
    center = None
    if row["modality"] is not None and not pd.isna(row["center"]):
        number = int(row["center"])
        center = {
            "modality": row["modality"],
            "number": number,
            "items": typical_items(loaded, row["modality"], number),
        }
    return {"modalities": _shares(loaded, row, voters), "voters": voters, "center": center}


def _shares(loaded: Loaded, row: dict[Any, Any], voters: list[dict[str, Any]]) -> dict[str, float]:
    """What each modality adds, as shares; by the voters where the model says no more."""
    if any(given := row.get("modality_shares") or ()):
        return {name: float(x) for name, x in zip(loaded.modalities, given, strict=True)}
    shares: dict[str, float] = {}
    for voter in voters:
        shares[voter["modality"]] = shares.get(voter["modality"], 0.0) + voter["share"]
    total = sum(shares.values())
    if total == 0:
        return {} if row["modality"] is None else {row["modality"]: 1.0}
    return {name: share / total for name, share in shares.items()}


_typical: WeakKeyDictionary[Loaded, dict[tuple[str, int], list[Card]]] = WeakKeyDictionary()
_lock = threading.Lock()


def typical_items(loaded: Loaded, modality: str, number: int) -> list[Card]:
    """At most five items that stand for an interest center: those nearest to its middle.

    Args:
        loaded: The model.
        modality: The center's.
        number: Of the center.
    """
    with _lock:
        known = _typical.setdefault(loaded, {})
        if (modality, number) not in known:
            place, answers = loaded.modalities.index(modality), loaded.retriever
            items = most_typical(answers.model, place, number, MOST_TYPICAL, answers.item_counts)
            ids = loaded.catalog.item_ids
            known[modality, number] = [loaded.catalog.card(ids[item]) for item in items]
        return known[modality, number]
