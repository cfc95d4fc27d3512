"""One call for every kind of item graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import scipy.sparse as sp
from torch_geometric.data import Data

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.config import ProductConfig, RidgeConfig
from mdsrec_pyg.graphs.learned import learned_graph
from mdsrec_pyg.graphs.neighbors import as_unit
from mdsrec_pyg.graphs.product import product_graph

__all__ = ["GraphConfig", "build_item_graph"]

GraphConfig = ProductConfig | RidgeConfig

_WEIGHTING: dict[str, tuple[type[GraphConfig], Callable[..., Data]]] = {
    "product": (ProductConfig, product_graph),
    "ridge": (RidgeConfig, learned_graph),
}


def build_item_graph(
    x: Any,
    interactions: Interactions | sp.spmatrix,
    config: GraphConfig | None = None,
    *,
    weighting: Literal["product", "ridge"] | None = None,
    mask: Any = None,
    **options: Any,
) -> Data:
    r"""Builds the relation graph of the items in one modality, from training interactions only.

    Example:
        >>> build_item_graph(feature, split.train, num_neighbors=20)
        >>> build_item_graph(feature, split.train, RidgeConfig(l2=300.0))

    Args:
        x: Features of the modality, an array ``[N, F]`` or a
            :class:`~mdsrec_pyg.data.ModalFeature`; ``None``: the graph of behavior alone, without
            ``x`` and ``mask``.
        interactions: *Training* interactions. The product also takes the counts of
            :func:`~mdsrec_pyg.graphs.count_cooccurrences`, computed once for all modalities.
        config: The options; its kind decides which graph is built.
        weighting: Where there is no ``config``: ``'product'`` multiplies co-occurrence and
            affinity, the paper's graph, see :func:`~mdsrec_pyg.graphs.product_graph`; ``'ridge'``
            learns the weights by a ridge regression, ours, see
            :func:`~mdsrec_pyg.graphs.learned_graph`. (default: ``'product'``)
        mask: True where the item has the modality, bool ``[N]``. Default: all have it.
        **options: Options by name: those of :class:`~mdsrec_pyg.graphs.ProductConfig` or
            :class:`~mdsrec_pyg.graphs.RidgeConfig`.

    Returns:
        Data with ``x`` float32 ``[N, F]``, the features as they are, ``mask`` bool ``[N]`` (who has
        the modality), ``train_mask`` bool ``[N]`` (who occurs in training; only where
        ``interactions`` are Interactions), ``edge_index`` int64 ``[2, E]`` from source *j* to
        target *i*, ``edge_weight`` float32 ``[E]`` and ``num_nodes``.

    Raises:
        ValueError: An unknown ``weighting``, or one that is not that of ``config``, an option that
            this weighting does not have, or shapes that do not fit.
    """
    chosen = graph_config(config, weighting, options)
    _, build = next(pair for pair in _WEIGHTING.values() if isinstance(chosen, pair[0]))
    if x is None and mask is not None:
        raise ValueError("'mask' must be left out where there are no features 'x'")
    return build(None if x is None else as_unit(x, mask), interactions, chosen)


def graph_config(
    config: GraphConfig | None, weighting: str | None, options: dict[str, Any]
) -> GraphConfig:
    """The options of a graph, complete.

    Raises:
        ValueError: An unknown ``weighting``, or an option that it does not have.
    """
    if weighting not in (None, *_WEIGHTING):
        raise ValueError(f"'weighting' must be one of {list(_WEIGHTING)} (got {weighting!r})")
    if config is None:
        return configure(_WEIGHTING[weighting or "product"][0](), **options)
    if weighting is not None and not isinstance(config, _WEIGHTING[weighting][0]):
        raise ValueError(
            f"'weighting' must be left out beside a 'config', whose kind decides (got {weighting!r}"
            f" and a {type(config).__name__})"
        )
    return config.replace(**options)
