"""The history votes for its neighbors over learned relation graphs; interests weigh the votes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdsrec_pyg.nn.dropout import DROPOUT, Dropout
from mdsrec_pyg.nn.history_bias import steps_back, visible_steps


class RelationAttention(nn.Module):
    r"""Interest-centralized attention over relation graphs: whose votes count (ours).

    .. math::
        w_{m,i}(u) = \alpha_{m,d(i)} \exp\bigl(2 \tanh(\ell_{m,i}(u) / 2)\bigr), \qquad
        \ell_{m,i}(u) = \mathbf{q}_m(u)^{\top} \mathbf{k}_m(i) / \sqrt{D} + b_m(i) + g_m(u).

    The values are the rows of a learned relation graph instead of vectors of width D, which
    cannot hold all pair relations: interests decide whose votes count, the graph decides what
    they are for. Keys come from the item's projected feature plus the embedding of its interest
    center, queries from the newest item and the mean of the history, g from that mean over
    all modalities. :math:`\ell` starts at zero, so training starts from plain votes. There are
    no item IDs in it: nothing to memorize targets with.

    Args:
        features: Scaled features of each modality, [N, F_m]; rows of zeros where missing.
        labels: Interest center of each item, Long tensor [N], one a modality.
        channels: D. (default: ``64``)
        max_length: Largest number of history steps.
        dropout: On the keys and queries' input. (default: ``0.3``)
        interests: False keeps :math:`\ell = 0`: plain votes, the ablation. (default: ``True``)

    Shapes:
        - **input:** items :math:`(B, L)`, mask :math:`(B, L)`
        - **output:** weights :math:`(B, M, T, L)`, T = L or 1

    Raises:
        ValueError: Not one label tensor for each feature tensor, or none at all.
    """

    def __init__(
        self,
        features: Sequence[Tensor],
        labels: Sequence[Tensor],
        *,
        max_length: int,
        channels: int = 64,
        dropout: float = DROPOUT,
        interests: bool = True,
    ) -> None:
        super().__init__()
        if len(features) != len(labels) or not features:
            raise ValueError(
                f"'features' and 'labels' must hold one tensor a modality "
                f"(got {len(features)} and {len(labels)})"
            )
        self.num_modalities = len(features)
        self.channels, self.max_length = channels, max_length
        self.interests = interests
        self.weight = nn.Parameter(torch.zeros(self.num_modalities, max_length))
        if not interests:
            return
        for m, (x, label) in enumerate(zip(features, labels, strict=True)):
            # Of length one: scaled features of hundreds of columns overfit at once (measured).
            self.register_buffer(f"x_{m}", F.normalize(x, dim=-1), persistent=False)
            self.register_buffer(f"label_{m}", label, persistent=False)
        self.project = nn.ModuleList(nn.Linear(x.size(1), channels, bias=False) for x in features)
        self.center = nn.ModuleList(
            nn.Embedding(int(label.max()) + 1, channels) for label in labels
        )
        self.query_newest = self._linears(channels)
        self.query_mean = self._linears(channels)
        self.key = self._linears(channels)
        self.key_bias = nn.ModuleList(nn.Linear(channels, 1) for _ in features)
        self.gate = nn.Linear(self.num_modalities * channels, self.num_modalities)
        self.drop = Dropout(dropout)
        self.reset_parameters()

    def _linears(self, channels: int) -> nn.ModuleList:
        return nn.ModuleList(nn.Linear(channels, channels) for _ in range(self.num_modalities))

    def reset_parameters(self) -> None:
        """Plain votes of weight one: every key, key bias and gate is zero."""
        nn.init.zeros_(self.weight)
        if not self.interests:
            return
        for weight in self.center.parameters():
            nn.init.normal_(weight, std=0.02)
        for linear in [*self.key, *self.key_bias, self.gate]:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    @property
    def alpha(self) -> Tensor:
        """Weight of a plain vote d steps back, positive, [M, max_length]."""
        return self.weight.exp()

    def item_keys(self, item_id: Tensor | None = None) -> list[Tensor]:
        """What the attention sees of the items, ``[*, D]`` a modality.

        Args:
            item_id: Only of these items, ``[*]``. (default: of all, for inference)
        """
        if not self.interests:
            return []
        rows = slice(None) if item_id is None else item_id
        return [
            self.project[m](getattr(self, f"x_{m}")[rows])
            + self.center[m](getattr(self, f"label_{m}")[rows])
            for m in range(self.num_modalities)
        ]

    def forward(
        self,
        item_id: Tensor,
        mask: Tensor,
        keys: Sequence[Tensor] | None = None,
        newest_only: bool = False,
    ) -> Tensor:
        """Weights w of the history items; zero at padded and future steps.

        Args:
            item_id: Long tensor [B, L], left-padded.
            mask: Bool tensor [B, L].
            keys: Result of :meth:`item_keys`; by default computed for the items of the batch.
            newest_only: Only the newest step asks (T = 1).
        """
        distance = steps_back(mask.size(1), newest_only, mask.device)
        visible = visible_steps(mask, distance)[:, None]  # [B, 1, T, L]
        plain = self.alpha[:, distance.clamp(0, self.max_length - 1)]  # [M, T, L]
        if not self.interests:
            return plain * visible
        seen = self.item_keys(item_id) if keys is None else [key[item_id] for key in keys]
        logits = self._logits([self.drop(x) for x in seen], mask, newest_only)
        return plain * torch.exp(2 * torch.tanh(logits / 2)) * visible

    def _logits(self, seen: list[Tensor], mask: Tensor, newest_only: bool) -> Tensor:
        real = mask[..., None].to(seen[0].dtype)
        count = real.cumsum(1).clamp(min=1)
        means = [(x * real).cumsum(1) / count for x in seen]  # [B, L, D]
        steps = slice(-1, None) if newest_only else slice(None)
        gate = self.gate(torch.cat(means, dim=-1)[:, steps])  # [B, T, M]
        logits = []
        for m, x in enumerate(seen):
            query = self.query_newest[m](x[:, steps]) + self.query_mean[m](means[m][:, steps])
            key = self.key[m](x)
            logit = query @ key.transpose(1, 2) / math.sqrt(self.channels)  # [B, T, L]
            logits.append(logit + self.key_bias[m](x).transpose(1, 2) + gate[..., m : m + 1])
        return torch.stack(logits, dim=1)

    def extra_repr(self) -> str:
        """Shows the settings."""
        return f"num_modalities={self.num_modalities}, interests={self.interests}"
