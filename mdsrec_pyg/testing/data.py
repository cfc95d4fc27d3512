"""A small world that every contract test runs on."""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np
import torch
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, ModalFeature, SequenceBatch, SequenceLoader
from mdsrec_pyg.graphs import InterestCenters, build_item_graph
from mdsrec_pyg.nn import Relations, fit_relations

__all__ = ["SmallData"]


class SmallData:
    """20 users with 3 to 8 of 24 items, two modalities; all a model may be built from.

    Some items are taken again, one is cold, some have no image.

    Args:
        seed: Of everything that is drawn.

    Attributes:
        num_items: 24.
        max_length: 9.
        train: Training interactions.
        features: ``'image'`` [24, 5] and ``'text'`` [24, 6].
    """

    num_items = 24
    max_length = 9

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        length = rng.integers(3, 9, 20)
        item = rng.integers(0, self.num_items - 1, length.sum())
        item[1::4] = item[:-1:4][: len(item[1::4])]
        user = np.repeat(np.arange(20), length)
        self.train = Interactions.from_arrays(user, item, num_items=self.num_items)
        image = torch.randn(self.num_items, 5, generator=generator)
        text = torch.randn(self.num_items, 6, generator=generator)
        self.features = {
            "image": ModalFeature(image, torch.arange(self.num_items) % 7 != 3),
            "text": ModalFeature(text),
        }

    @cached_property
    def graphs(self) -> dict[str, Data]:
        """An item graph a modality."""
        return {
            name: build_item_graph(feature, self.train, num_neighbors=4)
            for name, feature in self.features.items()
        }

    @cached_property
    def centers(self) -> dict[str, InterestCenters]:
        """Three interest centers a modality."""
        return {
            name: InterestCenters(3, n_init=1).fit(feature.x, feature.mask)
            for name, feature in self.features.items()
        }

    @cached_property
    def relations(self) -> Relations:
        """A learned graph a modality."""
        return fit_relations(self.features, self.train, num_neighbors=5, feature_weight=2.0, l2=3.0)

    def batch(self) -> SequenceBatch:
        """All users with their targets, a new copy each time."""
        loader = SequenceLoader(self.train, self.max_length, batch_size=64, shuffle=False)
        batch: SequenceBatch = next(iter(loader))
        return batch


@cache
def small_data() -> SmallData:
    """One :class:`SmallData` for all tests, which leave it as it is."""
    return SmallData()
