"""The ridge of every target item over its best candidates: for catalogs whose N x N is too big."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data.cooccurrence import count_cooccurrences
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.neighbors import (
    as_feature,
    row_blocks,
    sorted_graph,
    top_entries,
    top_per_row,
    unit_rows,
)
from mdsrec_pyg.data.ridge import check_ridge

__all__ = ["local_ridge_graph"]

# Weights collected before each source is cut back to its strongest targets.
_WEIGHTS = 2**24

Weights = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def local_ridge_graph(
    interactions: Interactions,
    x: Any,
    mask: Any = None,
    *,
    num_neighbors: int = 50,
    feature_weight: float = 30.0,
    l2: float = 300.0,
    num_candidates: int = 200,
    max_sequence_length: int = 200,
    block_size: int | None = None,
) -> Data:
    r"""Approximates :func:`~mdsrec_pyg.data.ridge_graph` without any N x N matrix.

    A column of S is the ridge regression of a target *j* on all other items. Here it is regressed
    on its ``num_candidates`` best candidates *c* only, while the items left out still explain what
    they share with all: without them, the direction common to all features would count as affinity.
    With :math:`\mathbf{D} = \mathrm{diag}(n_i + l)`, the number of users :math:`n_i` of an item and
    :math:`\mathbf{C}` the co-occurrences,

    .. math::
        \mathbf{W} = \hat{\mathbf{F}} (\mathbf{I} + a \hat{\mathbf{F}}^{\top} \mathbf{D}^{-1}
        \hat{\mathbf{F}})^{-1} \hat{\mathbf{F}}^{\top}, \qquad
        \mathbf{A}_T = \mathbf{C}_T +
        \mathbf{D}_T (\mathbf{D}_T - a \mathbf{W}_T)^{-1} \mathbf{D}_T, \qquad
        S_{cj} = (\mathbf{A}_T)_{cc}^{-1} (\mathbf{A}_T)_{cj},

    :math:`T = c \cup \{j\}`: the Schur complement of the items outside *T*, which meet *T* and
    each other in their features only. The candidates have the largest :math:`(C_{ij} + a W_{ij}) /
    \sqrt{D_{ii} + a}`, by how much each alone would explain the target. With all other items as
    candidates, and no user of more than ``max_sequence_length`` items, the weights are the exact
    ones.

    A user of *L* items has :math:`L^2` pairs. The items of a longer user are therefore cut into
    parts of ``max_sequence_length`` in their order, and :math:`\mathbf{C}` counts the pairs within
    a part only; :math:`n_i` stays what it is. Parts, unlike a window, keep :math:`\mathbf{A}`
    positive definite.

    Time :math:`O(N c^3)` for the solves and :math:`O(N^2 F)` in blocks for the candidates; memory
    :math:`O(N H)`, the co-occurring pairs, at most ``max_sequence_length`` an interaction, and
    blocks of about 64 MB.

    Args:
        interactions: Training interactions; repeated ones count once.
        x: Features ``[N, F]`` or a ModalFeature.
        mask: True where the item has the modality, bool ``[N]``. Default: all have it.
        num_neighbors: Largest entries kept of each row *i* of S, ties by the lower id.
        feature_weight: Weight *a* of the affinity, not negative.
        l2: Ridge *l*, positive.
        num_candidates: Candidates *c* a target item.
        max_sequence_length: Most distinct items of a user whose pairs all count.
        block_size: Targets compared with all items at once; changes memory, not the result.

    Returns:
        Data with ``edge_index``, from item *i* of the history to candidate *j*, sorted by target
        and source, ``edge_weight`` and ``num_nodes``.

    Raises:
        ValueError: An option out of range, or shapes that do not fit.
    """
    check_ridge(feature_weight, l2)
    for name, value in (
        ("num_neighbors", num_neighbors),
        ("num_candidates", num_candidates),
        ("max_sequence_length", max_sequence_length),
    ):
        if value < 1:
            raise ValueError(f"'{name}' must be at least 1 (got {value})")
    unit, present = unit_rows(as_feature(x, mask))
    num_items = interactions.num_items
    if len(unit) != num_items:
        raise ValueError(f"'x' must have one row an item ({num_items}), got {len(unit)}")
    counts = _count_parts(interactions, max_sequence_length)
    solver = _LocalSolver(interactions, counts, unit, present, feature_weight, l2)
    kept: list[Weights] = []
    for block in row_blocks(num_items, num_items, block_size):
        kept.append(solver.weights(block, num_candidates))
        if sum(len(part[0]) for part in kept) > _WEIGHTS:
            kept = [_strongest(kept, num_neighbors)]
    source, target, weight = (torch.from_numpy(part) for part in _strongest(kept, num_neighbors))
    return sorted_graph(source, target, weight, num_items)


def _count_parts(interactions: Interactions, longest: int) -> sp.csr_matrix:
    """Co-occurrences in parts of at most ``longest`` distinct items of a user."""
    pair = interactions.user_id * interactions.num_items + interactions.item_id
    first = np.sort(np.unique(pair, return_index=True)[1])
    user, item = interactions.user_id[first], interactions.item_id[first]
    begins = (np.arange(len(user)) - np.searchsorted(user, user)) % longest == 0
    parts = Interactions(
        user_id=np.cumsum(begins) - 1,
        item_id=item,
        timestamp=None,
        num_users=int(begins.sum()),
        num_items=interactions.num_items,
    )
    return count_cooccurrences(parts, max_sequence_length=longest)


def _strongest(parts: list[Weights], k: int) -> Weights:
    source, target, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    keep = top_entries(source, target, weight, k)
    return source[keep], target[keep], weight[keep]


class _LocalSolver:
    """Blocks of A, made where they are needed."""

    def __init__(
        self,
        interactions: Interactions,
        counts: sp.csr_matrix,
        unit: Tensor,
        present: Tensor,
        weight: float,
        l2: float,
    ) -> None:
        self.counts = counts
        self.weight = weight
        users = interactions.to_csr().sum(axis=0, dtype=np.float64)
        self.diagonal = torch.from_numpy(np.asarray(users).ravel()) + l2
        self.scale = (self.diagonal + weight * present).sqrt().float()
        wide = unit.double()
        shared = torch.eye(unit.size(1)) + weight * (wide.T @ (wide / self.diagonal[:, None]))
        factor = torch.linalg.cholesky(shared)
        # Rows whose inner products are W.
        self.rows = torch.linalg.solve_triangular(factor, wide.T, upper=False).T.float()
        # Each pair stands with its rarer item only: no popular item's long row is ever walked.
        pairs = sp.triu(self.counts, k=1).tocoo()
        degree = np.diff(self.counts.indptr)
        swap = degree[pairs.row] > degree[pairs.col]
        rare, common = np.where(swap, pairs.col, pairs.row), np.where(swap, pairs.row, pairs.col)
        self.pairs = sp.csr_matrix((pairs.data, (rare, common)), shape=self.counts.shape)

    def weights(self, block: slice, num_candidates: int) -> Weights:
        """Source, target and weight of the block's targets, where the weight is positive."""
        candidate = self._candidates(block, num_candidates)
        target = torch.arange(block.start, block.stop)
        width = candidate.size(1) + 1
        # One target holds features [c, F] and a few matrices [c, c] in float64.
        step = max(1, 2**23 // (width * (self.rows.size(1) + 8 * width)))
        parts = zip(target.split(step), candidate.split(step), strict=True)
        weight = torch.cat([self._solve(*part) for part in parts])
        row, position = (weight > 0).nonzero(as_tuple=True)
        source, value = candidate[row, position], weight[row, position]
        return source.numpy(), target[row].numpy(), value.numpy()

    def _candidates(self, block: slice, num_candidates: int) -> Tensor:
        """Candidates ``[R, c]``, by id."""
        size = block.stop - block.start
        coupling = self.weight * (self.rows[block] @ self.rows.T)  # [R, F] @ [F, N] -> [R, N]
        entries = self.counts[block].tocoo()
        coupling[entries.row, entries.col] += torch.from_numpy(entries.data)
        coupling /= self.scale
        coupling[torch.arange(size), torch.arange(block.start, block.stop)] = -torch.inf
        chosen = top_per_row(coupling, num_candidates, above=-torch.inf)
        return chosen.nonzero()[:, 1].view(size, -1)

    def _solve(self, target: Tensor, candidate: Tensor) -> Tensor:
        items = torch.cat([candidate, target[:, None]], dim=1)  # the target last: [R, c + 1]
        rows = self.rows[items]
        diagonal = self.diagonal[items]
        matrix = (rows @ rows.mT).double().mul_(-self.weight)  # [R, c + 1, c + 1]
        matrix.diagonal(dim1=1, dim2=2).add_(diagonal)
        matrix = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
        matrix *= diagonal[:, :, None] * diagonal[:, None, :]
        self._add_counts(matrix, items.numpy())
        factor = torch.linalg.cholesky(matrix[:, :-1, :-1])
        return torch.cholesky_solve(matrix[:, :-1, -1:], factor)[..., 0].float()

    def _add_counts(self, matrix: Tensor, items: NDArray[np.int64]) -> None:
        width = items.shape[1]
        batch, position = np.divmod(np.arange(items.size), width)
        item = items.ravel()
        slot = np.full((len(items), len(self.rows)), -1, np.int32)
        slot[batch, item] = position
        start, length = self.pairs.indptr[item], np.diff(self.pairs.indptr)[item]
        owner = np.repeat(np.arange(items.size), length)
        entry = np.arange(len(owner)) + np.repeat(start - (np.cumsum(length) - length), length)
        other = slot[batch[owner], self.pairs.indices[entry]]
        found = other >= 0
        owner, entry, other = owner[found], entry[found], other[found]
        value = self.pairs.data[entry].astype(np.float64)
        array = matrix.numpy()
        array[batch[owner], position[owner], other] += value
        array[batch[owner], other, position[owner]] += value
