"""What training over learned relation graphs needs: votes that the voter's own history is not in.

Each training pair co-occurred at least in its own sequence, so a learned graph holds its target.
Both classes here answer the same two questions about a batch, over graphs without the user:
how much the items of the history vote for given items (``pairs``), and how much they vote in all
(``totals``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions


class EdgeTable(nn.Module):
    """Looks edge weights up by source and target.

    Args:
        graph: An item graph with non-negative weights.
    """

    key: Tensor
    weight: Tensor
    total: Tensor

    def __init__(self, graph: Data) -> None:
        super().__init__()
        self.num_nodes = num_nodes(graph)
        source, target = graph.edge_index
        key, order = torch.sort(source * self.num_nodes + target)
        self.register_buffer("key", key, persistent=False)
        self.register_buffer("weight", graph.edge_weight[order], persistent=False)
        total = graph.edge_weight.new_zeros(self.num_nodes)
        total.index_add_(0, source, graph.edge_weight)
        self.register_buffer("total", total, persistent=False)  # of each source

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Weights of the edges from ``source`` to ``target``, zero where there is none."""
        return lookup(self.key, source * self.num_nodes + target, self.weight)


def lookup(keys: Tensor, wanted: Tensor, values: Tensor) -> Tensor:
    """Values of the wanted keys among sorted keys, zero where a key is not there."""
    if not len(keys):
        return values.new_zeros(wanted.shape)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return values[place] * (keys[place] == wanted)


class TrainingVotes(nn.Module):
    """Votes of training users over graphs that have not seen them."""

    def pairs(self, source: Tensor, target: Tensor, user_id: Tensor) -> Tensor:
        """Votes of items [B, L] for items [B, T] of the same user: [B, M, T, L].

        Args:
            source: History items that vote, [B, L].
            target: Items that are voted for, [B, T].
            user_id: Training users, [B].
        """
        raise NotImplementedError

    def totals(self, source: Tensor, user_id: Tensor) -> Tensor:
        """All votes of items [B, L] of the user together: [B, M, L]."""
        raise NotImplementedError

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the graphs were fitted on other interactions than these."""
        raise NotImplementedError


class LeaveOneUserOut(TrainingVotes):
    r"""Votes over graphs fitted without the voter, exactly and in closed form (ours, DESIGN 8).

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
        graphs: The graphs made from them.
        interactions: The training interactions that the precisions were fitted on.
        block_size: Users whose [N] rows are held at once. (default: ``512``)
    """

    user_item: Tensor

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
        user, item, start = distinct_items(interactions)
        self.register_buffer("user_item", user * self.num_items + item, persistent=False)
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
            self.register_buffer(f"z_{m}", z, persistent=False)  # [nnz]
            self.register_buffer(f"total_{m}", total, persistent=False)  # [nnz]

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the graphs were fitted on other interactions than these."""
        user, item, _ = distinct_items(train)
        if not torch.equal(self.user_item.cpu(), user * train.num_items + item):
            raise ValueError(
                "'train' must hold the interactions that the relations were fitted on, or a user "
                f"is not taken out of them right (got {len(item):,} distinct pairs of user and "
                f"item, the relations have {len(self.user_item):,}, or the pairs differ)"
            )

    def _of_user(self, name: str, item_id: Tensor, user_id: Tensor) -> Tensor:
        """A value of each of the users' own items, [B, L]."""
        wanted = user_id[:, None] * self.num_items + item_id
        return lookup(self.user_item, wanted, getattr(self, name))

    def pairs(self, source: Tensor, target: Tensor, user_id: Tensor) -> Tensor:
        """Votes of items [B, L] for items [B, T] of the same user: [B, M, T, L]."""
        source_, target_ = source[:, None, :], target[:, :, None]
        votes = []
        for m, edges in enumerate(self.edges):
            precision = getattr(self, f"precision_{m}")
            scale = getattr(self, f"scale_{m}")[user_id][:, None, None]
            z_source = self._of_user(f"z_{m}", source, user_id)[:, None, :]
            z_target = self._of_user(f"z_{m}", target, user_id)[:, :, None]
            kept = edges(source_, target_) > 0
            own = precision[source_, target_], precision.diagonal()[target_]
            votes.append(vote_without_user(*own, scale, z_source, z_target) * kept)
        return torch.stack(votes, dim=1)

    def totals(self, source: Tensor, user_id: Tensor) -> Tensor:
        """All votes of items [B, L] of the user together: [B, M, L]."""
        names = [f"total_{m}" for m in range(len(self.edges))]
        return torch.stack([self._of_user(name, source, user_id) for name in names], dim=1)


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
    target = neighbor[item]  # [nnz, H]
    z_target = z[user[:, None], target]
    entries = precision[item[:, None], target], precision.diagonal()[target]
    votes = vote_without_user(*entries, scale[user][:, None], own[:, None], z_target)
    return scale, own, votes.sum(1)  # padding: an item's vote for itself is -1, clamped to 0


