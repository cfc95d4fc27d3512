"""Item graphs on disk, found again by the content they were made from."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from torch_geometric.data import Data

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.build import GraphConfig, build_item_graph, graph_config
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.graphs.neighbors import as_feature, with_features
from mdsrec_pyg.io import atomic_write

__all__ = ["cached_item_graph"]

# Raise it whenever the same input gives another graph than before.
_VERSION = 2


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
    are not saved again. A file that cannot be read is replaced, with a warning.

    Args:
        directory: Folder of the graphs; made if missing.
        x: Features ``[N, F]`` or a ModalFeature.
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
    feature = as_feature(x, mask)
    chosen = graph_config(config, weighting, options)
    kind = "ridge" if isinstance(chosen, RidgeConfig) else "product"
    name = _digest(feature, interactions, chosen.to_dict())
    path = Path(directory) / f"item_graph_{kind}_{name}.pt"
    saved = _load(path) if path.exists() else None
    if saved is not None:
        return with_features(Data(**saved), feature, interactions)
    graph = build_item_graph(feature, interactions, chosen)
    path.parent.mkdir(parents=True, exist_ok=True)
    given = ("x", "mask", "train_mask")
    saved = {key: value for key, value in graph.to_dict().items() if key not in given}
    with atomic_write(path) as temporary:
        torch.save(saved, temporary)
    return graph


def _load(path: Path) -> dict[str, Any] | None:
    """What the file holds, or ``None`` with a warning where that is no graph."""
    content = io.BytesIO(path.read_bytes())  # outside: a disk that cannot be read is no broken file
    try:
        saved = torch.load(content, weights_only=True)
    # Where the file is cut decides what torch raises: RuntimeError, ValueError, EOFError, ...
    except Exception as error:
        problem = type(error).__name__
    else:
        if isinstance(saved, dict) and {"edge_index", "edge_weight", "num_nodes"} <= set(saved):
            return saved
        problem = "it holds no graph"
    warnings.warn(
        f"{path}: expected a saved item graph, got a broken file ({problem}): built again",
        stacklevel=3,
    )
    return None


def _digest(feature: ModalFeature, interactions: Any, options: dict[str, Any]) -> str:
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
    digest = hashlib.blake2b(digest_size=10)
    # The rows of a user stand in time order, so the timestamps themselves change no graph.
    for name, array in inputs.items():
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(json.dumps([_VERSION, options], sort_keys=True, default=str).encode())
    return digest.hexdigest()
