"""Affinities and largest entries of a row, in blocks: never an N x N matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data.features import ModalFeature, as_dense
from mdsrec_pyg.data.interactions import Interactions

__all__ = [
    "BEHAVIOR",
    "MARGIN",
    "UnitRows",
    "affinity",
    "as_feature",
    "as_unit",
    "kth_entries",
    "rough_products",
    "row_blocks",
    "sorted_graph",
    "top_blocks",
    "top_entries",
    "top_mask",
    "top_per_row",
    "unit_rows",
    "with_features",
]

#: Name of the one graph where there is no modality.
BEHAVIOR = "behavior"

# Rounding of a float32 inner product of unit vectors stays well below this.
MARGIN = 1e-5


def as_feature(x: Any, mask: Any = None) -> ModalFeature:
    """Makes a checked feature of an array ``[N, F]`` and a mask ``[N]``; a feature passes through.

    Raises:
        ValueError: ``x`` is a feature, which has its own mask, and ``mask`` is given too.
    """
    if isinstance(x, UnitRows):
        x = x.feature
    if not isinstance(x, ModalFeature):
        return ModalFeature(as_dense(x).cpu(), mask)
    if mask is not None:
        raise ValueError("'mask' must be left out where 'x' is a ModalFeature, which has its own")
    return x


def unit_rows(feature: ModalFeature) -> tuple[Tensor, Tensor]:
    """Scales the rows to length one, so that an inner product is a cosine.

    A row of zeros has no direction: it counts as missing.

    Returns:
        Unit rows, float32 ``[N, F]``, zero where missing, and who has one, bool ``[N]``.
    """
    # Lengths in float64: the squares of large features overflow float32.
    length = torch.linalg.vector_norm(feature.x, dim=1, dtype=torch.float64)
    present = feature.mask & (length > 0)
    scale = torch.where(present, length, 1.0)[:, None]
    unit = torch.empty_like(feature.x)
    for rows in row_blocks(len(unit), unit.size(1), None):  # whole, the quotient would be float64
        unit[rows] = (feature.x[rows] / scale[rows]).float()
    return unit, present


@dataclass(frozen=True, eq=False)
class UnitRows:
    """A feature with its unit rows, scaled once for all graphs that are made from it.

    Every function that takes features takes this in their place.

    Args:
        feature: The features ``[N, F]``.
    """

    feature: ModalFeature
    rows: Tensor = field(init=False)
    present: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Scales the rows; see :func:`unit_rows`."""
        rows, present = unit_rows(self.feature)
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "present", present)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.feature)


def as_unit(x: Any, mask: Any = None, num_items: int | None = None) -> UnitRows:
    """Unit rows of whatever :func:`as_feature` takes; unit rows pass through.

    Where ``x`` is ``None``, those of a modality that none of ``num_items`` items has.
    """
    if isinstance(x, UnitRows) and mask is None:
        return x
    if x is None and num_items is not None:
        if mask is not None:
            raise ValueError("'mask' must be left out where there are no features 'x'")
        x, mask = torch.zeros(num_items, 1), torch.zeros(num_items, dtype=torch.bool)
    return UnitRows(as_feature(x, mask))


