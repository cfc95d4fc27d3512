"""Item graphs on disk, found again by the content they were made from."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from torch_geometric.data import Data

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.build import GraphConfig, build_item_graph, graph_config
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.graphs.neighbors import as_feature, with_features
from mdsrec_pyg.io import load_sealed, save_sealed

__all__ = ["cached_item_graph"]

# Raise it whenever the same input gives another graph than before.
_VERSION = 3


def cached_item_graph(
    directory: str | os.PathLike[str],
    x: Any,
    interactions: Interactions | sp.spmatrix,
    config: GraphConfig | None = None,
    *,
    weighting: Literal["product", "ridge"] | None = None,
    mask: Any = None,
    **options: Any,
) -> Data:
    """Loads the graph of :func:`~mdsrec_pyg.graphs.build_item_graph`, or builds and saves it.

    Call it in place of ``build_item_graph`` where the same graphs are needed again and take long to
    build: a script that trains several models or seeds on one large catalog, or that is run again.
    Small graphs are built faster than a cache is worth, so the library itself never calls it.

    The name of the file holds a hash of the content of every input and of every option, defaults
    included: whatever changes makes another file, and nothing stale is ever served. The features
    are not saved again. A file that is damaged or holds another graph is replaced, with a warning;
    where it cannot be written, the graph is returned all the same, with a warning.

    Args:
        directory: Folder of the graphs; made if missing.
        x: Features ``[N, F]`` or a ModalFeature; ``None``: behavior alone.
        interactions: Training interactions, or counts for the product.
        config: The options; its kind decides which graph is built.
        weighting: ``'product'`` or ``'ridge'``, where there is no ``config``.
        mask: True where the item has the modality, bool ``[N]``. Default: all have it.
        **options: Those of :func:`~mdsrec_pyg.graphs.build_item_graph`.

    Returns:
        Data as :func:`~mdsrec_pyg.graphs.build_item_graph` makes it.

    Raises:
        ValueError: As :func:`~mdsrec_pyg.graphs.build_item_graph`.
    """
    feature = None if x is None and mask is None else as_feature(x, mask)
    chosen = graph_config(config, weighting, options)
    kind = "ridge" if isinstance(chosen, RidgeConfig) else "product"
    key = _digest(feature, interactions, chosen.to_dict())
    path = Path(directory) / f"item_graph_{kind}_{key[:20]}.pt"
    saved = _load(path, key) if path.exists() else None
    if saved is not None:
        return with_features(Data(**saved), feature, interactions)
    graph = build_item_graph(feature, interactions, chosen)
    given = ("x", "mask", "train_mask")
    saved = {name: value for name, value in graph.to_dict().items() if name not in given}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_sealed(path, {"key": key, "graph": saved})
    except (OSError, ValueError) as error:  # hours of work are not lost for want of a cache
        warnings.warn(f"the item graph is not cached in {path.parent}: {error}", stacklevel=2)
    return graph


def _load(path: Path, key: str) -> dict[str, Any] | None:
    """The graph in the file, or ``None`` with a warning where that is not the one of the key."""
    try:
        saved = load_sealed(path, "built again")
        if not isinstance(saved, dict) or saved.get("key") != key:
            raise ValueError(f"{str(path)!r} holds another graph than its name says: built again")
    except (OSError, ValueError) as error:
        warnings.warn(f"{path}: expected a saved item graph: {error}", stacklevel=3)
        return None
    graph: dict[str, Any] = saved["graph"]
    return graph


def _digest(feature: ModalFeature | None, interactions: Any, options: dict[str, Any]) -> str:
    inputs: dict[str, Any] = {}
    if feature is not None:
        inputs = {"x": feature.x.numpy(), "mask": feature.mask.numpy()}
    if isinstance(interactions, Interactions):
        inputs["user_id"], inputs["item_id"] = interactions.user_id, interactions.item_id
        options = options | {"num_items": interactions.num_items}
    elif sp.issparse(interactions):
        matrix: Any = interactions
        counts: Any = sp.csr_matrix(matrix, copy=True)
        counts.sum_duplicates()
        inputs |= {"indptr": counts.indptr, "indices": counts.indices, "data": counts.data}
        options = options | {"shape": counts.shape}
    digest = hashlib.sha256()
    # The rows of a user stand in time order, so the timestamps themselves change no graph.
    for name, array in inputs.items():
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(json.dumps([_VERSION, options], sort_keys=True, default=str).encode())
    return digest.hexdigest()
