"""The learned graph of a modality, exact as long as memory allows."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data.cells import Search, check_search
from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.local_ridge import local_ridge_graph
from mdsrec_pyg.data.neighbors import as_feature
from mdsrec_pyg.data.ridge import ridge_graph, ridge_memory, ridge_precision

__all__ = ["learned_graph"]

logger = logging.getLogger(__name__)


def exact_fits(needed: int, memory_limit: int, what: str, instead: str) -> bool:
    """Whether the exact ridge fits the memory; where not, a warning says what comes instead.

    Args:
        needed: Bytes of the exact form.
        memory_limit: Bytes that it may take.
        what: What is to be solved.
        instead: How the local form solves it.
    """
    message = f"{what} needs {needed:,} bytes, memory_limit is {memory_limit:,}"
    if needed <= memory_limit:
        logger.info("%s: exact", message)
        return True
    warnings.warn(f"{message}: local, {instead}", stacklevel=3)
    return False


def learned_graph(
    x: ModalFeature | Tensor | Any,
    interactions: Interactions,
    *,
    num_neighbors: int = 50,
    feature_weight: float = 30.0,
    l2: float = 300.0,
    memory_limit: int = 4 * 2**30,
    num_candidates: int = 200,
    max_sequence_length: int = 200,
    block_size: int | None = None,
    search: Search | None = None,
    num_probes: int = 16,
    device: torch.device | str = "cpu",
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
        max_sequence_length: Most distinct items of a user whose pairs all count in the local form;
            no effect on the exact one, which counts all.
        block_size: Rows computed at once; changes memory, not the result.
        search: How the local form finds candidates, ``'exact'``, ``'cells'``, or ``None``: by the
            number of items; no effect on the exact ridge.
        num_probes: Nearest cells searched by ``'cells'``.
        device: Where the local form computes; no effect on the exact ridge, a LAPACK call.

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
    local: dict[str, Any] = {
        "num_candidates": num_candidates,
        "max_sequence_length": max_sequence_length,
    }
    for name, value in local.items():
        if value < 1:
            raise ValueError(f"'{name}' must be at least 1 (got {value})")
    check_search(search, num_probes)
    feature = as_feature(x)
    what = f"the ridge over {interactions.num_items:,} items"
    instead = f"each target over its {num_candidates} best candidates"
    exact = exact_fits(ridge_memory(interactions.num_items), memory_limit, what, instead)
    if exact:
        precision = ridge_precision(
            interactions, feature, feature_weight=feature_weight, l2=l2, block_size=block_size
        )
        graph = ridge_graph(precision, num_neighbors, block_size=block_size)
    else:
        graph = local_ridge_graph(
            interactions,
            feature,
            num_neighbors=num_neighbors,
            feature_weight=feature_weight,
            l2=l2,
            block_size=block_size,
            search=search,
            num_probes=num_probes,
            device=device,
            **local,
        )
    graph.solver = "exact" if exact else "local"
    graph.x, graph.mask = feature.x, feature.mask
    return graph
