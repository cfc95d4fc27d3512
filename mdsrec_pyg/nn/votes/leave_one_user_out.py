"""Votes over graphs without the voter, exactly and in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.nn.votes.edge_table import EdgeTable, neighbor_table
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes

# Votes counted at a time, while those of each user's items are added up.
PAIRS = 2**20


class LeaveOneUserOut(TrainingVotes):
    r"""Votes over graphs fitted without the voter, exactly and in closed form (ours).

    With :math:`\mathbf{x}` the user's row, :math:`\mathbf{z} = \mathbf{P} \mathbf{x}` and
    :math:`c = 1 / (1 - \mathbf{x}^{\top} \mathbf{z})`, the inverse without this user is
    :math:`\mathbf{P} + c \mathbf{z} \mathbf{z}^{\top}` (Sherman-Morrison), hence

    .. math::
        S^{-u}_{ij} = -\frac{P_{ij} + c z_i z_j}{P_{jj} + c z_j^2}.

    Only kept edges (those of the graphs) vote, negative ones not at all: the same rule as at
    inference. What depends on the user and an item of theirs is computed once, here; a batch
    then costs a look-up a pair, nothing of size N.

    Args:
        precisions: P of each modality, [N, N].
        graphs: The graphs made from them, on the same device: the tables are computed there.
        interactions: The training interactions that the precisions were fitted on.
        block_size: Users whose [N] rows are held at once. (default: ``512``)
    """

    user_item: Tensor
    num_own: Tensor
    z: Tensor
    total: Tensor
    other: Tensor

    def __init__(
        self,
        precisions: Sequence[Tensor],
        graphs: Sequence[Data],
        interactions: Interactions,
        *,
        block_size: int = 512,
    ) -> None:
        super().__init__()
        self.num_items = interactions.num_items
        self.edges = nn.ModuleList(EdgeTable(graph) for graph in graphs)
        device = precisions[0].device
        user, item, start = (part.to(device) for part in distinct_items(interactions))
        self.register_buffer("user_item", user * self.num_items + item, persistent=False)
        self.register_buffer("num_own", start.diff(), persistent=False)  # [U]
        tables = []
        for m, (precision, graph) in enumerate(zip(precisions, graphs, strict=True)):
            neighbor, _ = neighbor_table(graph)
            parts = []
            for first in range(0, len(start) - 1, block_size):
                ends = start[first : first + block_size + 1]
                own = slice(int(ends[0]), int(ends[-1]))
                parts.append(without_users(precision, neighbor, item[own], user[own] - first, ends))
            scale, z, total = (torch.cat(values) for values in zip(*parts, strict=True))
            self.register_buffer(f"precision_{m}", precision, persistent=False)
            self.register_buffer(f"scale_{m}", scale, persistent=False)  # c, [U]
            tables.append(torch.stack([z, total]))
        # z and totals of each user's own items; the last row is that of any other item.
        z, total = F.pad(torch.stack(tables, dim=-1), (0, 0, 0, 1))  # [nnz + 1, M] each
        self.register_buffer("z", z, persistent=False)
        self.register_buffer("total", total, persistent=False)
        self.register_buffer("other", total - self._inside(user, item, start), persistent=False)

    def _inside(self, user: Tensor, item: Tensor, start: Tensor, block: int = 2**20) -> Tensor:
        """Votes of each of the users' items for all items of the same user, [nnz + 1, M]."""
        size = start.diff()[user]
        inside = self.total.new_zeros(self.total.shape)
        ends = size.cumsum(0)
        first = 0
        while first < len(item):  # as many voters as make a block of pairs, at least one
            done = int(ends[first]) - int(size[first])
            last = max(first + 1, int(torch.searchsorted(ends, done + block, right=True)))
            voters = torch.arange(first, last, device=item.device)
            voter = torch.repeat_interleave(voters, size[first:last])
            step = torch.arange(len(voter), device=item.device) - (ends - size)[voter] + done
            other = item[start[user[voter]] + step]
            votes = self.pairs(item[voter, None], other[:, None], user[voter])
            inside.index_add_(0, voter, votes[:, :, 0, 0])
            first = last
        return inside

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the graphs were fitted on other interactions than these."""
        user, item, _ = distinct_items(train)
        if not torch.equal(self.user_item.cpu(), user * train.num_items + item):
            raise ValueError(
                "'train' must hold the interactions that the relations were fitted on, or a user "
                f"is not taken out of them right (got {len(item):,} distinct pairs of user and "
                f"item, the relations have {len(self.user_item):,}, or the pairs differ)"
            )

    def _place(self, item_id: Tensor, user_id: Tensor) -> Tensor:
        """Rows of the users' own items in the tables, the last row for any other, [B, L]."""
        wanted = user_id[:, None] * self.num_items + item_id
        if not len(self.user_item):
            return torch.zeros_like(wanted)
        place = torch.searchsorted(self.user_item, wanted).clamp(max=len(self.user_item) - 1)
        return torch.where(self.user_item[place] == wanted, place, len(self.user_item))

    def pairs(self, source: Tensor, target: Tensor, user_id: Tensor) -> Tensor:
        """Votes of items [B, L] for items [B, T] of the same user: [B, M, T, L]."""
        source_, target_ = source[:, None, :], target[:, :, None]
        z_source = F.embedding(self._place(source, user_id), self.z)[:, None]  # [B, 1, L, M]
        z_target = F.embedding(self._place(target, user_id), self.z)[:, :, None]  # [B, T, 1, M]
        votes = []
        for m, edges in enumerate(self.edges):
            precision = getattr(self, f"precision_{m}")
            scale = getattr(self, f"scale_{m}")[user_id][:, None, None]
            kept = edges(source_, target_) > 0
            own = precision[source_, target_], precision.diagonal()[target_]
            votes.append(vote_without_user(*own, scale, z_source[..., m], z_target[..., m]) * kept)
        return torch.stack(votes, dim=1)

    def totals(self, source: Tensor, user_id: Tensor) -> Tensor:
        """All votes of items [B, L] of the user together: [B, M, L]."""
        return F.embedding(self._place(source, user_id), self.total).transpose(1, 2)

    def others(self, source: Tensor, user_id: Tensor) -> tuple[Tensor, Tensor]:
        """Votes for all items that are not the user's [B, M, L], and how many are [B]."""
        votes = F.embedding(self._place(source, user_id), self.other).transpose(1, 2)
        return votes, self.num_own[user_id]


