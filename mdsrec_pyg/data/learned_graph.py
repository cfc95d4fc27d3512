"""The learned graph of a modality, exact as long as memory allows."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.local_ridge import local_ridge_graph
from mdsrec_pyg.data.neighbors import as_feature
from mdsrec_pyg.data.ridge import ridge_graph, ridge_memory, ridge_precision

__all__ = ["learned_graph"]

logger = logging.getLogger(__name__)


def learned_graph(
    x: ModalFeature | Tensor | Any,
    interactions: Interactions,
    *,
    num_neighbors: int = 50,
    feature_weight: float = 30.0,
    l2: float = 300.0,
    memory_limit: int = 4 * 2**30,
    num_candidates: int = 200,
    block_size: int | None = None,
) -> Data:
    r"""Learns the weights of a relation graph by a ridge regression of items on items (ours).

    .. math::
        S_{ij} = -P_{ij} / P_{jj}, \qquad
        \mathbf{P} = (\mathbf{X}^{\top} \mathbf{X} + a \mathbf{K} + l \mathbf{I})^{-1}

    See :func:`~mdsrec_pyg.data.ridge_precision`. The edge from an item *i* of the history to a
    candidate *j* weighs :math:`S_{ij}`. Exact where ``12 N^2`` bytes fit ``memory_limit``; beyond
    that :func:`~mdsrec_pyg.data.local_ridge_graph`, and a warning says so.

    Args:
        x: Features ``[N, F]`` or a ModalFeature.
        interactions: Training interactions.
        num_neighbors: Largest entries kept of each row *i*, ties by the lower id.
        feature_weight: Weight *a* of the affinity, not negative.
        l2: Ridge *l*, positive.
        memory_limit: Bytes that the exact form may take; the default of 4 GiB allows 18,918 items.
        num_candidates: Candidates a target of the local form; no effect on the exact one.
        block_size: Rows computed at once; changes memory, not the result.

    Returns:
        Data with ``x``, ``mask``, ``edge_index`` sorted by target and source, ``edge_weight``,
        ``num_nodes`` and ``solver``, which says ``'exact'`` or ``'local'``.

    Raises:
        ValueError: An option out of range, or shapes that do not fit.
    """
    if not isinstance(interactions, Interactions):
        raise ValueError(
            "'interactions' must be the training Interactions for weighting='ridge' "
            f"(got {type(interactions).__name__})"
        )
    if num_candidates < 1:
        raise ValueError(f"'num_candidates' must be at least 1 (got {num_candidates})")
    feature = as_feature(x)
    needed = ridge_memory(interactions.num_items)
    message = (
        f"the ridge over {interactions.num_items:,} items needs {needed:,} bytes, memory_limit is "
        f"{memory_limit:,}"
    )
    if needed <= memory_limit:
        logger.info("%s: exact", message)
        precision = ridge_precision(
            interactions, feature, feature_weight=feature_weight, l2=l2, block_size=block_size
        )
        graph = ridge_graph(precision, num_neighbors, block_size=block_size)
    else:
        warnings.warn(
            f"{message}: local, each target over its {num_candidates} best candidates", stacklevel=2
        )
        graph = local_ridge_graph(
            interactions,
            feature,
            num_neighbors=num_neighbors,
            feature_weight=feature_weight,
            l2=l2,
            num_candidates=num_candidates,
            block_size=block_size,
        )
    graph.solver = "exact" if needed <= memory_limit else "local"
    graph.x, graph.mask = feature.x, feature.mask
    return graph
