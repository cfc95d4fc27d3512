"""Candidate-wise fusion: from the evidence over all graphs to one score a candidate."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mdsrec_pyg.configs import check_finite

#: A vote of this size is halfway between none and much, as the logarithms see it.
BASE = 0.003


class VoteFusion(nn.Module):
    r"""Weighs the evidence for a candidate over all graphs, candidate by candidate (ours).

    With :math:`v_m` the votes for candidate j over the graph of modality m, each step of the
    history weighted, and :math:`t_m = \max_i S_m[i, j]` the largest single one,

    .. math::
        s(u, j) = \frac{c}{M} \sum_m v_m + f(\mathbf{e}) - f(\mathbf{0}), \qquad
        \mathbf{e} = \bigl[\log(1 + v_m / b), \log(1 + t_m / b)\bigr]_m,

    f a network of one hidden layer, zero at first, so that training starts from the sum of votes.
    The sum says how many agree, the largest how sure the surest is; the network learns which
    modality to believe when they disagree. There is one f for all candidates, neither items nor
    users are known to it, and without evidence the score is exactly zero: a softmax over the
    catalog is exact at the cost of the candidates with evidence.

    Args:
        num_modalities: M, the number of graphs.
        hidden: Units of f; 0 leaves f out: the plain sum. (default: ``32``)
        scale: c at the start. (default: ``10.0``)

    Shapes:
        - **input:** votes :math:`(C, M)`, largest :math:`(C, M)`
        - **output:** scores :math:`(C)`

    Raises:
        ValueError: ``num_modalities`` is below 1, ``hidden`` negative, ``scale`` not positive.
    """

    def __init__(self, num_modalities: int, hidden: int = 32, scale: float = 10.0) -> None:
        super().__init__()
        if num_modalities < 1:
            raise ValueError(f"'num_modalities' must be at least 1 (got {num_modalities})")
        if hidden < 0:
            raise ValueError(f"'hidden' must not be negative (got {hidden})")
        check_finite(scale=scale)
        if scale <= 0:
            raise ValueError(f"'scale' must be positive (got {scale})")
        self.num_modalities, self.hidden, self.scale = num_modalities, hidden, scale
        self.log_scale = nn.Parameter(torch.empty(()))
        self.inner = nn.Linear(2 * num_modalities, hidden) if hidden else None
        self.outer = nn.Linear(hidden, 1, bias=False) if hidden else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The plain sum of votes."""
        nn.init.constant_(self.log_scale, math.log(self.scale))
        if self.inner is not None and self.outer is not None:
            self.inner.reset_parameters()
            nn.init.zeros_(self.outer.weight)

    def forward(self, votes: Tensor, largest: Tensor) -> Tensor:
        """Scores of candidates, exactly zero for one without evidence.

        Args:
            votes: Weighted votes over each graph, [C, M], positive where there is one.
            largest: The largest single vote over each graph, [C, M].
        """
        mean = votes.mean(1)
        score = mean * self.log_scale.exp()
        if self.inner is None or self.outer is None:
            return score
        evidence = torch.log1p(torch.cat([votes, largest], 1) / BASE)  # [C, 2M]
        learned = self.outer(torch.relu(self.inner(evidence)))[:, 0]
        found = score + learned - self.outer(torch.relu(self.inner.bias))  # f(e) - f(0)
        # f(0) by itself is rounded otherwise than among the candidates: some 1e-7 would be left.
        return torch.where(mean == 0, score, found)

    def extra_repr(self) -> str:
        """Shows the settings."""
        return f"num_modalities={self.num_modalities}, hidden={self.hidden}"
