"""The ridge of every target item over its best candidates: for catalogs whose N x N is too big."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.cells import Part, make_cells, search_blocks
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.graphs.nearest import positions
from mdsrec_pyg.graphs.neighbors import (
    UnitRows,
    as_unit,
    kth_entries,
    rough_products,
    row_blocks,
    sorted_graph,
    top_entries,
    top_per_row,
)
from mdsrec_pyg.graphs.pair_counts import count_parts, dense_counts, entries, rarer_first
from mdsrec_pyg.graphs.parallel import map_blocks
from mdsrec_pyg.graphs.ridge import ridge_diagonal

__all__ = ["local_ridge_graph"]

# Weights collected before each source is cut back to its strongest targets.
_WEIGHTS = 2**24

Entries = tuple[Tensor, Tensor, Tensor]
Weights = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def local_ridge_graph(
    interactions: Interactions,
    x: Any,
    mask: Any = None,
    *,
    config: RidgeConfig | None = None,
    targets: Tensor | None = None,
    **options: Any,
) -> Data:
    r"""Approximates :func:`~mdsrec_pyg.graphs.ridge_graph` without any N x N matrix.

    A column of S is the ridge regression of a target *j* on all other items. Here it is regressed
    on its ``num_candidates`` best candidates *c* only, while the items left out still explain what
    they share with all: without them, the direction common to all features would count as affinity.
    With :math:`\mathbf{D} = \mathrm{diag}(n_i + l + n_i p / (1 - p))`, the number of users
    :math:`n_i` of an item, *p* of ``denoising`` and :math:`\mathbf{C}` the co-occurrences,

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

    Up to 100,000 items every target is compared with all items, :math:`O(N^2 F)`; beyond that
    ``search=None`` means ``'cells'``: with the items it co-occurs with, and with those of the
    ``num_probes`` nearest of :math:`\sqrt{N}` k-means cells of the rows whose inner products are
    :math:`\mathbf{W}`, :math:`O(N^{1.5} F)`. The solves take :math:`O(N c^2 (c + F))`, on all
    threads of torch; the result does not depend on their number. Memory: one float32 copy of the
    features, 12 bytes a co-occurring pair and direction (at most ``max_sequence_length`` pairs an
    interaction), :math:`O(N H)` for the edges, and a few arrays of 64 MB a thread.

    Args:
        interactions: Training interactions; repeated ones count once.
        x: Features ``[N, F]`` or a ModalFeature; ``None``: the plain ridge, without a kernel.
        mask: True where the item has the modality, bool ``[N]``. Default: all have it.
        config: The options, see :class:`~mdsrec_pyg.graphs.RidgeConfig`; features are kept,
            compared and solved on its ``device``, counts stay on the CPU.
        targets: Items whose columns of S are solved, int64 ``[T]``; the others get no edges.
            Default: all.
        **options: Some of them by name, such as ``num_candidates=100``.

    Returns:
        Data with ``edge_index``, from item *i* of the history to candidate *j*, sorted by source
        and target, ``edge_weight`` and ``num_nodes``.

    Raises:
        ValueError: An option out of range, or shapes that do not fit.
    """
    chosen = configure(RidgeConfig(), config, **options)
    num_items = interactions.num_items
    unit = as_unit(x, mask, num_items)
    if len(unit) != num_items:
        raise ValueError(f"'x' must have one row an item ({num_items}), got {len(unit)}")
    counts = count_parts(interactions, chosen.max_sequence_length)
    solver = _LocalSolver(interactions, counts, unit, chosen)
    cells = make_cells(solver.rows, chosen.search, chosen.num_probes)
    wanted = torch.arange(num_items) if targets is None else targets
    size = chosen.num_candidates + 1
    blocks = search_blocks(cells, wanted, num_items, size, chosen.block_size)
    kept = _Strongest(num_items, chosen.num_neighbors)
    for part in map_blocks(lambda block: solver.weights(block, chosen.num_candidates), blocks):
        kept.add(part)
    source, target, weight = (torch.from_numpy(part) for part in kept.result())
    return sorted_graph(source, target, weight, num_items)


class _Strongest:
    """The largest weights of each source, while the targets come in."""

    def __init__(self, num_items: int, k: int) -> None:
        self.k = k
        self.floor = np.zeros(num_items, np.float32)  # what a weight must reach to be kept
        self.parts: list[Weights] = []
        self.size = self.cut = 0

    def add(self, part: Weights) -> None:
        """Takes weights in, and cuts back where they have become too many."""
        source, target, weight = part
        keep = weight >= self.floor[source]
        self.parts.append((source[keep], target[keep], weight[keep]))
        self.size += int(keep.sum())
        if self.size > self.cut + _WEIGHTS:
            self.parts = [self.result()]
            source, _, weight = self.parts[0]
            self.size = self.cut = len(source)
            full = np.bincount(source, minlength=len(self.floor)) == self.k
            last = np.flatnonzero(np.diff(source, append=-1))  # the weakest of each source
            self.floor[source[last]] = np.where(full[source[last]], weight[last], 0)

    def result(self) -> Weights:
        """Source, target and weight, by source."""
        source, target, weight = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        keep = top_entries(source, target, weight, self.k)
        return source[keep], target[keep], weight[keep]


class _LocalSolver:
    """Blocks of A, made where they are needed."""

    def __init__(
        self,
        interactions: Interactions,
        counts: sp.csr_matrix,
        unit: UnitRows,
        config: RidgeConfig,
    ) -> None:
        weight, device = config.feature_weight, torch.device(config.device)
        self.counts, self.weight, self.device = counts, weight, device
        users = interactions.to_csr().sum(axis=0, dtype=np.float64)
        ridge = ridge_diagonal(interactions, config.l2, config.denoising)
        diagonal = torch.from_numpy(np.asarray(users).ravel() + ridge)
        self.diagonal = diagonal.to(device)
        self.scale = (diagonal + weight * unit.present).sqrt().float().to(device)
        # Rows whose inner products are W: a copy, as other graphs read the unit rows, too.
        self.rows = _whiten(unit.rows.to(device, copy=True), self.diagonal, weight)
        # A little longer than rounding may have made them shorter.
        self.length = 1.00001 * torch.linalg.vector_norm(self.rows, dim=1).cpu()
        self.host_scale = self.scale.cpu()
        self.pairs = rarer_first(counts)

    def weights(self, block: Part, num_candidates: int) -> Weights:
        """Source, target and weight of the block's targets, where the weight is positive."""
        target, items = block
        candidate = self._candidates(target, items, num_candidates)
        chosen = torch.cat([candidate, target[:, None]], dim=1)  # the target last: [R, c + 1]
        known, local = chosen.unique(return_inverse=True)
        pairs = self.pairs[known.numpy()][:, known.numpy()]
        width = chosen.size(1)
        # One target holds features [c, F] and a few matrices [c, c] in float64.
        numbers = 2**23 if self.device.type == "cpu" else 2**27
        step = max(1, numbers // (width * (self.rows.size(1) + 8 * width)))
        parts = zip(chosen.split(step), local.split(step), strict=True)
        weight = torch.cat(
            [self._solve(part, dense_counts(pairs, place)) for part, place in parts]
        ).cpu()
        row, position = (weight > 0).nonzero(as_tuple=True)
        source, value = candidate[row, position], weight[row, position]
        return source.numpy(), target[row].numpy(), value.numpy()

    def _candidates(self, target: Tensor, items: Tensor | None, num_candidates: int) -> Tensor:
        """Candidates ``[R, c]``, by id."""
        met = slice(None) if items is None else items.to(self.device)
        own = self.rows[target.to(self.device)]
        coupling = (own @ self.rows[met].T).mul_(self.weight)  # [R, F] @ [F, n] -> [R, n]
        row, item, count = entries(self.counts, target)
        found, column = positions(items, item)
        coupling[row[found], column] += count[found].to(self.device)
        coupling /= self.scale[met]
        self_found, column = positions(items, target)
        coupling[self_found.nonzero()[:, 0], column] = -torch.inf
        if items is None:
            chosen = top_per_row(coupling, num_candidates, above=-torch.inf)
            return chosen.nonzero()[:, 1].view(len(target), -1).cpu()
        value, column = coupling.topk(num_candidates, dim=1)
        near = value.cpu(), items[column.cpu()]
        return self._with_far(target, near, (row[~found], item[~found], count[~found]))

    def _with_far(self, target: Tensor, near: tuple[Tensor, Tensor], far: Entries) -> Tensor:
        """Best of the near items, values and ids ``[R, c]``, and of what co-occurs further away."""
        num_candidates = near[0].size(1)
        row, item, count = far
        # |W_ij| is at most the product of the lengths: in rows with enough items seen more than
        # once, most of the others need no inner product.
        slack = self.weight * self.length[target][row] * self.length[item]
        low, high = ((count + sign * slack) / self.host_scale[item] for sign in (-1, 1))
        often = count > 1
        floor = _kth(row[often], item[often], low[often], num_candidates, len(target))
        keep = high >= torch.maximum(floor, near[0][:, -1])[row]
        row, item, count = row[keep], item[keep], count[keep]
        product = rough_products(self.rows, target[row].to(self.device), item.to(self.device)).cpu()
        value = (product * self.weight + count) / self.host_scale[item]
        near_row = torch.arange(len(target)).repeat_interleave(num_candidates)
        both = torch.cat([near[1].ravel(), item])
        best = top_entries(
            torch.cat([near_row, row]).numpy(),
            both.numpy(),
            torch.cat([near[0].ravel(), value]).numpy(),
            num_candidates,
        )
        return both[best].view(len(target), -1).sort(dim=1).values

    def _solve(self, items: Tensor, counts: Tensor) -> Tensor:
        """Weights ``[R, c]`` of candidates for their target, the last of ``items [R, c + 1]``."""
        items = items.to(self.device)
        rows = self.rows.index_select(0, items.ravel()).view(*items.shape, -1)
        diagonal = self.diagonal[items]
        matrix = (rows @ rows.mT).double().mul_(-self.weight)  # [R, c + 1, c + 1]
        matrix.diagonal(dim1=1, dim2=2).add_(diagonal)
        matrix = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
        matrix *= diagonal[:, :, None] * diagonal[:, None, :]
        matrix += counts.to(self.device)
        factor = torch.linalg.cholesky(matrix[:, :-1, :-1])
        return torch.cholesky_solve(matrix[:, :-1, -1:], factor)[..., 0].float()


def _kth(row: Tensor, item: Tensor, value: Tensor, k: int, num_rows: int) -> Tensor:
    """The ``k``-th largest value of each row, minus infinity where it has fewer."""
    full, last = kth_entries(row.numpy(), item.numpy(), value.numpy(), k, num_rows)
    kth = torch.full((num_rows,), -torch.inf)
    kth[torch.from_numpy(full)] = torch.from_numpy(last).float()
    return kth


def _whiten(unit: Tensor, diagonal: Tensor, weight: float) -> Tensor:
    """Turns the unit rows, in place, into rows whose inner products are W."""
    blocks = list(row_blocks(len(unit), unit.size(1), None))
    shared = torch.eye(unit.size(1), dtype=torch.float64, device=unit.device)
    for part in map_blocks(lambda b: unit[b].T.double() @ (unit[b] / diagonal[b, None]), blocks):
        shared += weight * part
    factor = torch.linalg.cholesky(shared)

    def solve(block: slice) -> None:
        wide = unit[block].T.double()
        unit[block] = torch.linalg.solve_triangular(factor, wide, upper=False).T.float()

    for _ in map_blocks(solve, blocks):
        pass
    return unit
