"""Votes over graphs without the voter, exactly and in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.nn.votes.edge_table import EdgeTable
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes, distinct_items

# Entries of the rows of S that are held at once: some copies of 64 MB each.
ENTRIES = 2**24


class LeaveOneUserOut(TrainingVotes):
    r"""Votes over graphs fitted, and pruned, without the voter, exactly and in closed form (ours).

    With o the user's own items and q = p / (1 - p) of the denoising ridge, the user adds
    :math:`\mathbf{C} = \mathbf{1} \mathbf{1}^{\top} + q \mathbf{I}` to the rows and columns o of
    what is inverted, so without the user (Woodbury)

    .. math::
        \mathbf{P}^{-u} = \mathbf{P} + \mathbf{P}_{:o}
        (\mathbf{I} - \mathbf{C} \mathbf{P}_{oo})^{-1} \mathbf{C} \mathbf{P}_{o:}, \qquad
        S^{-u}_{ij} = -P^{-u}_{ij} / P^{-u}_{jj}.

    Without denoising that is :math:`\mathbf{P} + c \mathbf{z} \mathbf{z}^{\top}` with
    :math:`\mathbf{z} = \mathbf{P} \mathbf{x}` and :math:`c = 1 / (1 - \mathbf{x}^{\top}
    \mathbf{z})` (Sherman-Morrison). The H largest entries of each row o are found anew: which
    edges a graph keeps tells of its users, too (measured: of a user's own pairs 95 to 98 % are
    kept with the user in the graph, 26 to 32 % without).

    Args:
        precisions: P of each modality, [N, N], on one device, where all is computed.
        interactions: The training interactions that the precisions were fitted on.
        num_neighbors: H, as in the graphs. (default: that of
            :class:`~mdsrec_pyg.graphs.RidgeConfig`)
        denoising: p, as in the precisions. (default: that of
            :class:`~mdsrec_pyg.graphs.RidgeConfig`)
    """

    user_item: Tensor

    def __init__(
        self,
        precisions: Sequence[Tensor],
        interactions: Interactions,
        *,
        num_neighbors: int = RidgeConfig.num_neighbors,
        denoising: float = RidgeConfig.denoising,
    ) -> None:
        user, item, start = distinct_items(interactions)
        size = min(num_neighbors, interactions.num_items)
        super().__init__(
            [_table(precision, item, start, size, denoising) for precision in precisions]
        )
        self.num_items = interactions.num_items
        self.register_buffer("user_item", user * self.num_items + item, persistent=False)

    def voters(self, item_id: Tensor, user_id: Tensor) -> Tensor:
        """Rows of the users' own items; the one after the last, which has no votes, for others."""
        wanted = user_id[:, None] * self.num_items + item_id
        if not len(self.user_item):
            return torch.zeros_like(wanted)
        place = torch.searchsorted(self.user_item, wanted).clamp(max=len(self.user_item) - 1)
        return torch.where(self.user_item[place] == wanted, place, len(self.user_item))

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the graphs were fitted on other interactions than these."""
        user, item, _ = distinct_items(train)
        if not torch.equal(self.user_item.cpu(), user * train.num_items + item):
            raise ValueError(
                "'train' must hold the interactions that the relations were fitted on, or a user "
                f"is not taken out of them right (got {len(item):,} distinct pairs of user and "
                f"item, the relations have {len(self.user_item):,}, or the pairs differ)"
            )


def _table(
    precision: Tensor, item: Tensor, start: Tensor, size: int, denoising: float
) -> EdgeTable:
    """The rows of all users' own items, and an empty one."""
    target = torch.zeros(len(item) + 1, size, dtype=torch.int32, device=precision.device)
    weight = torch.zeros(len(item) + 1, size, dtype=precision.dtype, device=precision.device)
    for own, places in _groups(item, start, len(precision)):
        rows = rows_without_user(precision, own.to(precision.device), denoising)
        found, order = rows.clamp_(min=0).flatten(0, 1).topk(size, dim=1)
        target[places.flatten()], weight[places.flatten()] = order.int(), found
    return EdgeTable(target, weight)


def _groups(item: Tensor, start: Tensor, num_items: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Users of equally many items, as many at a time as their rows may be held.

    Yields:
        Items ``[u, k]``, and where they stand among all ``[u, k]``.
    """
    count = start.diff()
    for k in torch.unique(count[count > 0]).tolist():
        first = start[:-1][count == k]
        for part in first.split(max(1, ENTRIES // (k * num_items))):
            places = part[:, None] + torch.arange(k)
            yield item[places], places


def rows_without_user(precision: Tensor, own: Tensor, denoising: float) -> Tensor:
    r"""Rows :math:`S^{-u}_{o:}` of the users' own items; what each votes for itself is -1.

    Args:
        precision: P, [N, N].
        own: Distinct items of each user, as many for all, [u, k].
        denoising: p.

    Returns:
        [u, k, N].
    """
    users, k = own.shape
    rows = precision[own]  # [u, k, N]
    inner = rows.gather(2, own[:, None].expand(users, k, k))  # P_oo
    diagonal = precision.diagonal()
    if denoising:
        q = denoising / (1 - denoising)
        eye = torch.eye(k, dtype=rows.dtype, device=rows.device)
        # (I - C P_oo)^-1 C: the inverse of C itself would lose all digits where q is small.
        core = eye - (inner.sum(1, keepdim=True) + q * inner)
        change = torch.linalg.solve(core, rows.sum(1, keepdim=True) + q * rows)
        below = diagonal + (rows * change).sum(1)  # [u, N]
        rows = rows + inner @ change
    else:
        z = rows.sum(1)  # [u, N]
        scale = 1 / (1 - inner.sum((1, 2)))[:, None]
        below = diagonal + scale * z**2
        rows = torch.baddbmm(rows, inner.sum(2, keepdim=True), (scale * z)[:, None])
    return rows.div_(-below[:, None])
