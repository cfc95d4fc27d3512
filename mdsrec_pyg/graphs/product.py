"""The paper's item graph: co-occurrence times affinity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.cells import make_cells
from mdsrec_pyg.graphs.config import ProductConfig
from mdsrec_pyg.graphs.cooccurrence import count_cooccurrences, entry_blocks, on_diagonal
from mdsrec_pyg.graphs.neighbors import UnitRows, as_unit, sorted_graph, with_features
from mdsrec_pyg.graphs.product_edges import behavior_edges, fill_edges

__all__ = ["product_graph"]

_BEHAVIOR: dict[str, Callable[[NDArray[Any]], NDArray[np.float64]]] = {
    "binary": lambda count: (count > 0).astype(np.float64),
    "count": lambda count: count.astype(np.float64),
    "log": lambda count: np.log1p(count.astype(np.float64)),
}


def product_graph(
    x: ModalFeature | UnitRows | Tensor | NDArray[Any] | None,
    interactions: Interactions | sp.spmatrix,
    config: ProductConfig | None = None,
    *,
    device: str | torch.device = "cpu",
    **options: Any,
) -> Data:
    r"""The paper's graph: co-occurrence times affinity, the strongest neighbors of each item.

    .. math::
        A_{ij} = b(C_{ij}) \, s_{ij}, \qquad s_{ij} = \max(\cos(x_i, x_j), 0)

    with :math:`C` from :func:`~mdsrec_pyg.graphs.count_cooccurrences`. Source: `MDSRec
    <https://arxiv.org/abs/2412.08103>`_; what follows is ours where it says so.

    - An item without the modality (or with a row of zeros) has no known affinity: behavior alone
      decides, times the mean affinity of the co-occurring pairs that have it (1 if there is none).
    - Fill (ours): a row with fewer than ``num_neighbors`` behavior edges takes the nearest items by
      affinity. The nearest of them weighs ``fill_weight`` times the row's weakest behavior edge,
      the others less in proportion to their affinity: always weaker than behavior, yet of its
      order. A row without behavior edges takes :math:`b(1) s_{ij}`, as if seen together once.

    Memory: one float32 copy of the features, 8 bytes a co-occurring pair and direction (twice that
    while they are counted), :math:`O(N H)` for the edges, and a few arrays of 64 MB a thread. The
    fill compares a short row with all items, :math:`O(N F)`, up to 100,000 items; beyond that
    ``search=None`` means ``'cells'``: with those of the ``num_probes`` nearest of :math:`\sqrt{N}`
    k-means cells.

    Args:
        x: Features ``[N, F]``; ``None``: behavior alone, every affinity is 1 and nothing is filled.
        interactions: Training interactions, or counts ``[N, N]``, symmetric with zero diagonal;
            with ``self_loops='count'``, those with their ``diagonal``.
        config: The options, see :class:`~mdsrec_pyg.graphs.ProductConfig`.
        device: Where the fill looks for the nearest items; the graph is on the CPU.
        **options: Some of them by name, such as ``num_neighbors=20``.

    Returns:
        Data as :func:`~mdsrec_pyg.graphs.build_item_graph` says.

    Raises:
        ValueError: An option out of range, or shapes that do not fit.
    """
    chosen = configure(ProductConfig(), config, **options)
    counts, taken = _counts(interactions, chosen)
    unit = as_unit(x, None, counts.shape[0])
    if counts.shape != (len(unit), len(unit)):
        raise ValueError(f"'x' must have one row an item ({counts.shape[0]}), got {len(unit)}")
    behavior = _BEHAVIOR[chosen.behavior]
    edges = behavior_edges(counts, unit.rows, unit.present, behavior, chosen.num_neighbors)
    if chosen.fill is not None and x is not None:
        rows = unit.rows.to(device)
        edges = fill_edges(
            edges,
            rows,
            unit.present,
            chosen.num_neighbors,
            chosen.fill_weight,
            float(behavior(np.ones(1))[0]),
            chosen.block_size,
            lambda: make_cells(rows, chosen.search, chosen.num_probes),
        )
    matrix = sp.csr_matrix((edges[2], (edges[0], edges[1])), shape=counts.shape)
    if chosen.symmetric:
        matrix = matrix.maximum(matrix.T)
    if taken is not None:
        matrix = sp.csr_matrix(matrix + on_diagonal(behavior(taken)))
    matrix = _normalize(matrix, chosen.normalization)
    if taken is None and chosen.self_loops:
        matrix = sp.csr_matrix(matrix + on_diagonal(np.full(len(unit), float(chosen.self_loops))))
    coo = matrix.tocoo()
    target, source = (torch.from_numpy(index.astype(np.int64)) for index in (coo.row, coo.col))
    graph = sorted_graph(source, target, torch.from_numpy(coo.data), len(unit))
    return with_features(graph, None if x is None else unit.feature, interactions)


def _counts(
    interactions: Any, config: ProductConfig
) -> tuple[sp.csr_matrix, NDArray[np.int32] | None]:
    """Counts with zero diagonal, and the diagonal [N] where the graph needs it."""
    loops = config.self_loops == "count"
    if isinstance(interactions, Interactions):
        window, longest = config.window, config.max_sequence_length
        counts = count_cooccurrences(
            interactions, window=window, max_sequence_length=longest, diagonal=loops
        )
    elif sp.issparse(interactions):
        counts = _checked_counts(interactions, config)
    else:
        raise ValueError(
            "'interactions' must be the training Interactions or a sparse matrix of counts "
            f"(got {type(interactions).__name__})"
        )
    if not loops:
        return counts, None
    diagonal: Any = counts.diagonal()
    return sp.csr_matrix(counts - on_diagonal(diagonal)), diagonal


def _checked_counts(matrix: Any, config: ProductConfig) -> sp.csr_matrix:
    """Counts that were made before.

    Raises:
        ValueError: They are not symmetric, have a diagonal that the graph has no use for, lack one
            that it needs, or a ``window`` comes too late.
    """
    if config.window is not None:
        raise ValueError("'window' has no effect on counts that were made before: pass it there")
    counts: Any = sp.csr_matrix(matrix)
    loops = config.self_loops == "count"
    fits = counts.shape[0] == counts.shape[1] and _symmetric(counts)
    if not fits or (counts.diagonal().any() and not loops):
        raise ValueError(
            f"'interactions' must be symmetric counts [N, N] with {'their' if loops else 'zero'} "
            f"diagonal (got a matrix of shape {counts.shape} that is not)"
        )
    if loops and (np.diff(counts.indptr) > 0)[counts.diagonal() == 0].any():
        raise ValueError(
            "self_loops='count' needs counts with their diagonal, the users of each item: "
            "count_cooccurrences(..., diagonal=True)"
        )
    return counts


def _symmetric(counts: sp.csr_matrix) -> bool:
    columns: Any = counts.tocsc()
    return not any((counts[rows] != columns[:, rows].T).nnz for rows in entry_blocks(counts))


def _normalize(matrix: sp.csr_matrix, normalization: str | None) -> sp.csr_matrix:
    if normalization is None:
        return matrix
    wide = matrix.astype(np.float64)
    into: NDArray[np.float64] = np.asarray(wide.sum(axis=1), np.float64).ravel()
    if normalization == "row":
        return sp.csr_matrix(sp.diags(_power(into, -1.0)) @ wide)
    out_of = np.asarray(wide.sum(axis=0), np.float64).ravel() if normalization == "sym" else into
    return sp.csr_matrix(sp.diags(_power(into, -0.5)) @ wide @ sp.diags(_power(out_of, -0.5)))


def _power(degree: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    # A node without edges has no degree to divide by, and nothing to be divided.
    return np.where(degree > 0, np.where(degree > 0, degree, 1.0) ** exponent, 0.0)
