"""Which items are compared with which: all with all, or those of near cells only."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.graphs.config import Search
from mdsrec_pyg.graphs.neighbors import row_blocks
from mdsrec_pyg.graphs.parallel import map_blocks

__all__ = ["EXACT_ITEMS", "Cells", "Search", "check_search", "make_cells", "search_blocks"]

# Items up to which all are compared with all by default; the time grows with the square.
EXACT_ITEMS = 100_000

# Items a cell that the centers are fitted on, and rounds: cells need not be the best ones, only
# small, and their cost must stay below that of the search.
_FIT_ITEMS, _ROUNDS = 64, 10

Part = tuple[Tensor, "Tensor | None"]


def check_search(search: Search | None, num_probes: int) -> None:
    """Raises a ValueError where an option of the search is out of range."""
    if search not in ("exact", "cells", None):
        raise ValueError(f"'search' must be 'exact', 'cells' or None (got {search!r})")
    if num_probes < 1:
        raise ValueError(f"'num_probes' must be at least 1 (got {num_probes})")


class Cells:
    r"""An inverted file: k-means cells of directions, and the items of each.

    A query meets the items of the ``num_probes`` cells whose centers are nearest to the center of
    its own cell, so that all queries of a cell share one matrix product: with :math:`\sqrt{N}`
    cells, :math:`O(\sqrt{N} F)` a query and a probe instead of :math:`O(N F)`. The idea of the
    inverted file is that of `Sivic and Zisserman 2003
    <https://www.robots.ox.ac.uk/~vgg/publications/2003/Sivic03/>`_.

    Args:
        x: Vectors ``[N, F]``; only their directions count. Rows of zeros are never found.
        num_probes: Nearest cells searched.
        num_cells: Number of cells. Default: the root of the number of items.
        seed: Seed of the k-means.

    Attributes:
        label_: Cell of each item, int64 ``[N]``; 0 for rows of zeros, which are in no cell.
        near_: Cells from the nearest, its own first, int64 ``[K, K]``.
    """

    label_: Tensor
    near_: Tensor

    def __init__(
        self, x: Tensor, num_probes: int = 16, num_cells: int | None = None, *, seed: int = 0
    ) -> None:
        present = torch.cat(list(map_blocks(lambda b: x[b].any(1), _blocks(x, 1)))).cpu()
        items = present.nonzero()[:, 0]
        count = math.isqrt(len(items)) if num_cells is None else num_cells
        self.num_probes = num_probes
        self._centers = _fit(x, items, max(1, min(count, len(items))), seed)
        self.label_ = _assign(x, self._centers)
        self.label_[~present] = 0
        self._item = items[torch.argsort(self.label_[items], stable=True)]
        self._size = torch.bincount(self.label_[items], minlength=len(self._centers))
        self._end = self._size.cumsum(0)
        similarity = (self._centers @ self._centers.T).fill_diagonal_(torch.inf)
        self.near_ = similarity.argsort(dim=1, descending=True, stable=True).cpu()

    def items(self, cell: int, at_least: int = 0) -> Tensor:
        """Items of the nearest cells of a cell, ascending; more cells where they are too few."""
        near = self.near_[cell]
        enough = int((self._size[near].cumsum(0) < at_least).sum()) + 1
        probes = near[: max(self.num_probes, enough)].tolist()
        parts = [self._item[self._end[p] - self._size[p] : self._end[p]] for p in probes]
        return torch.cat(parts).sort().values

    def blocks(self, query: Tensor, at_least: int, block_size: int | None) -> Iterator[Part]:
        """Queries of one cell each, and the items they meet (``None``: too few, so all)."""
        label = self.label_[query]
        order = torch.argsort(label, stable=True)
        sizes = torch.bincount(label, minlength=len(self.near_)).tolist()
        for cell, part in enumerate(query[order].split(sizes)):
            if len(part):
                items = self.items(cell, at_least)
                compared = items if len(items) >= at_least else None
                size = len(self.label_) if compared is None else len(items)
                for rows in row_blocks(len(part), size, block_size):
                    yield part[rows], compared


def make_cells(x: Tensor, search: Search | None, num_probes: int) -> Cells | None:
    """The cells of vectors ``[N, F]``, or ``None`` where all items are compared with all."""
    if search is None:
        search = "exact" if len(x) <= EXACT_ITEMS else "cells"
    return Cells(x, num_probes) if search == "cells" else None


def search_blocks(
    cells: Cells | None, query: Tensor, num_items: int, at_least: int, block_size: int | None
) -> Iterator[Part]:
    """Cuts a search into blocks: queries, and the items they meet (``None``: all)."""
    if cells is not None:
        yield from cells.blocks(query, at_least, block_size)
        return
    for rows in row_blocks(len(query), num_items, block_size):
        yield query[rows], None


def _blocks(x: Tensor, row_size: int) -> Iterator[slice]:
    return row_blocks(len(x), max(row_size, x.size(1)), None)


def _fit(x: Tensor, items: Tensor, count: int, seed: int) -> Tensor:
    """Spherical k-means on a sample: unit centers ``[K, F]``."""
    if not len(items):
        return x.new_ones(1, x.size(1))
    generator = torch.Generator().manual_seed(seed)
    sample = items[torch.randperm(len(items), generator=generator)[: _FIT_ITEMS * count]]
    rows = F.normalize(x[sample.to(x.device)], dim=1)
    centers = rows[:count].clone()
    for _ in range(_ROUNDS):
        label = _assign(rows, centers).to(x.device)
        total = torch.zeros_like(centers).index_add_(0, label, rows)
        length = total.norm(dim=1, keepdim=True)
        centers = torch.where(length > 0, total / length.clamp(min=1e-12), centers)
    return centers


def _assign(x: Tensor, centers: Tensor) -> Tensor:
    """The center of largest inner product, int64 ``[N]`` on the CPU."""
    parts = map_blocks(lambda rows: (x[rows] @ centers.T).argmax(1), _blocks(x, len(centers)))
    return torch.cat(list(parts)).cpu()
