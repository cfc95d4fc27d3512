"""Causal sequence encoders; the interest-centralized one has queries and keys of its own."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdsrec_pyg.nn.dropout import DROPOUT, Dropout

CENTER_MODES = ("only", "add")


def attention_mask(mask: Tensor) -> Tensor:
    """Causal mask over left-padded sequences; every step sees at least itself.

    Args:
        mask: Bool tensor [B, L], True where an item stands.

    Returns:
        Bool tensor [B, 1, L, L], True where the step in the row may see that in the column.
    """
    length = mask.size(1)
    eye = torch.eye(length, dtype=torch.bool, device=mask.device)
    causal = torch.ones_like(eye).tril()
    # A padded step would see nothing, and a softmax over nothing is NaN: it may see itself.
    return ((mask[:, None, :] & causal) | eye)[:, None]


def step_position(mask: Tensor) -> Tensor:
    """Position of each item, counted from the oldest one in the window: Long tensor [B, L]."""
    return (mask.cumsum(1) - 1).clamp(min=0)


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
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(2 * channels, channels),
        )
        self.drop_attention = Dropout(dropout)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, guide: Tensor, visible: Tensor) -> Tensor:
        """x: values [B, L, D]; guide: what queries and keys see [B, L, D]."""
        query, key = self.query_key(self.norm_query(guide)).chunk(2, dim=-1)
        value = self.value(self.norm_value(x))
        query, key, value = (  # [B, L, D] -> [B, heads, L, D / heads]
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        mixed = attend(query, key, value, visible, self.drop_attention)
        x = x + self.drop(self.out(mixed.transpose(1, 2).flatten(-2)))
        return x + self.drop(self.mlp(self.norm_mlp(x)))


class InterestTransformer(nn.Module):
    r"""A causal Transformer, centered on interests (MDSRec, interest-centralized attention).

    Queries and keys are made from the interest centers of the items, the values carry the
    graph-enriched items: interests decide who attends to whom, items decide what is carried.

    .. math::
        \mathbf{Q}, \mathbf{K} = \mathbf{G} \mathbf{W}_Q, \mathbf{G} \mathbf{W}_K, \quad
        \mathbf{V} = \mathbf{X} \mathbf{W}_V, \quad
        \mathbf{G} = \mathbf{C} \;(\text{'only'}) \;\text{or}\;
        \mathbf{X} + \mathbf{C} \;(\text{'add'})

    Without centers this is plain self-attention (SASRec). Pre-norm, GELU, two times D wide.

    Args:
        channels: D.
        max_length: Largest L.
        num_layers: Blocks. (default: ``1``)
        num_heads: Heads, a divisor of D. (default: ``2``)
        dropout: On embeddings, attention and both residual branches. (default: ``0.3``)
        center_mode: ``'only'`` or ``'add'``, see above. (default: ``'add'``)

    Shapes:
        - **input:** items :math:`(B, L, D)`, mask :math:`(B, L)`, centers :math:`(B, L, D)`
        - **output:** one user vector a step :math:`(B, L, D)`

    Raises:
        ValueError: ``num_layers`` or ``num_heads`` below 1, ``num_heads`` does not divide
            ``channels``, or an unknown ``center_mode``; in the forward pass: too long sequences.
    """

    def __init__(
        self,
        channels: int,
        max_length: int,
        num_layers: int = 1,
        num_heads: int = 2,
        dropout: float = DROPOUT,
        center_mode: str = "add",
    ) -> None:
        super().__init__()
        for name, value in (("num_layers", num_layers), ("num_heads", num_heads)):
            if value < 1:
                raise ValueError(f"{name!r} must be at least 1 (got {value})")
        if channels % num_heads:
            raise ValueError(
                f"'num_heads' must divide 'channels' (got num_heads={num_heads}, "
                f"channels={channels})"
            )
        if center_mode not in CENTER_MODES:
            raise ValueError(f"'center_mode' must be one of {CENTER_MODES} (got {center_mode!r})")
        self.max_length = max_length
        self.center_mode = center_mode
        self.position = nn.Embedding(max_length, channels)
        self.norm_in = nn.LayerNorm(channels)
        self.norm_out = nn.LayerNorm(channels)
        self.drop = Dropout(dropout)
        self.blocks = nn.ModuleList(
            InterestBlock(channels, num_heads, dropout) for _ in range(num_layers)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small positions: PyTorch's default of 1 drowns the items, which start at .02."""
        nn.init.normal_(self.position.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor, centers: Tensor | None = None) -> Tensor:
        """Encodes every prefix of every sequence."""
        if x.size(1) > self.max_length:
            raise ValueError(
                f"sequences must have at most max_length={self.max_length} steps (got {x.size(1)})"
            )
        visible = attention_mask(mask)
        x = self.drop(self.norm_in(x) + self.position(step_position(mask)))
        for block in self.blocks:
            guide = x
            if centers is not None:
                guide = centers if self.center_mode == "only" else x + centers
            x = block(x, guide, visible)
        return self.norm_out(x)
