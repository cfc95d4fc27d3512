"""GRU4Rec: a recurrent network over the sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn.dropout import Dropout
from mdsrec_pyg.nn.items.features import ItemIDs
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.models.dense import DenseGRU

__all__ = ["GRU4Rec"]


class GRU4Rec(SequentialRecommender):
    """Session-based recommendation with a GRU (Hidasi et al., 2016, arXiv 1511.06939).

    With full cross-entropy over the catalog instead of the paper's pairwise losses over sampled
    items, as for every model here.

    Args:
        num_items: N.
        channels: D. (default: ``64``)
        max_length: Largest number of history steps. (default: ``50``)
        num_layers: Recurrent layers. (default: ``1``)
        dropout: On embeddings and outputs. (default: ``0.3``)
        **kwargs: See :class:`SequentialRecommender`.

    Shapes:
        - **input:** a batch of histories :math:`(B, L)`
        - **output:** scores :math:`(B, N)`
    """

    export_form = DenseGRU

    def __init__(
        self,
        num_items: int,
        *,
        channels: int = MDSRecConfig.channels,
        max_length: int = MDSRecConfig.max_length,
        num_layers: int = 1,
        dropout: float = MDSRecConfig.dropout,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_items, max_length, **kwargs)
        self.options = {"channels": channels, "num_layers": num_layers, "dropout": dropout}
        self.ids = ItemIDs(num_items, channels)
        self.norm_in = nn.LayerNorm(channels)
        self.gru = nn.GRU(channels, channels, num_layers, batch_first=True)
        self.norm_out = nn.LayerNorm(channels)
        self.drop = Dropout(dropout)

    def hyperparameters(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"num_items": self.num_items, **self.options, **self.sequence_options()}

    def encode_items(self) -> Tensor:
        """Item vectors [N, D]."""
        return self.ids()

    def encode_users(self, batch: SequenceBatch, items: Tensor, newest_only: bool) -> Tensor:
        """User vectors [B, T, D]."""
        # A recurrent network would read the padding first: put the items at the front instead.
        length = batch.mask.sum(1)
        steps = torch.arange(batch.mask.size(1), device=length.device)
        shift = batch.mask.size(1) - length
        front = (steps + shift[:, None]).clamp(max=batch.mask.size(1) - 1)  # [B, L]
        x = self.drop(self.norm_in(items[batch.item_id.gather(1, front)]))
        users = self.drop(self.norm_out(self.gru(x)[0]))
        if newest_only:
            return users[torch.arange(len(users), device=length.device), length - 1][:, None]
        back = (steps - shift[:, None]).clamp(min=0)
        return users.gather(1, back[..., None].expand_as(users))
