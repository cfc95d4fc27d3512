"""Weighs the modalities' user vectors against each other."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FUSION_MODES = ("gumbel", "softmax", "mean")


class GumbelFusion(nn.Module):
    r"""A gate over modalities with Gumbel noise in training (MDSRec, fusion of interests).

    .. math::
        \mathbf{w}_u = \mathrm{softmax}\bigl((\mathbf{W} [\mathbf{h}_{u,1} \Vert \dots \Vert
        \mathbf{h}_{u,M}] + \mathbf{b} + \mathbf{g}) / \tau\bigr)

    with :math:`\mathbf{g}` Gumbel(0, 1) noise in training and zero at inference, so that
    results repeat. The gate is linear in the concatenated user vectors and starts at equal
    weights: both are our choices, the paper leaves them open.

    Args:
        channels: Width D of a user vector.
        num_modalities: M.
        temperature: :math:`\tau` > 0. (default: ``1.0``)
        mode: ``'gumbel'``, ``'softmax'`` (the gate without noise) or ``'mean'`` (equal
            weights, the ablation). (default: ``'gumbel'``)

    Shapes:
        - **input:** user vectors :math:`(*, M, D)`
        - **output:** weights :math:`(*, M)`, summing to one

    Raises:
        ValueError: An unknown mode, or a temperature that is not positive and finite.
    """

    def __init__(
        self, channels: int, num_modalities: int, temperature: float = 1.0, mode: str = "gumbel"
    ) -> None:
        super().__init__()
        if not 0 < temperature < float("inf"):
            raise ValueError(f"'temperature' must be positive and finite (got {temperature})")
        if mode not in FUSION_MODES:
            raise ValueError(f"'mode' must be 'gumbel', 'softmax' or 'mean' (got {mode!r})")
        self.temperature = temperature
        self.mode = mode
        self.gate = nn.Linear(num_modalities * channels, num_modalities)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts at equal weights."""
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def logits(self, users: Tensor) -> Tensor:
        """The gate's logits, ``[*, M]``."""
        return self.gate(users.flatten(-2))

    def forward(self, users: Tensor) -> Tensor:
        """Weights of the modalities for each user vector."""
        if self.mode == "mean":
            return users.new_full(users.shape[:-1], 1.0 / users.size(-2))
        logits = self.logits(users)
        if self.training and self.mode == "gumbel":
            return F.gumbel_softmax(logits, tau=self.temperature, dim=-1)
        return torch.softmax(logits / self.temperature, dim=-1)

    def extra_repr(self) -> str:
        """Shows the settings."""
        return f"temperature={self.temperature}, mode={self.mode!r}"
