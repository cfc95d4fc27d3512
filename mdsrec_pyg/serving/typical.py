"""Which items stand for an interest center."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["most_typical"]


def most_typical(
    model: Any, modality: int, number: int, most: int, counts: NDArray[np.float64] | None = None
) -> list[int]:
    """Indices of the items that stand for an interest center, the most typical first.

    They are those nearest to the mean of the center's items, in the scaled features that the model
    holds; the lower index of equals. Without features, as in a model of votes alone or in the
    center of the items that lack the modality, those taken most often.

    Args:
        model: An MDSRec with centers.
        modality: Place of the modality.
        number: Of the center.
        most: Most items.
        counts: Training interactions of each item; without, the first of the catalog stand for a
            center without features.
    """
    items = (model.labels[modality] == number).nonzero()[:, 0]
    x = _features(model, modality, items)
    if x is not None and len(items):
        away = (x - x.mean(0)).square().sum(1)
        items = items[away.argsort(stable=True)]
    elif counts is not None:
        order = np.argsort(-counts[items.cpu().numpy()], kind="stable")
        items = items[torch.from_numpy(order).to(items.device)]
    found: list[int] = items[:most].tolist()
    return found


def _features(model: Any, modality: int, items: Tensor) -> Tensor | None:
    """Scaled features of items of one center; ``None`` where they have none."""
    project = getattr(model, "project", None)
    if not project:
        return None
    table, present = project[modality].x, project[modality].present
    if present is None:
        return table[items]
    place = torch.searchsorted(present, items).clamp(max=max(len(present) - 1, 0))
    if not len(present) or not bool((present[place] == items).all()):
        return None
    return table[place]
