"""The scores of each model in operators that can be exported: fixed shapes, nothing looked at.

Each is a module from item ids ``[B, L]`` and mask ``[B, L]`` to scores ``[B, N]``, and is made of a
model and the result of its ``encode_items``. L may be longer than what the model reads: what stands
before that is what ``batch.older`` is elsewhere.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn.models.mdsrec_items import MDSRecItems
from mdsrec_pyg.nn.votes.dense import DenseVotes, add_at, newest, taken

__all__ = ["DenseEASE", "DenseGRU", "DenseMDSRec", "DensePopularity", "InnerProducts", "OwnScores"]


def as_batch(item_id: Tensor, mask: Tensor, max_length: int) -> SequenceBatch:
    """What a model reads of histories, of users whom it does not know."""
    item_id, mask = newest(item_id, mask, max_length)
    return SequenceBatch(item_id, mask, torch.full_like(item_id[:, 0], -1))


class OwnScores(nn.Module):
    """``score`` as it is, for a model of your own: it is exported where PyTorch can.

    Args:
        model: The model.
        items: Result of ``model.encode_items()``.
    """

    model: Any

    def __init__(self, model: Any, items: Any) -> None:
        super().__init__()
        self.model, self.items = model, items

    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[B, N]``; items before those that the model reads do not count."""
        batch = as_batch(item_id, mask, self.model.max_length)
        scores: Tensor = self.model.score(batch, self.items)
        return scores


class InnerProducts(nn.Module):
    """Inner products of user and item vectors, plus the history bias.

    Args:
        model: A :class:`~mdsrec_pyg.nn.SequentialRecommender`.
        items: Result of ``model.encode_items()``.
    """

    model: Any
    table: Tensor
    gamma: Tensor | None

    def __init__(self, model: Any, items: Any) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("table", model.item_table(items).detach().contiguous())  # [N, C]
        bias = model.history_bias
        self.register_buffer("gamma", None if bias is None else bias.gamma.detach())
        self.items = self.constants(items)

    def constants(self, items: Any) -> Any:
        """Item vectors as the program keeps them."""
        return None if isinstance(items, Tensor) else items

    def item_vectors(self) -> Any:
        """What ``encode_users`` takes."""
        return self.table if self.items is None else self.items

    def users(self, batch: SequenceBatch) -> Tensor:
        """User vectors ``[B, C]`` after the newest step."""
        users: Tensor = self.model.encode_users(batch, self.item_vectors(), newest_only=True)
        return users[:, -1]

    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[B, N]``."""
        users = self.users(as_batch(item_id, mask, self.model.max_length))
        scores = users @ self.table.t()  # [B, C] @ [C, N] -> [B, N]
        return scores if self.gamma is None else add_at(scores, item_id, mask, self.gamma)


class DenseGRU(InnerProducts):
    r"""GRU4Rec with its steps written out, as PyTorch exports a GRU for one size of batch only.

    .. math::
        \mathbf{r}, \mathbf{z} &= \sigma(\mathbf{W} \mathbf{x} + \mathbf{U} \mathbf{h}), \quad
        \mathbf{n} = \tanh(\mathbf{W}_n \mathbf{x} + \mathbf{r} \odot \mathbf{U}_n \mathbf{h}) \\
        \mathbf{h}^{\prime} &= (1 - \mathbf{z}) \odot \mathbf{n} + \mathbf{z} \odot \mathbf{h}

    Steps of padding leave :math:`\mathbf{h}` as it is, which is zero.
    """

    def users(self, batch: SequenceBatch) -> Tensor:
        """User vectors ``[B, C]`` after the newest step."""
        x = self.model.norm_in(F.embedding(batch.item_id, self.table))  # [B, W, D]
        for layer in range(self.model.gru.num_layers):
            x = self._layer(x, batch.mask, layer)
        last: Tensor = self.model.norm_out(x[:, -1])
        return last

    def _layer(self, x: Tensor, mask: Tensor, layer: int) -> Tensor:
        weight_in, weight_back, bias_in, bias_back = self.model.gru.all_weights[layer]
        given = F.linear(x, weight_in, bias_in)  # [B, W, 3 * D]
        h = torch.zeros_like(x[:, 0])
        steps = []
        for step in range(x.size(1)):
            back_r, back_z, back_n = F.linear(h, weight_back, bias_back).chunk(3, dim=1)
            r, z, n = given[:, step].chunk(3, dim=1)
            z = torch.sigmoid(z + back_z)
            n = torch.tanh(n + torch.sigmoid(r + back_r) * back_n)
            h = torch.where(mask[:, step, None], n + z * (h - n), h)
            steps.append(h)
        return torch.stack(steps, 1)


class MDSRecVectors(InnerProducts):
    """The inner products of MDSRec, whose modalities stand side by side in one table."""

    center: Tensor | None

    def constants(self, items: MDSRecItems) -> None:
        """The centers are a second table, where there are any."""
        center = None
        if items.center is not None:
            center = items.center.transpose(0, 1).flatten(1).detach().contiguous()
        self.register_buffer("center", center)  # [N, M * D]

    def item_vectors(self) -> MDSRecItems:
        """Views of the tables, ``[M, N, D]``."""
        size = (len(self.model.modalities), -1)
        tables = [
            None if table is None else table.unflatten(1, size).transpose(0, 1)
            for table in (self.table, self.center)
        ]
        return MDSRecItems(*tables)


class DenseMDSRec(nn.Module):
    """Votes and weighted vectors, or the one of them that the model has.

    Args:
        model: An :class:`~mdsrec_pyg.MDSRec`.
        items: Result of ``model.encode_items()``.
    """

    def __init__(self, model: Any, items: MDSRecItems) -> None:
        super().__init__()
        self.weight = model.dense_weight
        self.vectors = MDSRecVectors(model, items) if model.config.vectors else None
        votes = model.votes
        self.votes = None if votes is None else DenseVotes(votes, model.max_length)

    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[B, N]``."""
        votes = None if self.votes is None else self.votes(item_id, mask)
        if self.vectors is None:
            assert votes is not None
            return votes
        vectors: Tensor = self.vectors(item_id, mask)
        return vectors if votes is None else votes + self.weight * vectors


