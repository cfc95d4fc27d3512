"""A trained model over a data set that has grown."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.nn.models.growing.model import GrowingRecommender

__all__ = ["update_model"]

G = TypeVar("G", bound=GrowingRecommender)


def update_model(model: G, dataset: RecommendationDataset, *, votes: str = "neighbors") -> G:
    """Brings a model up to a data set that has grown since; nothing is trained.

    Items that the model lacks are added by their features
    (:meth:`~mdsrec_pyg.nn.MDSRec.with_items`), and its graphs are fitted on all interactions of the
    data set (:meth:`~mdsrec_pyg.nn.MDSRec.update`). Items that nobody has taken yet are added after
    that, as the fit would take it for a fact that nobody wants them: they come last. What the data
    set says now of the features of items that the model has is not looked at.

    Update the model that was trained each time, not the one that was updated before: in that, items
    that nobody had taken are items that it has.

    Example:
        >>> model = update_model(MDSRec.load("runs/shop/model"), FolderDataset("data/shop"))
        >>> model.save("models/shop")

    Args:
        model: A model with raw ids that keeps what it was built from (``growable``).
        dataset: The data set as it is now.
        votes: Of new items, see :meth:`~mdsrec_pyg.nn.MDSRec.with_items`.

    Returns:
        The new model, in evaluation mode; the given one stays as it is.

    Raises:
        ValueError: The model has no raw ids, none of them is in the data set, it does not keep what
            it was built from, or the data set lacks one of its modalities.
    """
    if model.item_ids is None:
        raise ValueError("'model' must have 'item_ids' to be found in a data set (it has none)")
    built = model.built_from
    missing = [] if built is None else [n for n in built.features if n not in dataset.features]
    if missing:
        raise ValueError(
            f"'dataset' must have the modalities of the model, {missing[0]!r} among them (got "
            f"{list(dataset.features)})"
        )
    place = pd.Index(model.item_ids).get_indexer(pd.Index(dataset.item_ids))
    if (place < 0).all():
        raise ValueError(
            f"'dataset' must have items of the model, such as {model.item_ids[0]!r} (got "
            f"{len(dataset.item_ids):,} others)"
        )
    taken = dataset.interactions.item_counts() > 0
    first, last = (np.flatnonzero((place < 0) & part) for part in (taken, ~taken))
    place[first] = model.num_items + np.arange(len(first))
    model = _with_items(model, dataset, first, votes)
    rows = dataset.interactions
    rows = replace(rows, item_id=place[rows.item_id], num_items=model.num_items)
    return _with_items(model.update(rows), dataset, last, votes)


def _with_items(
    model: G, dataset: RecommendationDataset, items: NDArray[np.int64], votes: str
) -> G:
    if not len(items):
        return model
    names = [] if model.built_from is None else list(model.built_from.features)
    features = {name: dataset.features[name].take(items) for name in names}
    return model.with_items(dataset.item_ids[items], features, votes=votes)
