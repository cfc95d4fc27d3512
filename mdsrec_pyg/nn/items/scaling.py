"""From the raw features of an item graph to what the model reads, by numbers that it keeps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import FeatureReducer, FeatureScaler, ModalFeature

__all__ = ["FeatureScaling", "scale_features"]


class FeatureScaling(nn.Module):
    r"""The mean and deviation that features are scaled by, and the components that replace them.

    .. math::
        x^{\prime}_{if} = (x_{if} - \mu_f) / \sigma_f, \qquad
        \mathbf{x}^{\prime\prime}_i = \mathbf{W} (\mathbf{x}^{\prime}_i - \bar{\mathbf{x}}) / r

    with *r* such that the components have a mean square of one, as the scaled features have, so
    that their projection starts as large. All are buffers: a saved model scales new items as it
    scaled its own.

    Args:
        num_features: F.
        num_components: C; ``None`` keeps the scaled features.
    """

    mean: Tensor
    scale: Tensor
    middle: Tensor | None
    components: Tensor | None
    size: Tensor | None

    def __init__(self, num_features: int, num_components: int | None = None) -> None:
        super().__init__()
        reduces = num_components is not None
        shapes: dict[str, tuple[int, ...] | None] = {
            "mean": (num_features,),
            "scale": (num_features,),
            "middle": (num_features,) if reduces else None,
            "components": (num_components or 0, num_features) if reduces else None,
            "size": () if reduces else None,
        }
        for name, shape in shapes.items():
            table = None if shape is None else torch.ones(shape, dtype=torch.float64)
            self.register_buffer(name, table, persistent=False)

    def fit(self, feature: ModalFeature, train_items: Tensor | None) -> FeatureScaling:
        """Learns from the items that have the modality and occur in training."""
        scaler = FeatureScaler().fit(feature, train_items)
        self.mean, self.scale = torch.from_numpy(scaler.mean_), torch.from_numpy(scaler.scale_)
        if self.components is None:
            return self
        scaled = scaler.transform(feature)
        reducer = FeatureReducer(len(self.components)).fit(scaled, train_items)
        self.middle = torch.from_numpy(reducer.mean_)
        self.components = torch.from_numpy(reducer.components_)
        reduced = reducer.transform(scaled)
        known = feature.mask if train_items is None else feature.mask & train_items
        self.size = reduced.x[known].square().mean().sqrt()
        return self

    def forward(self, feature: ModalFeature) -> Tensor:
        """What the model reads of items [N, F]: [N, F] or [N, C]; rows that are missing are zero.

        Raises:
            ValueError: Another number of features.
        """
        scaler = FeatureScaler()
        scaler.mean_, scaler.scale_ = _numbers(self.mean), _numbers(self.scale)
        scaled = scaler.transform(feature)
        if self.components is None or self.middle is None or self.size is None:
            return scaled.x
        reducer = FeatureReducer(len(self.components))
        reducer.mean_, reducer.components_ = _numbers(self.middle), _numbers(self.components)
        return reducer.transform(scaled).x / self.size.cpu()

    def extra_repr(self) -> str:
        """Shows the widths."""
        width = "" if self.components is None else f", num_components={len(self.components)}"
        return f"num_features={len(self.mean)}{width}"


def _numbers(table: Tensor) -> np.ndarray:
    return table.detach().cpu().double().numpy()


def scale_features(graph: Data, num_components: int | None) -> tuple[Tensor, FeatureScaling]:
    """What the model reads of a modality, and how it came about.

    Args:
        graph: An item graph: raw features ``x`` [N, F], perhaps ``mask`` and ``train_mask`` [N]. On
            the meta device, nothing is learned: the contents are loaded later.
        num_components: C; ``None``, or no more than F, keeps all features.
    """
    num_features = graph.x.size(1)
    if num_components is not None and num_components >= num_features:
        num_components = None
    scaling = FeatureScaling(num_features, num_components)
    if graph.x.is_meta:
        return graph.x.new_empty(len(graph.x), num_components or num_features), scaling
    feature = ModalFeature(graph.x.detach().cpu(), graph.get("mask"))
    train_mask = graph.get("train_mask")
    scaling.fit(feature, train_mask)
    return scaling(feature).to(graph.x.device), scaling
