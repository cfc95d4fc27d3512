r"""Item graphs over a catalog that has grown: items without interactions, known by their features.

Nothing is fitted again. A new item has an empty column of :math:`\mathbf{X}`, so the ridge matrix
of the grown catalog holds the old one as a block, and its inverse follows from the old inverse.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.cells import make_cells
from mdsrec_pyg.graphs.config import ProductConfig
from mdsrec_pyg.graphs.nearest import nearest
from mdsrec_pyg.graphs.neighbors import UnitRows, sorted_graph
from mdsrec_pyg.graphs.product import product_graph
from mdsrec_pyg.graphs.ridge import check_ridge, feature_weights

__all__ = ["cold_edges", "grow_precision"]


def grow_precision(precision: Tensor, x: Any, *, feature_weight: float, l2: float) -> Tensor:
    r"""The ridge precision of a catalog with further items that nobody has taken, in closed form.

    With :math:`\mathbf{P}` the precision of the old items *o* and *n* the new ones, whose rows and
    columns of :math:`\mathbf{X}^{\top} \mathbf{X}` are zero (so that EDLAE adds nothing to their
    ridge, either),

    .. math::
        \mathbf{A}' = \begin{bmatrix} \mathbf{P}^{-1} & \mathbf{B} \\
        \mathbf{B}^{\top} & a \mathbf{K}_{nn} + l \mathbf{I} \end{bmatrix}, \qquad
        \mathbf{B} = a \mathbf{K}_{on}, \qquad
        \mathbf{G} = (a \mathbf{K}_{nn} + l \mathbf{I} -
        \mathbf{B}^{\top} \mathbf{P} \mathbf{B})^{-1},

    .. math::
        \mathbf{P}' = \begin{bmatrix} \mathbf{P} + \mathbf{P} \mathbf{B} \mathbf{G}
        \mathbf{B}^{\top} \mathbf{P} & -\mathbf{P} \mathbf{B} \mathbf{G} \\
        -\mathbf{G} \mathbf{B}^{\top} \mathbf{P} & \mathbf{G} \end{bmatrix},

    the inverse by blocks, exactly what :func:`~mdsrec_pyg.graphs.ridge_precision` gives for the
    grown catalog. It takes :math:`O(N^2 n)` where that takes :math:`O((N + n)^3)`. The upper left
    block is not :math:`\mathbf{P}`: new items explain away what old ones like them had in common.

    Args:
        precision: P of the old items ``[N, N]``, float64 where further items are to follow: the
            digits that float32 lacks add up.
        x: Features of all items ``[N + n, F]``, the old ones first, or their
            :class:`~mdsrec_pyg.graphs.neighbors.UnitRows`.
        feature_weight: *a*, as in the precision.
        l2: *l*, as in the precision.

    Returns:
        P' ``[N + n, N + n]``, of the type and on the device of ``precision``.

    Raises:
        ValueError: A weight out of range, fewer rows than old items, or weights that are not those
            of the precision, as far as can be seen.
    """
    check_ridge(l2, 0.0)
    [weight] = feature_weights(feature_weight, 1)
    num_old = len(precision)
    unit = x if isinstance(x, UnitRows) else UnitRows(x)
    if precision.dim() != 2 or precision.size(1) != num_old or len(unit) < num_old:
        raise ValueError(
            "'precision' must have shape [N, N] and 'x' at least N rows (got "
            f"{list(precision.shape)} and {len(unit)})"
        )
    rows = unit.rows.to(precision)
    old, new = rows[:num_old], rows[num_old:]
    # P B by way of P F where there are fewer features than new items: the same products.
    narrow = rows.size(1) < len(new)
    both = (precision @ old) @ new.T if narrow else precision @ (old @ new.T)  # [N, n]
    both *= weight
    schur = new @ new.T
    schur -= new @ (old.T @ both)
    schur *= weight
    schur.diagonal().add_(l2)
    factor, info = torch.linalg.cholesky_ex(schur)
    if int(info) != 0:
        raise ValueError(
            "'feature_weight' and 'l2' must be those of 'precision' (the matrix of the new items "
            f"is not positive definite: got {feature_weight} and {l2})"
        )
    own = torch.cholesky_inverse(factor)
    across = both @ own
    grown = precision.new_empty(len(unit), len(unit))
    torch.addmm(precision, across, both.T, out=grown[:num_old, :num_old])
    grown[:num_old, num_old:] = across.neg_()
    grown[num_old:, :num_old] = across.T
    grown[num_old:, num_old:] = own
    return grown


def cold_edges(
    unit: UnitRows,
    interactions: Interactions,
    first: int,
    config: ProductConfig | None = None,
    **options: Any,
) -> Data:
    r"""The rows of new items in the paper's graph, beside which those of the old items stay.

    A new item has met nobody: like a cold item of :func:`~mdsrec_pyg.graphs.product_graph`, it
    takes its nearest items by affinity, as if seen once with each, :math:`b(1) s_{ij}`. They are
    looked for among the items of the graph only: an embedding that nobody has trained says nothing.
    For the same reason no old item takes a new one into its row, so that all old rows stay.

    The weights are normalized as those of the graph are. Where that takes the column sum
    :math:`c_j` of a source, it is that of the graph, or the edge itself where that is larger: what
    a new item gets does not depend on which others come with it.

    Args:
        unit: Unit rows of all items: first those of the graph, the new ones last.
        interactions: Training interactions that the graph was built from, over its items.
        first: The first of the new items.
        config: Options of the graph. Without ``fill`` a new item has no neighbors.
        **options: Some of them by name.

    Returns:
        Data with the edges into new items, ``edge_index`` ``[2, E]``, ``edge_weight`` and
        ``num_nodes``, that of all items.
    """
    chosen = configure(ProductConfig(), config, **options)
    new = torch.arange(first, len(unit))
    target, source, weight = _nearest_old(unit, interactions.num_items, new, chosen)
    if chosen.normalization is not None and len(weight):
        into = weight.new_zeros(len(unit)).index_add_(0, target, weight)[target]
        if chosen.normalization == "row":
            weight = weight / into
        else:
            degree = _degree(unit, interactions, chosen)[source]
            if chosen.normalization == "sym":
                degree = torch.maximum(degree, weight)
            weight = weight / (into * torch.where(degree > 0, degree, torch.inf)).sqrt()
    if chosen.self_loops not in (0, "count"):  # 'count': nobody took them
        loop = torch.full((len(new),), float(chosen.self_loops), dtype=torch.float64)
        target, source = torch.cat([target, new]), torch.cat([source, new])
        weight = torch.cat([weight, loop])
    keep = weight > 0
    return sorted_graph(source[keep], target[keep], weight[keep], len(unit))


def _nearest_old(
    unit: UnitRows, num_old: int, new: Tensor, config: ProductConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """New item, its nearest among the first ``num_old`` items and b(1) s of each edge, float64."""
    wanted = new[unit.present[new]]
    if config.fill is None or not len(wanted):
        return new[:0], new[:0], torch.empty(0, dtype=torch.float64)
    untrained = torch.arange(num_old, len(unit))

    def exclude(part: Tensor) -> tuple[Tensor, Tensor]:
        position = torch.arange(len(part)).repeat_interleave(len(untrained))
        return position, untrained.repeat(len(part))

    cells = make_cells(unit.rows, config.search, config.num_probes)
    size = config.block_size
    target, source, value = nearest(unit.rows, wanted, config.num_neighbors, exclude, size, cells)
    alone = math.log1p(1) if config.behavior == "log" else 1.0
    return target, source, alone * value.double()


def _degree(unit: UnitRows, interactions: Interactions, config: ProductConfig) -> Tensor:
    """What the weights of the graph are divided by for each source, before the root, float64."""
    size = interactions.num_items
    old = unit if size == len(unit) else UnitRows(unit.feature.take(np.arange(size)))
    loops = "count" if config.self_loops == "count" else 0.0
    plain = config.replace(normalization=None, self_loops=loops)
    graph = product_graph(old, interactions, plain)
    assert graph.edge_index is not None
    assert graph.edge_weight is not None
    end = graph.edge_index[0 if config.normalization == "sym" else 1]
    return torch.zeros(size, dtype=torch.float64).index_add_(0, end, graph.edge_weight.double())
