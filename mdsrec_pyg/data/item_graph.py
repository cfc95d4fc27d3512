"""Item relation graphs, one a modality, from training interactions and item features."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data.cells import Search, check_search, make_cells
from mdsrec_pyg.data.cooccurrence import count_cooccurrences, entry_blocks
from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.learned_graph import learned_graph
from mdsrec_pyg.data.neighbors import as_feature, sorted_graph, unit_rows
from mdsrec_pyg.data.product_edges import behavior_edges, fill_edges

__all__ = ["build_item_graph", "product_graph"]

_BEHAVIOR: dict[str, Callable[[NDArray[Any]], NDArray[np.float64]]] = {
    "binary": lambda count: (count > 0).astype(np.float64),
    "count": lambda count: count.astype(np.float64),
    "log": lambda count: np.log1p(count.astype(np.float64)),
}


def build_item_graph(
    x: Any,
    interactions: Interactions | sp.spmatrix,
    *,
    weighting: Literal["product", "ridge"] = "product",
    mask: Any = None,
    **options: Any,
) -> Data:
    r"""Builds the relation graph of the items in one modality, from training interactions only.

    Args:
        x: Features of the modality, an array ``[N, F]`` or a
            :class:`~mdsrec_pyg.data.ModalFeature`.
        interactions: *Training* interactions. ``weighting='product'`` also takes the counts of
            :func:`~mdsrec_pyg.data.count_cooccurrences`, computed once for all modalities.
        weighting: ``'product'`` multiplies co-occurrence and affinity, the paper's graph, see
            :func:`product_graph`; ``'ridge'`` learns the weights by a ridge regression, ours, see
            :func:`~mdsrec_pyg.data.learned_graph`.
        mask: True where the item has the modality, bool ``[N]``. Default: all have it.
        **options: Those of :func:`product_graph` (``num_neighbors=10``, ``behavior``, ``fill``,
            ``fill_weight``, ``symmetric``, ``window``, ``max_sequence_length``, ``normalization``,
            ``block_size``, ``search``, ``num_probes``) or of
            :func:`~mdsrec_pyg.data.learned_graph` (``num_neighbors=50``, ``feature_weight``,
            ``l2``, ``memory_limit``, ``num_candidates``, ``max_sequence_length``, ``block_size``,
            ``search``, ``num_probes``, ``device``).

    Returns:
        Data with ``x`` float32 ``[N, F]``, ``mask`` bool ``[N]``, ``edge_index`` int64 ``[2, E]``
        from source *j* to target *i*, sorted by target and source, ``edge_weight`` float32 ``[E]``
        and ``num_nodes``.

    Raises:
        ValueError: An unknown ``weighting``, an option that this weighting does not have, or
            shapes that do not fit.
    """
    chosen = graph_options(weighting, options)
    return _WEIGHTING[weighting](as_feature(x, mask), interactions, **chosen)


def graph_options(weighting: str, options: dict[str, Any]) -> dict[str, Any]:
    """Completes the options of a weighting with its defaults.

    Raises:
        ValueError: An unknown ``weighting``, or an option that it does not have.
    """
    if weighting not in _WEIGHTING:
        raise ValueError(f"'weighting' must be one of {list(_WEIGHTING)} (got {weighting!r})")
    parameters = inspect.signature(_WEIGHTING[weighting]).parameters.values()
    known = {item.name: item.default for item in parameters if item.kind == item.KEYWORD_ONLY}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"weighting='{weighting}' has no option {unknown} (it has {list(known)})")
    return known | options


def product_graph(
    x: ModalFeature | Tensor | NDArray[Any],
    interactions: Interactions | sp.spmatrix,
    *,
    num_neighbors: int = 10,
    behavior: Literal["binary", "count", "log"] = "log",
    fill: Literal["semantic"] | None = "semantic",
    fill_weight: float = 0.5,
    symmetric: bool = False,
    window: int | None = None,
    max_sequence_length: int = 200,
    normalization: Literal["sym", "in", "row"] | None = "sym",
    block_size: int | None = None,
    search: Search | None = None,
    num_probes: int = 16,
) -> Data:
    r"""The paper's graph: co-occurrence times affinity, the strongest neighbors of each item.

    .. math::
        A_{ij} = b(C_{ij}) \, s_{ij}, \qquad s_{ij} = \max(\cos(x_i, x_j), 0)

    with :math:`C` from :func:`~mdsrec_pyg.data.count_cooccurrences`. Source: `MDSRec
    <https://arxiv.org/abs/2412.08103>`_; what follows is ours where it says so.

    - An item without the modality (or with a row of zeros) has no known affinity: behavior alone
      decides, times the mean affinity of the co-occurring pairs that have it (1 if there is none).
    - Fill (ours): a row with fewer than ``num_neighbors`` behavior edges takes the nearest items by
      affinity. The nearest of them weighs ``fill_weight`` times the row's weakest behavior edge,
      the others less in proportion to their affinity: always weaker than behavior, yet of its
      order. A row without behavior edges takes :math:`b(1) s_{ij}`, as if seen together once.

    Memory: one float32 copy of the features, 8 bytes a co-occurring pair and direction,
    :math:`O(N H)` for the edges, and a few arrays of 64 MB a thread. The fill compares a short row
    with all items, :math:`O(N F)`, up to 100,000 items; beyond that ``search=None`` means
    ``'cells'``: with those of the ``num_probes`` nearest of :math:`\sqrt{N}` k-means cells.

    Args:
        x: Features ``[N, F]``.
        interactions: Training interactions, or counts ``[N, N]``, symmetric with zero diagonal.
        num_neighbors: Most neighbors *H* of an item, ties by the lower id.
        behavior: :math:`b(C)`: ``'binary'`` :math:`[C > 0]`, ``'count'`` :math:`C`, ``'log'``
            :math:`\log(1 + C)`.
        fill: ``'semantic'`` completes short rows, ``None`` leaves them short.
        fill_weight: Strongest fill edge relative to the weakest behavior edge, between 0 and 1.
        symmetric: Makes :math:`A = \max(A, A^{\top})` before it is normalized; rows may then hold
            more than *H* edges.
        window: Most steps between co-occurring items. Default: anywhere in the sequence.
        max_sequence_length: Longer sequences count with a window of that many steps. It has no
            effect with a ``window``, or on counts that were made before.
        normalization: ``'sym'`` :math:`A_{ij} / \sqrt{r_i c_j}` with row sums *r* of the target and
            column sums *c* of the source: :math:`D^{-1/2} A D^{-1/2}` where A is symmetric, and on
            a directed graph each end by the degree of its own role, so that popular sources are
            damped (ours). ``'in'`` :math:`A_{ij} / \sqrt{r_i r_j}`, as PyG's ``gcn_norm`` (an item
            that has no neighbors then gives nothing to others either). ``'row'``
            :math:`A_{ij} / r_i`, a weighted mean. ``None``: as they are.
        block_size: Rows a thread of the fill compares at once, by default as many as make 64 MB of
            affinities; changes memory, not the result.
        search: Of the fill: ``'exact'``, ``'cells'``, or ``None``: by the number of items.
        num_probes: Nearest cells searched; no effect on the exact search.

    Returns:
        Data as :func:`build_item_graph` says.

    Raises:
        ValueError: An option out of range, or shapes that do not fit.
    """
    _check(num_neighbors, behavior, fill, fill_weight, normalization)
    check_search(search, num_probes)
    feature = as_feature(x)
    counts = _counts(interactions, window, max_sequence_length)
    if counts.shape != (len(feature), len(feature)):
        raise ValueError(f"'x' must have one row an item ({counts.shape[0]}), got {len(feature)}")
    unit, present = unit_rows(feature)
    edges = behavior_edges(counts, unit, present, _BEHAVIOR[behavior], num_neighbors)
    if fill is not None:
        alone = float(_BEHAVIOR[behavior](np.ones(1))[0])
        edges = fill_edges(
            edges,
            unit,
            present,
            num_neighbors,
            fill_weight,
            alone,
            block_size,
            lambda: make_cells(unit, search, num_probes),
        )
    matrix = sp.csr_matrix((edges[2], (edges[0], edges[1])), shape=counts.shape)
    if symmetric:
        matrix = matrix.maximum(matrix.T)
    coo = _normalize(matrix, normalization).tocoo()
    target, source = (torch.from_numpy(index.astype(np.int64)) for index in (coo.row, coo.col))
    graph = sorted_graph(source, target, torch.from_numpy(coo.data), len(feature))
    graph.x, graph.mask = feature.x, feature.mask
    return graph


_WEIGHTING: dict[str, Callable[..., Data]] = {"product": product_graph, "ridge": learned_graph}


def _check(
    num_neighbors: int,
    behavior: str,
    fill: str | None,
    fill_weight: float,
    normalization: str | None,
) -> None:
    if num_neighbors < 1:
        raise ValueError(f"'num_neighbors' must be at least 1 (got {num_neighbors})")
    if behavior not in _BEHAVIOR:
        raise ValueError(f"'behavior' must be one of {list(_BEHAVIOR)} (got {behavior!r})")
    if fill not in ("semantic", None):
        raise ValueError(f"'fill' must be 'semantic' or None (got {fill!r})")
    if not 0 < fill_weight < 1:
        raise ValueError(f"'fill_weight' must lie between 0 and 1 (got {fill_weight})")
    if normalization not in ("sym", "in", "row", None):
        raise ValueError(
            f"'normalization' must be 'sym', 'in', 'row' or None (got {normalization!r})"
        )


def _counts(interactions: Any, window: int | None, max_sequence_length: int) -> sp.csr_matrix:
    if isinstance(interactions, Interactions):
        return count_cooccurrences(
            interactions, window=window, max_sequence_length=max_sequence_length
        )
    if not sp.issparse(interactions):
        raise ValueError(
            "'interactions' must be the training Interactions or a sparse matrix of counts "
            f"(got {type(interactions).__name__})"
        )
    if window is not None:
        raise ValueError("'window' has no effect on counts that were made before: pass it there")
    matrix: Any = interactions
    counts: Any = sp.csr_matrix(matrix)
    if counts.shape[0] != counts.shape[1] or counts.diagonal().any() or not _symmetric(counts):
        raise ValueError(
            "'interactions' must be symmetric counts [N, N] with zero diagonal "
            f"(got a matrix of shape {counts.shape} that is not)"
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
