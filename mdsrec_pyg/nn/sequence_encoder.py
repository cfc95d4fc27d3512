"""Causal sequence encoders; the interest-centralized one has queries and keys of its own."""

import torch
from torch import Tensor, nn

from mdsrec_pyg.nn.dropout import DROPOUT, Dropout
from mdsrec_pyg.nn.encoder_blocks import BLOCKS

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


class InterestTransformer(nn.Module):
    r"""A causal Transformer, centered on interests (MDSRec, interest-centralized attention).

    Queries and keys are made from the interest centers of the items, the values carry the
    graph-enriched items: interests decide who attends to whom, items decide what is carried.

    .. math::
        \mathbf{Q}, \mathbf{K} = \mathbf{G} \mathbf{W}_Q, \mathbf{G} \mathbf{W}_K, \quad
        \mathbf{V} = \mathbf{X} \mathbf{W}_V, \quad
        \mathbf{G} = \mathbf{C} \;(\text{'only'}) \;\text{or}\;
        \mathbf{X} + \mathbf{C} \;(\text{'add'})

    Without centers this is plain self-attention (SASRec).

    Args:
        channels: D.
        max_length: Largest L.
        num_layers: Blocks. (default: ``1``)
        num_heads: Heads, a divisor of D. (default: ``2``)
        dropout: On embeddings, attention and both residual branches. (default: ``0.3``)
        center_mode: ``'only'`` or ``'add'``, see above. (default: ``'add'``)
        block: ``'prenorm'``, with GELU and two times D wide, or ``'ligr'``, with gated residuals
            and SwiGLU (eSASRec). (default: ``'prenorm'``)

    Shapes:
        - **input:** items :math:`(B, L, D)`, mask :math:`(B, L)`, centers :math:`(B, L, D)`
        - **output:** one user vector a step :math:`(B, L, D)`

    Raises:
        ValueError: ``num_layers`` or ``num_heads`` below 1, ``num_heads`` does not divide
            ``channels``, or an unknown ``center_mode`` or ``block``; in the forward pass: too long
            sequences.
    """

    def __init__(
        self,
        channels: int,
        max_length: int,
        num_layers: int = 1,
        num_heads: int = 2,
        dropout: float = DROPOUT,
        center_mode: str = "add",
        block: str = "prenorm",
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
        for name, text, choices in (
            ("center_mode", center_mode, CENTER_MODES),
            ("block", block, tuple(BLOCKS)),
        ):
            if text not in choices:
                raise ValueError(f"{name!r} must be one of {choices} (got {text!r})")
        self.max_length = max_length
        self.center_mode = center_mode
        self.position = nn.Embedding(max_length, channels)
        self.norm_in = nn.LayerNorm(channels)
        self.norm_out = nn.LayerNorm(channels)
        self.drop = Dropout(dropout)
        self.blocks = nn.ModuleList(
            BLOCKS[block](channels, num_heads, dropout) for _ in range(num_layers)
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
