"""EASE: linear item-item regression in closed form, without and with item features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.configs import check_finite
from mdsrec_pyg.data import Interactions, ModalFeature, SequenceBatch
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.graphs.ridge import ridge_precision
from mdsrec_pyg.nn.history_bias import taken_keys
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.models.dense import DenseEASE

__all__ = ["EASE"]

_OPTIONS = ("l2", "feature_weight", "denoising", "decay", "history_bias")


class EASE(Recommender):
    r"""Embarrassingly shallow autoencoder (Steck, 2019, arXiv 1905.03375).

    .. math::
        \mathbf{P} = (\mathbf{X}^{\top} \mathbf{X} + \textstyle\sum_m a_m \mathbf{K}_m
        + \mathrm{diag}(l + \tfrac{p}{1 - p} n_i))^{-1}, \quad S_{ij} = -P_{ij} / P_{jj}, \quad
        s(u, j) = \sum_{i \in \mathcal{H}_u} \rho^{d(i)} S_{ij} + \gamma [j \in \mathcal{H}_u]

    With features, their cosine Gram matrices :math:`\mathbf{K}_m` enter the regression as further
    rows of X (side information in closed form, Jeunen et al. 2020); with :math:`p > 0` it is EDLAE
    (Steck 2020), whose ridge of an item grows with its number of training users :math:`n_i`, see
    :func:`~mdsrec_pyg.graphs.ridge_precision`. Two additions that keep the comparison fair, each
    off at its default: recency decay :math:`\rho` and a history bias :math:`\gamma`, as the other
    models have them.

    Args:
        interactions: The training part.
        features: Features of the modalities. (default: none)
        l2: l. (default: that of :class:`~mdsrec_pyg.graphs.RidgeConfig`)
        feature_weight: a, one number or one a modality; 0 leaves a modality out. (default: that of
            :class:`~mdsrec_pyg.graphs.RidgeConfig`)
        denoising: p in [0, 1). (default: that of :class:`~mdsrec_pyg.graphs.RidgeConfig`)
        decay: :math:`\rho` in (0, 1], by steps back. (default: ``1.0``)
        history_bias: :math:`\gamma`, in units of S, for all items that were taken, those that are
            too old to vote among them. (default: ``0.0``)
        max_length: Number of history steps that vote. (default: ``50``)

    Shapes:
        - **input:** a batch of histories :math:`(B, L)`
        - **output:** scores :math:`(B, N)`

    Raises:
        ValueError: ``decay``, ``l2``, ``feature_weight`` or ``denoising`` out of range, features of
            another number of items, or another number of weights than of modalities.
    """

    export_form = DenseEASE
    supports_training = False
    weight: Tensor

    def __init__(
        self,
        interactions: Interactions,
        features: Sequence[ModalFeature] = (),
        *,
        l2: float = RidgeConfig.l2,
        feature_weight: float | Sequence[float] = RidgeConfig.feature_weight,
        denoising: float = RidgeConfig.denoising,
        decay: float = 1.0,
        history_bias: float = 0.0,
        max_length: int = MDSRecConfig.max_length,
    ) -> None:
        super().__init__(interactions.num_items, max_length)
        self.item_counts = interactions.item_counts()
        check_finite(history_bias=history_bias)
        if not 0 < decay <= 1:
            raise ValueError(f"'decay' must lie in (0, 1] (got {decay})")
        precision = ridge_precision(
            interactions,
            [feature.x for feature in features] or None,
            [feature.mask for feature in features] or None,
            feature_weight=feature_weight,
            l2=l2,
            denoising=denoising,
        )
        weight = -precision / precision.diagonal()
        self.register_buffer("weight", weight.fill_diagonal_(0.0))
        self.decay, self.history_bias = decay, history_bias
        self.l2, self.denoising = l2, denoising
        self.feature_weight = (
            [*feature_weight] if isinstance(feature_weight, Sequence) else feature_weight
        )

    def hyperparameters(self) -> dict[str, Any]:
        """Size and options; the regression is a table."""
        return {name: getattr(self, name) for name in ("num_items", "max_length", *_OPTIONS)}

    @classmethod
    def from_hyperparameters(cls, hyperparameters: dict[str, Any], **own_parts: Any) -> EASE:
        """A model whose regression is still to come; none is solved."""
        model = cls.__new__(cls)
        Recommender.__init__(model, hyperparameters["num_items"], hyperparameters["max_length"])
        for name in _OPTIONS:  # folders from before there was denoising do not name it
            setattr(model, name, {"denoising": 0.0, **hyperparameters}[name])
        model.register_buffer("weight", None)
        return model

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """Scores of every item as the next one, [B, N]."""
        row, back = batch.mask.nonzero(as_tuple=True)
        vote = torch.pow(self.decay, batch.item_id.size(1) - 1 - back)
        # A row of the table an item that is read: the product with all N of them, nearly all
        # weighted by zero, takes N / L times as long.
        scores = F.embedding_bag(
            batch.item_id[row, back],
            self.weight,
            torch.searchsorted(row, torch.arange(len(batch) + 1, device=row.device)),
            mode="sum",
            per_sample_weights=vote.to(self.weight.dtype),
            include_last_offset=True,
        )
        if self.history_bias:
            scores.view(-1)[taken_keys(batch, self.num_items)] += self.history_bias
        return scores
