"""Learned graphs over a grown catalog by nearest items: old edges stay, nothing is inverted."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.cells import make_cells
from mdsrec_pyg.graphs.config import RidgeForm
from mdsrec_pyg.graphs.nearest import nearest
from mdsrec_pyg.graphs.neighbors import UnitRows, sorted_graph, top_entries

__all__ = ["NEIGHBORS", "neighbor_votes"]

#: Items that stand for a new one. Few are noise, and more than some dozens change little.
NEIGHBORS = 30
#: Old items that are looked at as if they were new.
SAMPLE = 1000


def neighbor_votes(
    graph: Data, unit: UnitRows, interactions: Interactions, config: RidgeForm
) -> Data:
    r"""Edges to and from new items, by the items that are nearest to them (ours).

    The ridge takes it for a fact that nobody took a new item: in its regression the column of
    :math:`\mathbf{X}` is zero, and so whoever took what is like it speaks against it. Here that
    column is unknown. A new item *j* is a mixture of its 30 nearest old items, with affinities
    :math:`s` above the 31st,

    .. math::
        c_{ij} \propto s_{ij} - s_{(31) j}, \quad \sum_i c_{ij} = 1, \qquad
        \mathbf{T} = \beta_1 \mathbf{S} \mathbf{C} + \beta_2 \mathbf{C}, \qquad
        \mathbf{R} = \beta_1 \mathbf{C}^{\top} [\mathbf{S}, \mathbf{T}] +
        \beta_2 [\mathbf{C}^{\top}, \mathbf{0}],

    :math:`\mathbf{T}` the edges from old items to new ones, :math:`\mathbf{R}` those from new
    items: what votes for its like votes for it, and so does its like. The two numbers are a least
    squares fit: up to 1,000 old items are taken for new ones in turn, and their columns of
    :math:`\mathbf{X}` are to be found,

    .. math::
        \min_{\beta \ge 0} \sum_j \lVert \mathbf{X} (\beta_1 \mathbf{a}_j + \beta_2 \mathbf{c}_j) -
        \mathbf{x}_j \rVert^2, \qquad \mathbf{a}_j = \mathbf{S} \mathbf{c}_j \text{ with }
        a_{jj} = 0.

    All edges between old items stay, and with them all old votes. Time :math:`O(n N F)`, no
    :math:`N \times N` matrix.

    Args:
        graph: Learned graph of the old items, edges from voter to candidate.
        unit: Unit rows of all items, the new ones last.
        interactions: Training interactions that the graph was fitted on, over the first items; only
            these stand for a new one.
        config: Options of the graph: ``num_neighbors`` edges to new items are kept of an old item,
            and so many edges of a new one; ``search`` and ``num_probes``.

    Returns:
        Data as that of :func:`~mdsrec_pyg.graphs.ridge_graph`, over all items.
    """
    assert graph.num_nodes is not None
    first, size, known = int(graph.num_nodes), len(unit), interactions.num_items
    assert graph.edge_index is not None
    assert graph.edge_weight is not None
    source, target = graph.edge_index.cpu().numpy()
    weight = graph.edge_weight.cpu().numpy()
    s = sp.csr_matrix((weight.astype(np.float64), (source, target)), (first, first))
    beta = _fit(s, unit, interactions, config)
    c = _mixtures(unit, np.arange(first, size), known, first, config)  # [first, n]
    to_new = sp.csr_matrix(beta[0] * (s @ c) + beta[1] * c)
    none = sp.csr_matrix((c.shape[1], c.shape[1]))
    from_new = beta[0] * (c.T @ sp.hstack([s, to_new])) + beta[1] * sp.hstack([c.T, none])
    parts = [(source, target, weight)]
    for matrix, row, column in ((to_new, 0, first), (from_new, first, 0)):
        entries: Any = sp.coo_matrix(matrix)
        keep = top_entries(entries.row, entries.col, entries.data, config.num_neighbors)
        keep = keep[entries.data[keep] > 0]
        parts.append((entries.row[keep] + row, entries.col[keep] + column, entries.data[keep]))
    joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
    index = [torch.from_numpy(part.astype(np.int64)) for part in joined[:2]]
    return sorted_graph(index[0], index[1], torch.from_numpy(joined[2].astype(np.float32)), size)


def _mixtures(
    unit: UnitRows, items: NDArray[np.int64], known: int, num_rows: int, config: RidgeForm
) -> sp.csr_matrix:
    """What of each known item is in each of some items: columns that sum to one, or zero."""
    rows, wanted = unit.rows, torch.from_numpy(items)
    wanted = wanted[unit.present[wanted]]
    shape = num_rows, len(items)
    if not len(wanted):
        return sp.csr_matrix(shape)
    others = torch.arange(known, len(unit))

    def exclude(part: Tensor) -> tuple[Tensor, Tensor]:
        return torch.arange(len(part)).repeat_interleave(len(others)), others.repeat(len(part))

    cells = make_cells(rows, config.search, config.num_probes)
    found = nearest(rows, wanted, NEIGHBORS + 1, exclude, config.block_size, cells)
    item, near, value = (part.numpy() for part in found)
    begin = np.searchsorted(item, item)  # queries come in their order
    place = np.arange(len(item)) - begin
    value = value.astype(np.float64)
    floor = np.zeros(len(unit))
    last = place == NEIGHBORS
    floor[item[last]] = value[last]
    share = np.maximum(value - floor[item], 1e-6 * value)  # some tie with the last
    share[last] = 0
    total = np.bincount(item, share, minlength=len(unit))
    column = np.searchsorted(items, item)
    mixture = sp.csr_matrix((share / total[item], (near, column)), shape)
    mixture.eliminate_zeros()
    return mixture


def _fit(
    s: sp.csr_matrix, unit: UnitRows, interactions: Interactions, config: RidgeForm
) -> NDArray[np.float64]:
    """The two numbers, by old items that are taken for new ones."""
    known = interactions.num_items
    x: Any = interactions.to_csr().astype(np.float64)
    taken = np.flatnonzero((np.diff(x.tocsc().indptr) > 0) & unit.present[:known].numpy())
    items = taken[np.unique(np.linspace(0, len(taken) - 1, min(SAMPLE, len(taken))).astype(int))]
    if not len(items):
        return np.array([1.0, 0.0])
    c = _mixtures(unit, items, known, known, config)
    a = s[:known, :known] @ c
    own = sp.csr_matrix((np.ones(len(items)), (items, np.arange(len(items)))), a.shape)
    a = a - a.multiply(own)  # nobody has taken it: it does not vote for itself
    votes, like, wanted = x @ a, x @ c, x[:, items]
    gram = np.array(
        [[(p.multiply(q)).sum() for q in (votes, like)] for p in (votes, like)], np.float64
    )
    right = np.array([p.multiply(wanted).sum() for p in (votes, like)], np.float64)
    return _not_negative(gram, right)


def _not_negative(gram: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two coefficients of a least squares fit, none of them negative."""
    both = np.linalg.lstsq(gram, right, rcond=None)[0].astype(np.float64)
    if (both >= 0).all():
        return both
    single = np.divide(right, gram.diagonal(), out=np.zeros(2), where=gram.diagonal() > 0)
    gains = single * right  # what each takes off the sum of squares
    best = int(gains.argmax())
    return np.where(np.arange(2) == best, np.maximum(single, 0), 0.0)
