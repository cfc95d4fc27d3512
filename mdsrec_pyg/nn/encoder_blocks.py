"""Blocks of a causal sequence encoder: pre-norm, and with gated residuals."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdsrec_pyg.nn.dropout import Dropout


def attend(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, drop: Dropout) -> Tensor:
    """Scaled dot-product attention [B, heads, L, D / heads] with dropout of its weights.

    In training on the CPU PyTorch's own form draws its dropout slowly, so it is written out there.
    """
    if not drop.training or drop.p == 0 or query.device.type != "cpu":
        dropout = drop.p if drop.training else 0.0
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=dropout
        )
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # [B, heads, L, L]
    return drop(scores.masked_fill(~visible, -torch.inf).softmax(-1)) @ value


class InterestBlock(nn.Module):
    """One pre-norm Transformer block whose queries and keys come from a stream of their own."""

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_query = nn.LayerNorm(channels)
        self.norm_value = nn.LayerNorm(channels)
        self.norm_mlp = nn.LayerNorm(channels)
        self.query_key = nn.Linear(channels, 2 * channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.mlp = self.make_mlp(channels, dropout)
        self.drop_attention = Dropout(dropout)
        self.drop = Dropout(dropout)

    def make_mlp(self, channels: int, dropout: float) -> nn.Module:
        """The feed-forward network: GELU, two times D wide."""
        return nn.Sequential(
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(2 * channels, channels),
        )

    def add_attention(self, x: Tensor, branch: Tensor) -> Tensor:
        """The residual sum after attention."""
        return x + self.drop(branch)

    def add_mlp(self, x: Tensor, branch: Tensor) -> Tensor:
        """The residual sum after the feed-forward network."""
        return x + self.drop(branch)

    def forward(self, x: Tensor, guide: Tensor, visible: Tensor) -> Tensor:
        """x: values [B, L, D]; guide: what queries and keys see [B, L, D]."""
        query, key = self.query_key(self.norm_query(guide)).chunk(2, dim=-1)
        value = self.value(self.norm_value(x))
        query, key, value = (  # [B, L, D] -> [B, heads, L, D / heads]
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        mixed = attend(query, key, value, visible, self.drop_attention)
        x = self.add_attention(x, self.out(mixed.transpose(1, 2).flatten(-2)))
        return self.add_mlp(x, self.mlp(self.norm_mlp(x)))


class SwiGLU(nn.Module):
    r"""Gated feed-forward network (Shazeer 2020, arXiv 2002.05202), four times D wide.

    .. math::
        \mathrm{SwiGLU}(\mathbf{x}) = \bigl(\mathrm{SiLU}(\mathbf{x} \mathbf{W}_1)
        \odot \mathbf{x} \mathbf{W}_2\bigr) \mathbf{W}_3
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(channels, 8 * channels, bias=False)
        self.drop = Dropout(dropout)
        self.down = nn.Linear(4 * channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape [*, D] to the same."""
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(self.drop(F.silu(gate) * value))


class LiGRBlock(InterestBlock):
    r"""The block with gated residuals and SwiGLU of LiGR (Borisyuk et al. 2025, arXiv 2502.03417).

    .. math::
        \mathbf{y} &= \mathbf{x} + \sigma(\mathbf{x} \mathbf{W}_a + \mathbf{b}_a)
        \odot \mathrm{Attention}(\mathrm{LN}(\mathbf{x})) \\
        \mathbf{z} &= \mathbf{y} + \sigma(\mathbf{y} \mathbf{W}_m + \mathbf{b}_m)
        \odot \mathrm{SwiGLU}(\mathrm{LN}(\mathbf{y}))

    With these blocks and a sampled softmax SASRec is eSASRec (Tikhonovich et al. 2025, arXiv
    2508.06450).
    """

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__(channels, num_heads, dropout)
        self.gate_attention = nn.Linear(channels, channels)
        self.gate_mlp = nn.Linear(channels, channels)

    def make_mlp(self, channels: int, dropout: float) -> nn.Module:
        """SwiGLU."""
        return SwiGLU(channels, dropout)

    def add_attention(self, x: Tensor, branch: Tensor) -> Tensor:
        """The residual sum after attention, gated."""
        return x + self.gate_attention(x).sigmoid() * self.drop(branch)

    def add_mlp(self, x: Tensor, branch: Tensor) -> Tensor:
        """The residual sum after the feed-forward network, gated."""
        return x + self.gate_mlp(x).sigmoid() * self.drop(branch)


#: The blocks of a sequence encoder by name.
BLOCKS: dict[str, type[InterestBlock]] = {"prenorm": InterestBlock, "ligr": LiGRBlock}