class DenseEASE(nn.Module):
    """A row of the regression an item of the histories, ``[B, L, N]`` at once.

    Args:
        model: An :class:`~mdsrec_pyg.EASE`.
        items: Not needed.
    """

    weight: Tensor
    decay: Tensor

    def __init__(self, model: Any, items: None = None) -> None:
        super().__init__()
        self.max_length, self.history_bias = model.max_length, model.history_bias
        self.register_buffer("weight", model.weight)
        back = torch.arange(model.max_length + 1)
        decay = torch.pow(model.decay, back).to(model.weight.dtype)
        self.register_buffer("decay", decay * (back < model.max_length))  # [W + 1]; older: zero

    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[B, N]``."""
        back = torch.arange(mask.size(1) - 1, -1, -1, device=mask.device)
        vote = self.decay[back.clamp(max=self.max_length)] * mask  # [B, L]
        rows = F.embedding(item_id, self.weight)
        scores = (vote[:, None] @ rows)[:, 0]  # [B, 1, L] @ [B, L, N] -> [B, 1, N]
        return _with_bias(scores, item_id, mask, self.history_bias)


class DensePopularity(nn.Module):
    """The same scores for everybody, up to the history bias.

    Args:
        model: A :class:`~mdsrec_pyg.Popularity`.
        items: Not needed.
    """

    log_count: Tensor

    def __init__(self, model: Any, items: None = None) -> None:
        super().__init__()
        self.history_bias = model.history_bias
        self.register_buffer("log_count", model.log_count)

    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[B, N]``."""
        scores = self.log_count + self.log_count.new_zeros(mask.size(0), 1)
        return _with_bias(scores, item_id, mask, self.history_bias)


def _with_bias(scores: Tensor, item_id: Tensor, mask: Tensor, bias: float) -> Tensor:
    """Adds one number to the scores of all items that were taken."""
    if not bias:
        return scores
    return torch.where(taken(item_id, mask, scores.size(1)), scores + bias, scores)
