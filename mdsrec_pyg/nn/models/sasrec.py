"""SASRec and SASRecF: self-attention over the sequence, without and with item features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn.items.features import ItemIDs, project_features
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.sequence_encoder import InterestTransformer

__all__ = ["SASRec"]


class SASRec(SequentialRecommender):
    """Self-Attentive Sequential Recommendation (Kang and McAuley, 2018, arXiv 1808.09781).

    With full cross-entropy over the catalog at every position, or a sampled softmax, which is what
    makes it strong (Klenitskiy and Vasilev 2023). With ``block='ligr'`` and ``num_negatives`` this
    is eSASRec. With ``features`` it is SASRecF: the projected features of all modalities are added
    to the item's ID embedding, in the input and in the scores alike.

    Args:
        num_items: N.
        features: Scaled features of the modalities, [N, F_m] each. (default: none)
        channels: D. (default: ``64``)
        max_length: Largest number of history steps. (default: ``50``)
        num_layers: Transformer blocks. (default: ``1``)
        num_heads: Heads. (default: ``2``)
        dropout: (default: ``0.3``)
        block: Kind of the blocks, see :class:`~mdsrec_pyg.nn.InterestTransformer`. (default:
            ``'prenorm'``)
        **kwargs: See :class:`SequentialRecommender`.

    Shapes:
        - **input:** a batch of histories :math:`(B, L)`
        - **output:** scores :math:`(B, N)`

    Raises:
        ValueError: Features of another number of items, ``num_heads`` does not divide
            ``channels``, or a number out of range.
    """

    def __init__(
        self,
        num_items: int,
        features: Sequence[Tensor] = (),
        *,
        channels: int = MDSRecConfig.channels,
        max_length: int = MDSRecConfig.max_length,
        num_layers: int = MDSRecConfig.num_layers,
        num_heads: int = MDSRecConfig.num_heads,
        dropout: float = MDSRecConfig.dropout,
        block: str = MDSRecConfig.block,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_items, max_length, **kwargs)
        for m, x in enumerate(features):
            if x.dim() != 2 or len(x) != num_items:
                raise ValueError(
                    f"'features' must have shape [{num_items}, F] each (got {list(x.shape)} at {m})"
                )
        self.num_features = [x.size(1) for x in features]
        self.options: dict[str, Any] = {
            **{"channels": channels, "num_layers": num_layers},
            **{"num_heads": num_heads, "dropout": dropout, "block": block},
        }
        self.ids = ItemIDs(num_items, channels)
        self.project = project_features(features, channels)
        self.encoder = InterestTransformer(max_length=max_length, **self.options)

    def hyperparameters(self) -> dict[str, Any]:
        """The options, and the number of features of each modality."""
        size = {"num_items": self.num_items, "num_features": self.num_features}
        return {**size, **self.options, **self.sequence_options()}

    @classmethod
    def from_hyperparameters(cls, hyperparameters: dict[str, Any], **own_parts: Any) -> SASRec:
        """A model over features whose contents are still to come."""
        options = dict(hyperparameters)
        num_items, widths = options.pop("num_items"), options.pop("num_features")
        features = [torch.empty(num_items, width, device="meta") for width in widths]
        return cls(num_items, features, **options, **own_parts)

    def encode_items(self) -> Tensor:
        """Item vectors [N, D]: ID plus projected features."""
        items = self.ids()
        for project in self.project:
            items = items + project()
        return items

    def encode_users(self, batch: SequenceBatch, items: Tensor, newest_only: bool) -> Tensor:
        """User vectors [B, T, D]."""
        users = self.encoder(items[batch.item_id], batch.mask)
        return users[:, -1:] if newest_only else users
