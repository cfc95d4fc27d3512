"""Nearest items by features."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mdsrec_pyg.graphs.cells import Cells, search_blocks
from mdsrec_pyg.graphs.neighbors import MARGIN, affinity, top_entries
from mdsrec_pyg.graphs.parallel import map_blocks

__all__ = ["nearest", "positions"]

Found = tuple[Tensor, Tensor, Tensor]


def nearest(
    unit: Tensor,
    query: Tensor,
    k: int,
    exclude: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
    block_size: int | None = None,
    cells: Cells | None = None,
) -> Found:
    """Nearest items by positive cosine, the item itself left out, ties by the lower id.

    The products are taken on the device of ``unit``; which are nearest is decided by affinities
    that are summed in float64 and rounded, so that it is the same on each.

    Args:
        unit: Unit rows ``[N, F]``, zero for items that lack the modality: they are never found.
        query: Items whose neighbors are wanted ``[R]``, on the CPU.
        k: Neighbors an item.
        exclude: Gives, for a part of ``query`` ``[r]``, positions in that part and items that must
            not be found. Default: none.
        block_size: Queries a thread compares at once; changes memory, not the result.
        cells: Cells of ``unit``: only items of near cells are found. Default: exact.

    Returns:
        Query item, neighbor and affinity, by query and from the nearest down, on the CPU.
    """
    device = unit.device

    def search(block: tuple[Tensor, Tensor | None]) -> Found:
        part, items = block
        met = unit if items is None else unit[items.to(device)]
        cosine = unit[part.to(device)] @ met.T  # [r, n]
        drop = [(torch.arange(len(part)), part)]
        if exclude is not None:
            drop.append(exclude(part))
        for row, item in drop:
            found, column = positions(items, item)
            cosine[row[found].to(device), column.to(device)] = 0.0
        # All that rounding may have kept from the first k; their exact affinity then decides.
        kth = cosine.topk(min(k, cosine.size(1)), dim=1).values[:, -1:]
        row, column = (cosine > (kth - MARGIN).clamp(min=0)).nonzero(as_tuple=True)
        row, column = row.cpu(), column.cpu()
        item = column if items is None else items[column]
        value = affinity(unit, part[row].to(device), item.to(device)).cpu()
        keep = torch.from_numpy(top_entries(row.numpy(), item.numpy(), value.numpy(), k))
        keep = keep[value[keep] > 0]
        return part[row[keep]], item[keep], value[keep]

    blocks = search_blocks(cells, query, len(unit), k, block_size)
    parts = list(map_blocks(search, blocks))
    if not parts:
        return query, query, torch.empty(0, dtype=unit.dtype)
    row, item, value = (torch.cat(part) for part in zip(*parts, strict=True))
    if cells is None:
        return row, item, value
    order = torch.argsort(row, stable=True)  # blocks come by cell
    return row[order], item[order], value[order]


def positions(items: Tensor | None, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Where the wanted items stand among the ascending ``items`` (``None``: all).

    Returns:
        Which of ``wanted`` are among them, bool, and the positions of those.
    """
    if items is None:
        return torch.ones(len(wanted), dtype=torch.bool), wanted
    place = torch.searchsorted(items, wanted).clamp(max=len(items) - 1)
    found = items[place] == wanted
    return found, place[found]