def distinct_items(interactions: Interactions) -> tuple[Tensor, Tensor, Tensor]:
    """User and item of each distinct pair, sorted, and where each user begins, [users + 1]."""
    rows = interactions.to_csr()
    rows.sort_indices()
    start = torch.from_numpy(rows.indptr).long()
    user = torch.repeat_interleave(torch.arange(len(start) - 1), start.diff())
    return user, torch.from_numpy(rows.indices).long(), start


def without_users(
    precision: Tensor, neighbor: Tensor, item: Tensor, user: Tensor, ends: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights c of the users; z and the sum of votes of their items, in graphs without them.

    Args:
        precision: P, [N, N].
        neighbor: Kept targets of each item, [N, H], padded with the item itself.
        item: Items of the users, one user after the other, [nnz].
        user: Row of each item in this block, [nnz].
        ends: Where the items of each user begin and end, [users + 1].
    """
    z = F.embedding_bag(item, precision, ends[:-1] - ends[0], mode="sum")  # [users, N]
    own = z[user, item]
    scale = 1 / (1 - z.new_zeros(len(z)).index_add(0, user, own))
    total = torch.empty_like(own)
    # Users with long histories make many pairs of an item and a target: some at a time.
    for part in torch.arange(len(item)).split(max(1, PAIRS // neighbor.size(1))):
        target = neighbor[item[part]]  # [n, H]
        z_target = z[user[part, None], target]
        entries = precision[item[part, None], target], precision.diagonal()[target]
        scales = scale[user[part]][:, None]
        votes = vote_without_user(*entries, scales, own[part, None], z_target)
        total[part] = votes.sum(1)  # padding: an item's vote for itself is -1, clamped to 0
    return scale, own, total


def vote_without_user(
    entry: Tensor, diagonal: Tensor, scale: Tensor, z_source: Tensor, z_target: Tensor
) -> Tensor:
    r"""Votes :math:`\max(S^{-u}_{ij}, 0)` from :math:`P_{ij}, P_{jj}, c, z_i, z_j` (broadcast)."""
    above = entry + scale * z_source * z_target
    return (-above / (diagonal + scale * z_target**2)).clamp(min=0)
