"""The learned graph of a modality, exact as long as memory allows."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.graphs.local_ridge import local_ridge_graph
from mdsrec_pyg.graphs.neighbors import UnitRows, as_unit, with_features
from mdsrec_pyg.graphs.ridge import ridge_graph, ridge_memory, ridge_precision
from mdsrec_pyg.showing import counted

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
    x: ModalFeature | UnitRows | Tensor | Any | None,
    interactions: Interactions,
    config: RidgeConfig | None = None,
    **options: Any,
) -> Data:
    r"""Learns the weights of a relation graph by a ridge regression of items on items (ours).

    .. math::
        S_{ij} = -P_{ij} / P_{jj}, \qquad
        \mathbf{P} = (\mathbf{X}^{\top} \mathbf{X} + a \mathbf{K} +
        \mathrm{diag}(l + \tfrac{p}{1 - p} n_i))^{-1}

    See :func:`~mdsrec_pyg.graphs.ridge_precision`. The edge from an item *i* of the history to a
    candidate *j* weighs :math:`S_{ij}`. Exact where ``12 N^2`` bytes fit ``memory_limit``; beyond
    that :func:`~mdsrec_pyg.graphs.local_ridge_graph`, and a warning says so.

    Args:
        x: Features ``[N, F]`` or a ModalFeature; ``None``: the plain ridge, without a kernel.
        interactions: Training interactions.
        config: The options, see :class:`~mdsrec_pyg.graphs.RidgeConfig`; its default
            ``memory_limit`` of 4 GiB allows 18,918 items.
        **options: Some of them by name, such as ``l2=300.0``.

    Returns:
        Data with ``x``, ``mask``, ``train_mask``, ``edge_index``, ``edge_weight``, ``num_nodes``
        and ``solver``, which says ``'exact'`` or ``'local'``.

    Raises:
        ValueError: An option out of range, or shapes that do not fit.
    """
    if not isinstance(interactions, Interactions):
        raise ValueError(
            "'interactions' must be the training Interactions for weighting='ridge' "
            f"(got {type(interactions).__name__})"
        )
    chosen = configure(RidgeConfig(), config, **options)
    what = f"the ridge over {counted(interactions.num_items, 'item')}"
    instead = f"each target over its {chosen.num_candidates} best candidates"
    needed = ridge_memory(interactions.num_items)
    exact = exact_fits(needed, chosen.memory_limit, what, instead)
    unit = as_unit(x, None, interactions.num_items)
    if exact:
        precision = ridge_precision(
            interactions,
            unit,
            feature_weight=chosen.feature_weight,
            l2=chosen.l2,
            denoising=chosen.denoising,
            block_size=chosen.block_size,
            device=chosen.device,
        )
        graph = ridge_graph(precision, chosen.num_neighbors, block_size=chosen.block_size).cpu()
    else:
        graph = local_ridge_graph(interactions, unit, config=chosen)
    graph.solver = "exact" if exact else "local"
    return with_features(graph, None if x is None else unit.feature, interactions)