def vote_without_user(
    entry: Tensor, diagonal: Tensor, scale: Tensor, z_source: Tensor, z_target: Tensor
) -> Tensor:
    r"""Votes :math:`\max(S^{-u}_{ij}, 0)` from :math:`P_{ij}, P_{jj}, c, z_i, z_j` (broadcast)."""
    above = entry + scale * z_source * z_target
    return (-above / (diagonal + scale * z_target**2)).clamp(min=0)


class CrossFittedVotes(TrainingVotes):
    """Votes over graphs fitted without the voter's fold, for graphs without an exact inverse.

    Args:
        folds: For each fold the graphs (one a modality) fitted on all other users.
        user_fold: Fold of each user, Long tensor [U].
    """

    user_fold: Tensor

    def __init__(self, folds: Sequence[Sequence[Data]], user_fold: Tensor) -> None:
        super().__init__()
        self.num_items = num_nodes(folds[0][0])
        self.edges = nn.ModuleList(
            EdgeTable(join([graphs[m] for graphs in folds])) for m in range(len(folds[0]))
        )
        self.register_buffer("user_fold", user_fold, persistent=False)

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the folds are of another number of users."""
        if train.num_users != len(self.user_fold):
            raise ValueError(
                f"'train' must have the {len(self.user_fold):,} users that the relations were "
                f"fitted on (got {train.num_users:,})"
            )

    def _shifted(self, item_id: Tensor, user_id: Tensor) -> Tensor:
        """The items as nodes of the graph that the users are not in."""
        fold = self.user_fold[user_id].view(-1, *[1] * (item_id.dim() - 1))
        return item_id + fold * self.num_items

    def pairs(self, source: Tensor, target: Tensor, user_id: Tensor) -> Tensor:
        """Votes of items [B, L] for items [B, T]: [B, M, T, L]."""
        source_ = self._shifted(source, user_id)[:, None, :]
        target_ = self._shifted(target, user_id)[:, :, None]
        return torch.stack([edges(source_, target_) for edges in self.edges], dim=1)

    def totals(self, source: Tensor, user_id: Tensor) -> Tensor:
        """All votes of items [B, L] together: [B, M, L]."""
        source = self._shifted(source, user_id)
        return torch.stack([edges.get_buffer("total")[source] for edges in self.edges], dim=1)


def num_nodes(graph: Data) -> int:
    """Number of nodes of a graph; an error where it is not stated."""
    size = graph.num_nodes
    if size is None:
        raise ValueError("'num_nodes' must be set on every item graph (got None)")
    return int(size)


def join(graphs: Sequence[Data]) -> Data:
    """Disjoint union: the nodes of graph f are shifted by f * N."""
    size = num_nodes(graphs[0])
    index = [graph.edge_index + f * size for f, graph in enumerate(graphs)]
    weight = torch.cat([graph.edge_weight for graph in graphs])
    return Data(
        edge_index=torch.cat(index, dim=1), edge_weight=weight, num_nodes=size * len(graphs)
    )


def neighbor_table(graph: Data) -> tuple[Tensor, Tensor]:
    """Outgoing edges of each node as a table: targets and weights [N, H].

    Nodes with fewer than H edges are padded with edges of weight zero to themselves.
    """
    size = num_nodes(graph)
    source, order = torch.sort(graph.edge_index[0], stable=True)
    target, weight = graph.edge_index[1][order], graph.edge_weight[order]
    degree = torch.bincount(source, minlength=size)
    column = torch.arange(len(source)) - (degree.cumsum(0) - degree)[source]
    width = max(int(degree.max()), 1)
    neighbor = torch.arange(size)[:, None].repeat(1, width)
    value = torch.zeros(size, width, dtype=weight.dtype)
    neighbor[source, column] = target
    value[source, column] = weight
    return neighbor, value
