"""Cross-entropy of inner products over samples of the catalog."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.nn.precision import autocast_dtype, full_precision

#: Positions that share a draw. With other items for each few of them a step reaches many more of
#: the catalog at the cost of one draw for all, which learned worse (measured).
SHARED_BY = 64


def num_groups(num_positions: int, shared_by: int = SHARED_BY) -> int:
    """How many draws so many positions need where ``shared_by`` of them share one."""
    return -(-num_positions // shared_by)


class SampledCandidates:
    r"""Items drawn for a sampled softmax and their log-Q correction.

    The positions are cut into G groups of consecutive ones, and for each ``num_negatives`` items
    are drawn with replacement from Q. A drawn item is there with probability
    :math:`p_j = 1 - (1 - Q_j)^n`; dividing its share by that,

    .. math::
        Z = \exp s(y) + \sum_{j \in \mathcal{S}, j \neq y} \exp\bigl(s(j) - \log p_j\bigr),

    makes Z an unbiased estimate of the full softmax's denominator (log-Q correction: Bengio and
    Senecal 2008; Yi et al. 2019). Only what was drawn is scored, and each position's own target.

    Args:
        num_negatives: n.
        probability: Q, [N], sums to one.
        num_groups: G. (default: ``1``)

    Attributes:
        item_id: What was drawn for each group, ascending, Long tensor [G, n].
        log_p: :math:`\log p_j` of each; infinite for one that stands there before, [G, n].

    Raises:
        ValueError: ``num_negatives`` is below 1.
    """

    def __init__(self, num_negatives: int, probability: Tensor, num_groups: int = 1) -> None:
        if num_negatives < 1:
            raise ValueError(f"'num_negatives' must be at least 1 (got {num_negatives})")
        # Drawing a single one looks at the probabilities, for which a GPU has to be waited for.
        number = num_groups * num_negatives
        draw = torch.multinomial(probability, max(number, 2), replacement=True)
        self.item_id = draw[:number].view(num_groups, num_negatives).sort(1).values
        absent = torch.log1p(-probability[self.item_id].clamp(max=1 - 1e-6)) * num_negatives
        again = F.pad(self.item_id[:, 1:] == self.item_id[:, :-1], (1, 0))
        self.log_p = torch.log(-torch.expm1(absent)).masked_fill(again, float("inf"))

    def column(self, item_id: Tensor) -> Tensor:
        """Where items first stand among what was drawn for their group, n where they do not.

        Args:
            item_id: Long tensor [G, R, H].
        """
        wanted, number = item_id.flatten(1).contiguous(), self.item_id.size(1)
        place = torch.searchsorted(self.item_id, wanted)
        there = self.item_id.gather(1, place.clamp(max=number - 1))
        return torch.where(there == wanted, place, number).view(item_id.shape)

    def correct(self, scores: Tensor, own: Tensor, target: Tensor) -> Tensor:
        """The terms of Z, [G, R, 1 + n]: the target's score, and the corrected ones.

        Args:
            scores: Of what was drawn, [G, R, n].
            own: Of each position's target, [G, R].
            target: The targets, Long tensor [G, R].
        """
        is_target = self.item_id[:, None] == target[..., None]
        corrected = (scores - self.log_p[:, None]).masked_fill(is_target, -torch.inf)
        return torch.cat([own[..., None].to(corrected.dtype), corrected], 2)


def sampled_cross_entropy(
    users: Tensor,
    items: Tensor,
    target: Tensor,
    history: Tensor | None,
    bias: Tensor | None,
    sample: SampledCandidates,
    weight: Tensor | None = None,
    shared_by: int = SHARED_BY,
) -> Tensor:
    r"""Sum over P positions of the cross-entropy over the sample, with Z from there.

    .. math::
        \mathcal{L} = \sum_{p=1}^{P} c_p \bigl(\log Z_p - s(p, y_p)\bigr)

    Scores, bias and positions are those of
    :func:`~mdsrec_pyg.nn.losses.linear.linear_cross_entropy`. Memory beyond the arguments: P x n
    scores and the vectors of what was drawn.

    Args:
        users: User vectors, [P, D].
        items: Item vectors, [N, D].
        target: Item of each position, Long tensor [P].
        history: Items whose scores get a bias, Long tensor [P, H]; repeated ones sum up.
        bias: Their biases, [P, H].
        sample: What was drawn for each group of positions, see :func:`num_groups`.
        weight: What each position counts, [P]. (default: ``None``, one)
        shared_by: Positions of a group; the last may hold fewer. (default: ``64``)

    Returns:
        The sum, a scalar.
    """
    own = (users * items[target]).sum(1)
    scores = _products(
        _grouped(users, shared_by), items[sample.item_id]
    )  # [G, R, D], [G, n, D] -> [G, R, n]
    if history is not None and bias is not None:
        own = own + (bias * (history == target[:, None])).sum(1)
        # One more column takes the bias of history items that were not drawn.
        column = sample.column(_grouped(history, shared_by))
        added = _grouped(bias.to(scores.dtype), shared_by)
        scores = F.pad(scores, (0, 1)).scatter_add(2, column, added)[..., :-1]
    terms = sample.correct(scores, _grouped(own, shared_by), _grouped(target, shared_by)).float()
    losses = (terms.logsumexp(2) - terms[..., 0]).flatten()[: len(users)]
    return (losses if weight is None else losses * weight).sum()


def _grouped(x: Tensor, rows: int) -> Tensor:
    """[P, *] to [G, R, *], filled up with zeros."""
    filled = F.pad(x, (0, 0) * (x.dim() - 1) + (0, -len(x) % rows))
    return filled.view(-1, rows, *x.shape[1:])


def _products(users: Tensor, items: Tensor) -> Tensor:
    """Inner products within each group; an autocast rounds the vectors, not the scores."""
    dtype = autocast_dtype(users.device)
    if dtype is None:
        return users @ items.mT
    with full_precision(users.device):
        return users.to(dtype).float() @ items.to(dtype).float().mT
