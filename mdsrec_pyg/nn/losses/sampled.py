"""Cross-entropy of inner products over a sample of the catalog."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.nn.losses.linear import inner_products


class SampledCandidates:
    r"""Items drawn for a sampled softmax, shared by all positions, and their log-Q correction.

    ``num_negatives`` items are drawn with replacement from Q. A drawn item is there with
    probability :math:`p_j = 1 - (1 - Q_j)^n`; dividing its share by that,

    .. math::
        Z = \exp s(y) + \sum_{j \in \mathcal{S}, j \neq y} \exp\bigl(s(j) - \log p_j\bigr),

    makes Z an unbiased estimate of the full softmax's denominator (log-Q correction: Bengio and
    Senecal 2008; Yi et al. 2019). Only what was drawn is scored, and each position's own target.

    Args:
        num_negatives: n.
        probability: Q, [N], sums to one.

    Attributes:
        item_id: What was drawn, Long tensor [n].
        column: Where an item first stands among it or -1, Long tensor [N].
        log_p: :math:`\log p_j` of each; infinite for one that was drawn before, [n].

    Raises:
        ValueError: ``num_negatives`` is below 1.
    """

    def __init__(self, num_negatives: int, probability: Tensor) -> None:
        if num_negatives < 1:
            raise ValueError(f"'num_negatives' must be at least 1 (got {num_negatives})")
        # Drawing a single one looks at the probabilities, for which a GPU has to be waited for.
        draw = torch.multinomial(probability, max(num_negatives, 2), replacement=True)
        self.item_id = draw[:num_negatives]
        place = torch.arange(num_negatives, device=draw.device)
        first = torch.full((len(probability),), num_negatives, device=draw.device)
        first = first.scatter_reduce(0, self.item_id, place, "amin")
        self.column = torch.where(first < num_negatives, first, -1)
        absent = torch.log1p(-probability[self.item_id].clamp(max=1 - 1e-6)) * num_negatives
        again = self.column[self.item_id] != place
        self.log_p = torch.log(-torch.expm1(absent)).masked_fill(again, float("inf"))

    def correct(self, scores: Tensor, own: Tensor, target: Tensor) -> Tensor:
        """The terms of Z, [P, 1 + n]: the target's score, and the corrected ones.

        Args:
            scores: Of what was drawn, [P, n].
            own: Of each position's target, [P].
            target: The targets, Long tensor [P].
        """
        is_target = self.column[target, None] == torch.arange(scores.size(1), device=scores.device)
        corrected = (scores - self.log_p).masked_fill(is_target, -torch.inf)
        return torch.cat([own[:, None].to(corrected.dtype), corrected], 1)


def sampled_cross_entropy(
    users: Tensor,
    items: Tensor,
    target: Tensor,
    history: Tensor | None,
    bias: Tensor | None,
    sample: SampledCandidates,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Sum over P positions of the cross-entropy over the sample, with Z from there.

    .. math::
        \mathcal{L} = \sum_{p=1}^{P} c_p \bigl(\log Z_p - s(p, y_p)\bigr)

    Scores, bias and positions are those of
    :func:`~mdsrec_pyg.nn.losses.linear.linear_cross_entropy`. Memory beyond the arguments: P x n
    scores.

    Args:
        users: User vectors, [P, D].
        items: Item vectors, [N, D].
        target: Item of each position, Long tensor [P].
        history: Items whose scores get a bias, Long tensor [P, H]; repeated ones sum up.
        bias: Their biases, [P, H].
        sample: What was drawn.
        weight: What each position counts, [P]. (default: ``None``, one)

    Returns:
        The sum, a scalar.
    """
    own = (users * items[target]).sum(1)
    scores = inner_products(users, items[sample.item_id])  # [P, D], [n, D] -> [P, n]
    if history is not None and bias is not None:
        own = own + (bias * (history == target[:, None])).sum(1)
        # One more column takes the bias of history items that were not drawn.
        column = sample.column[history]
        column = torch.where(column < 0, scores.size(1), column)
        scores = F.pad(scores, (0, 1)).scatter_add(1, column, bias.to(scores.dtype))[:, :-1]
    terms = sample.correct(scores, own, target).float()
    losses = terms.logsumexp(1) - terms[:, 0]
    return (losses if weight is None else losses * weight).sum()
