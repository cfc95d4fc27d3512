"""Counts of co-occurring pairs in the forms that the local ridge reads them in."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.cooccurrence import count_cooccurrences, entry_blocks

__all__ = ["count_parts", "dense_counts", "entries", "rarer_first"]


def count_parts(interactions: Interactions, longest: int) -> sp.csr_matrix:
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


def entries(matrix: sp.csr_matrix, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Entries of rows of a sparse matrix: position among the rows, column and float32 value."""
    part = matrix[rows.numpy()].tocoo()
    row, column = part.row.astype(np.int64), part.col.astype(np.int64)
    return torch.from_numpy(row), torch.from_numpy(column), torch.from_numpy(part.data).float()


def rarer_first(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Each pair once, in the row of its rarer item: no popular item's long row is ever walked."""
    degree = np.diff(counts.indptr)
    parts = []
    for rows in entry_blocks(counts):
        part = counts[rows].tocoo()
        row = part.row + rows.start
        a, b = degree[row], degree[part.col]
        keep = (a < b) | ((a == b) & (row < part.col))
        index = part.row[keep], part.col[keep]
        parts.append(sp.csr_matrix((part.data[keep], index), shape=part.shape))
    return sp.csr_matrix(sp.vstack(parts, format="csr")) if parts else counts


def dense_counts(pairs: sp.csr_matrix, place: Tensor) -> Tensor:
    """Symmetric counts ``[R, c, c]`` of the items at ``place [R, c]`` of the pairs' rows."""
    size, width = place.shape
    item = place.numpy().ravel()
    batch, position = np.divmod(np.arange(len(item)), width)
    slot = np.full((size, pairs.shape[0]), -1, np.int32)
    slot[batch, item] = position
    start, length = pairs.indptr[item], np.diff(pairs.indptr)[item]
    owner = np.repeat(np.arange(len(item)), length)
    entry = np.arange(len(owner)) + np.repeat(start - (np.cumsum(length) - length), length)
    other = slot[batch[owner], pairs.indices[entry]]
    found = other >= 0
    owner, entry, other = owner[found], entry[found], other[found]
    counts = np.zeros((size, width, width), np.float32)
    counts[batch[owner], position[owner], other] = pairs.data[entry]
    counts[batch[owner], other, position[owner]] = pairs.data[entry]
    return torch.from_numpy(counts)