def affinity(unit: Tensor, row: Tensor, column: Tensor, block_size: int | None = None) -> Tensor:
    r"""Sampled cosines :math:`s_{ij} = \max(\hat{x}_i^{\top} \hat{x}_j, 0)` of the pairs given.

    Summed in float64 and rounded to float32, so that the same pair, or a copy of an item, gets the
    same number whatever the order of the sum.

    Args:
        unit: Unit rows ``[N, F]``.
        row: First item of each pair ``[E]``.
        column: Second item of each pair ``[E]``.
        block_size: Pairs computed at once; changes memory, not the result. Default: as many as
            stay within the cache, or make 64 MB on a GPU.

    Returns:
        float32 ``[E]``.
    """
    if block_size is None:
        block_size = 2**9 if unit.device.type == "cpu" else max(1, 2**24 // unit.size(1))
    parts = [
        (unit[i].double() * unit[j]).sum(dim=1).clamp(min=0).float()
        for i, j in zip(row.split(block_size), column.split(block_size), strict=True)
    ]
    return torch.cat(parts)


def rough_products(x: Tensor, row: Tensor, column: Tensor, block_size: int = 2**9) -> Tensor:
    """Inner products of the rows of pairs, in float32: faster than :func:`affinity`, but rounded.

    Args:
        x: Vectors ``[N, F]``, on any device.
        row: First item of each pair ``[E]``; faster where equal ones stand together.
        column: Second item of each pair ``[E]``.
        block_size: Pairs computed at once; the default keeps a block within the cache.

    Returns:
        float32 ``[E]``.
    """
    product = torch.empty(len(row), dtype=x.dtype, device=x.device)
    for start in range(0, len(row), block_size):
        part = slice(start, start + block_size)
        product[part] = (x.index_select(0, row[part]) * x.index_select(0, column[part])).sum(1)
    return product


def top_mask(values: Tensor, k: int) -> Tensor:
    """Marks the ``k`` largest entries of each row; equal ones go by the lower column.

    ``torch.topk`` is exact in its values, but chooses freely among equal ones.

    Args:
        values: Scores ``[R, N]``.
        k: Entries marked a row, from 1 to ``N``.

    Returns:
        bool ``[R, N]``, exactly ``k`` true a row.
    """
    kth = values.topk(k, dim=1).values[:, -1:]
    larger, tied = values > kth, values == kth
    short = k - larger.sum(dim=1, keepdim=True)
    return larger | (tied & (tied.cumsum(dim=1, dtype=torch.int32) <= short))


def top_per_row(values: Tensor, k: int, above: float = 0.0) -> Tensor:
    """Marks the ``k`` largest entries of each row above a bound, by :func:`top_mask`.

    Args:
        values: Scores ``[R, N]``.
        k: Entries kept a row.
        above: What an entry must exceed.

    Returns:
        bool ``[R, N]``, at most ``k`` true a row.
    """
    if k >= values.size(1):
        return values > above
    return top_mask(values, k) & (values > above)


def top_entries(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    value: NDArray[Any],
    k: int | NDArray[np.int64],
) -> NDArray[np.int64]:
    """Finds the ``k`` largest entries of each row of a sparse matrix, ties by the lower column.

    Args:
        row: Row of each entry ``[E]``.
        column: Column of each entry ``[E]``.
        value: Value of each entry ``[E]``.
        k: Entries kept a row, one number or one for each row of the matrix.

    Returns:
        Positions of the entries kept, by row and within a row from the largest down.
    """
    order = np.lexsort((column, -value, row))
    ordered = row[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered, side="left")
    return order[rank < (k if isinstance(k, int) else k[ordered])]


def kth_entries(
    row: NDArray[np.int64], column: NDArray[np.int64], value: NDArray[Any], k: int, num_rows: int
) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Which rows have ``k`` entries, bool ``[num_rows]``, and the k-th largest of each of those."""
    top = top_entries(row, column, value, k)
    have = np.bincount(row[top], minlength=num_rows)
    return have == k, value[top[np.cumsum(have)[have == k] - 1]]  # the last of k


def sorted_graph(source: Tensor, target: Tensor, weight: Tensor, num_nodes: int) -> Data:
    """Edges sorted by source and target, PyG's order: ``graph.is_coalesced()`` holds.

    Layers that need the edges of a target together sort them stably, once: a target then has its
    neighbors in the order of their ids, which fixes the order of every sum.
    """
    order = torch.argsort(source * num_nodes + target)
    return Data(
        edge_index=torch.stack([source[order], target[order]]),
        edge_weight=weight[order].float(),
        num_nodes=num_nodes,
    )


def with_features(graph: Data, feature: ModalFeature | None, interactions: Any) -> Data:
    """Adds what every item graph carries beside its edges: ``x``, ``mask`` and ``train_mask``.

    Args:
        graph: The edges.
        feature: Features as they are; a model scales them itself, on the items of ``train_mask``.
            ``None``: the graph gets no ``x`` and no ``mask``.
        interactions: Training interactions. From counts it cannot be told which items occur in
            training: the graph gets no ``train_mask`` then.
    """
    if feature is not None:
        graph.x, graph.mask = feature.x, feature.mask
    if isinstance(interactions, Interactions):
        graph.train_mask = torch.from_numpy(interactions.item_counts() > 0)
    return graph


def row_blocks(num_rows: int, row_size: int, block_size: int | None) -> Iterator[slice]:
    """Cuts rows of ``row_size`` numbers into blocks, by default of about 64 MB in float32."""
    step = max(1, 2**24 // max(row_size, 1)) if block_size is None else block_size
    if step < 1:
        raise ValueError(f"'block_size' must be at least 1 (got {block_size})")
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def top_blocks(
    score: Callable[[slice], Tensor],
    num_rows: int,
    num_columns: int,
    k: int,
    block_size: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Largest positive entries of a matrix that exists only one block of rows at a time.

    Args:
        score: Gives the scores ``[R, num_columns]`` of a slice of rows.
        num_rows: Rows of the whole matrix.
        num_columns: Columns of the matrix.
        k: Entries kept a row, ties by the lower column.
        block_size: Rows a block.

    Returns:
        Row, column and value of the entries kept, sorted by row and column.
    """
    rows, columns, values = [], [], []
    for block in row_blocks(num_rows, num_columns, block_size):
        scores = score(block)
        row, column = top_per_row(scores, k).nonzero(as_tuple=True)
        rows.append(row + block.start)
        columns.append(column)
        values.append(scores[row, column])
    return torch.cat(rows), torch.cat(columns), torch.cat(values)
