"""Edges of the product graph: those of behavior, and the fill by affinity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.graphs.cells import Cells
from mdsrec_pyg.graphs.cooccurrence import entry_blocks
from mdsrec_pyg.graphs.nearest import nearest
from mdsrec_pyg.graphs.neighbors import MARGIN, affinity, kth_entries, rough_products, top_entries
from mdsrec_pyg.graphs.parallel import map_blocks

__all__ = ["behavior_edges", "fill_edges"]

Edges = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
Behavior = Callable[[NDArray[Any]], NDArray[np.float64]]
Affinity = Callable[[Tensor, Tensor, Tensor], Tensor]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


class _Pairs:
    """Co-occurring pairs of a block of rows, and their affinities."""

    def __init__(
        self, counts: sp.csr_matrix, unit: Tensor, present: NDArray[np.bool_], rows: slice
    ) -> None:
        part = counts[rows]
        self.start, self.num_rows = rows.start, rows.stop - rows.start
        self.row = np.repeat(np.arange(rows.start, rows.stop), np.diff(part.indptr))
        self.column, self.count = part.indices.astype(np.int64), part.data
        self.known = present[self.row] & present[self.column]
        self.unit = unit

    def affinities(self, function: Affinity, which: NDArray[Any], mean: float) -> NDArray[Any]:
        """Of some of the pairs; ``mean`` where it is not known."""
        value = np.full(len(which), mean, np.float32)
        known = self.known[which]
        row, column = (torch.from_numpy(at[which][known]) for at in (self.row, self.column))
        value[known] = function(self.unit, row, column).clamp(min=0).numpy()
        return value

    def strongest(self, behavior: Behavior, mean: float, k: int) -> Edges:
        """The ``k`` strongest pairs of each row, by their exact affinity.

        No affinity exceeds 1: in a row with ``k`` strong pairs among those seen more than once,
        most of the others need no affinity at all.
        """
        factor = behavior(self.count)
        often = np.flatnonzero(self.count > 1)
        low, _ = self._bounds(often, factor, mean)
        floor = self._floor(often, low, k)
        reach = factor * (1 + MARGIN) >= floor[self.row - self.start]
        near = np.flatnonzero(reach & (factor > 0))
        low, high = self._bounds(near, factor, mean)
        near = near[high >= self._floor(near, low, k)[self.row[near] - self.start]]
        cosine = self.affinities(affinity, near, mean)
        weight = (factor[near] * cosine).astype(np.float32)
        near, weight = near[weight > 0], weight[weight > 0]
        keep = top_entries(self.row[near], self.column[near], weight, k)
        return self.row[near[keep]], self.column[near[keep]], weight[keep]

    def _bounds(self, which: NDArray[Any], factor: NDArray[Any], mean: float) -> Bounds:
        """What the weights of some pairs lie between, whatever the rounding."""
        rough = self.affinities(rough_products, which, mean)
        return factor[which] * (rough - MARGIN).clip(min=0), factor[which] * (rough + MARGIN)

    def _floor(self, which: NDArray[Any], low: NDArray[Any], k: int) -> NDArray[np.float64]:
        """The ``k``-th largest bound of each row of the block, 0 where it has fewer pairs."""
        row = self.row[which] - self.start
        full, last = kth_entries(row, self.column[which], low, k, self.num_rows)
        floor = np.zeros(self.num_rows)
        floor[full] = last
        return floor


def behavior_edges(
    counts: sp.csr_matrix, unit: Tensor, present: Tensor, behavior: Behavior, k: int
) -> Edges:
    """The ``k`` strongest co-occurring neighbors of each item, where the weight is positive.

    Args:
        counts: Symmetric counts ``[N, N]``.
        unit: Unit rows ``[N, F]``.
        present: Items whose features are known, bool ``[N]``.
        behavior: Factor of the counts.
        k: Neighbors an item, ties by the lower id.

    Returns:
        Target, source and weight, by target and from the strongest down.
    """
    here = present.numpy()

    def known(rows: slice) -> tuple[float, int]:
        pairs = _Pairs(counts, unit, here, rows)
        which = np.flatnonzero(pairs.known)
        value = pairs.affinities(rough_products, which, 0.0)
        return float(value.sum(dtype=np.float64)), len(which)

    def strongest(rows: slice) -> Edges:
        return _Pairs(counts, unit, here, rows).strongest(behavior, mean, k)

    mean = 1.0
    if not here.all():
        total, number = np.sum(list(map_blocks(known, entry_blocks(counts))), axis=0)
        mean = total / number if number else 1.0

    parts = list(map_blocks(strongest, entry_blocks(counts)))
    row, column, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    return row, column, weight


def fill_edges(
    edges: Edges,
    unit: Tensor,
    present: Tensor,
    num_neighbors: int,
    fill_weight: float,
    alone: float,
    block_size: int | None,
    make_cells: Callable[[], Cells | None],
) -> Edges:
    """Adds the nearest items to the rows that have fewer than ``num_neighbors`` edges.

    Args:
        edges: Behavior edges.
        unit: Unit rows ``[N, F]``.
        present: Items whose features are known, bool ``[N]``.
        num_neighbors: Edges wanted a row.
        fill_weight: Strongest fill edge relative to the weakest behavior edge of the row.
        alone: Factor of the affinity in a row without behavior edges.
        block_size: Rows a thread compares at once.
        make_cells: Gives the cells of the search; called only where a row is short.
    """
    row, column, weight = edges
    num_items = len(unit)
    have = np.bincount(row, minlength=num_items)
    taken = sp.csr_matrix((np.ones(len(row), bool), (row, column)), shape=(num_items, num_items))

    def exclude(part: Tensor) -> tuple[Tensor, Tensor]:
        entries = taken[part.numpy()].tocoo()
        position, item = (entries.row.astype(np.int64), entries.col.astype(np.int64))
        return torch.from_numpy(position), torch.from_numpy(item)

    query = torch.from_numpy(np.flatnonzero((have < num_neighbors) & present.numpy()))
    if not len(query):
        return edges
    found = nearest(unit, query, num_neighbors, exclude, block_size, make_cells())
    new_row, new_column, value = (part.numpy() for part in found)
    keep = top_entries(new_row, new_column, value, num_neighbors - have)
    new_row, new_column, value = new_row[keep], new_column[keep], value[keep]
    weakest = np.full(num_items, np.inf, np.float32)
    np.minimum.at(weakest, row, weight)
    largest = np.zeros(num_items, np.float32)
    np.maximum.at(largest, new_row, value)
    relative = fill_weight * weakest[new_row] * (value / largest[new_row])
    new_weight = np.where(have[new_row] > 0, relative, alone * value).astype(np.float32)
    return (
        np.concatenate([row, new_row]),
        np.concatenate([column, new_column]),
        np.concatenate([weight, new_weight]),
    )
