"""Small models over random features, for tests that need a model and no quality."""

from __future__ import annotations

from typing import Any

import torch

from mdsrec_pyg import MDSRec, ModalFeature, build_mdsrec
from mdsrec_pyg.data import Interactions

__all__ = ["moved", "random_features", "small_mdsrec"]


def random_features(
    num_items: int, *names: str, num_features: int = 5, seed: int = 0
) -> dict[str, ModalFeature]:
    """Features ``[N, F]`` of each modality; by default of image and text."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: ModalFeature(torch.randn(num_items, num_features, generator=generator))
        for name in names or ("image", "text")
    }


def small_mdsrec(train: Interactions, *names: str, **options: Any) -> MDSRec:
    """An MDSRec of 8 channels and 4 centers, unless ``options`` say otherwise."""
    features = random_features(train.num_items, *names)
    return build_mdsrec(features, train, **({"num_centers": 4, "channels": 8} | options))


def moved(model: Any) -> Any:
    """The model away from its start, where biases and more are zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model
