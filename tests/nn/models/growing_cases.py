"""A small model that further items are added to, and what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdsrec_pyg import MDSRec, ModalFeature, build_mdsrec
from mdsrec_pyg.data import Interactions, SequenceBatch
from tests.small_models import moved

OLD, NEW = 30, 6
IDS = [f"i{i}" for i in range(OLD)]
NEW_IDS = [f"n{i}" for i in range(NEW)]
WIDTHS = {"image": 5, "text": 7}

_generator = torch.Generator().manual_seed(3)
#: Features of old and new items; some of both lack the image.
WHOLE = {
    name: ModalFeature(
        torch.randn(OLD + NEW, width, generator=_generator) + 0.3,
        torch.arange(OLD + NEW) % 8 != (1 if name == "image" else -1),
    )
    for name, width in WIDTHS.items()
}
FEATURES = {name: feature.take(np.arange(OLD)) for name, feature in WHOLE.items()}
GIVEN = {name: feature.take(np.arange(OLD, OLD + NEW)) for name, feature in WHOLE.items()}


def interactions(num_items: int = OLD, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    item = rng.integers(0, OLD - 2, 200)
    return Interactions.from_arrays(np.repeat(np.arange(40), 5), item, num_items=num_items)


def build(preset: str = "best", **options: Any) -> Any:
    given: dict[str, Any] = {"num_centers": 3, "channels": 8, "max_length": 8, **options}
    if preset == "best":
        given.setdefault("relations", {"l2": 3.0, "feature_weight": 4.0, "num_neighbors": 5})
    graph = {"num_neighbors": 4, **given.pop("graph", {})}
    model = moved(build_mdsrec(FEATURES, interactions(), preset, graph=graph, **given)).eval()
    model.item_ids = IDS
    return model


def grown(model: MDSRec, **options: Any) -> Any:
    return model.with_items(NEW_IDS, GIVEN, **options)


def histories() -> SequenceBatch:
    """Two histories of old items."""
    item_id = torch.tensor([[0, 3, 5, 7], [0, 0, 9, 2]])
    mask = torch.tensor([[True] * 4, [False, False, True, True]])
    return SequenceBatch(item_id=item_id, mask=mask, user_id=torch.tensor([-1, -1]))


def content(model: MDSRec) -> dict[str, Tensor]:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def padded(num_items: int = OLD + NEW) -> Interactions:
    return replace(interactions(), num_items=num_items)
