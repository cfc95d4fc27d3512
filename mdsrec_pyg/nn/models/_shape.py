"""The shape of an MDSRec without its contents: what a saved model is built from again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.nn.models._effects import OwnParts
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.votes.fit import Relations
from mdsrec_pyg.nn.votes.weights import RidgeWeights


def sizes_of(model: Any) -> dict[str, Any]:
    """Hyperparameters of an MDSRec, plain JSON.

    The largest label of a modality decides how many center embeddings the items have.
    """
    sizes = {}
    for m, name in enumerate(model.modalities):
        sizes[name] = {"num_features": model.num_features[m]}
        if model.labels is not None:
            sizes[name]["num_centers"] = len(model.get_buffer(f"centers_{m}"))
            sizes[name]["largest_label"] = int(model.labels[m].max())
    added = {"num_added": model.num_added} if model.num_added else {}
    return {
        "num_items": model.num_items,
        **added,
        "modalities": sizes,
        "relations": model.votes is not None,
        "ridge_weights": None if model.ridge_weights is None else asdict(model.ridge_weights),
        "config": model.config.to_dict(),
    }


def empty_parts(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of MDSRec of the given sizes, without contents: nothing can be fitted on them."""
    num_items, sizes = hyperparameters["num_items"], hyperparameters["modalities"]
    graphs = {name: _graph(num_items, size["num_features"]) for name, size in sizes.items()}
    centers = {
        name: _centers(num_items, **size) for name, size in sizes.items() if "num_centers" in size
    }
    known = hyperparameters.get("ridge_weights")  # older folders do not tell
    weights = None if known is None else RidgeWeights(**{**known, "chosen": tuple(known["chosen"])})
    relations = Relations(graphs, None, "exact", weights) if hyperparameters["relations"] else None
    return {
        "graphs": graphs,
        "centers": centers or None,
        "relations": relations,
        "config": MDSRecConfig().replace(**hyperparameters["config"]),
    }


def _graph(num_items: int, num_features: int) -> Data:
    x = torch.empty(num_items, num_features, device="meta")
    return Data(
        x=x if num_features else None,  # graphs of behavior alone have none
        edge_index=torch.empty(2, 0, dtype=torch.long),
        edge_weight=torch.empty(0),
        num_nodes=num_items,
    )


def _centers(
    num_items: int, num_features: int, num_centers: int, largest_label: int
) -> InterestCenters:
    centers = InterestCenters(num_centers, max_items=max(num_centers, 1))
    centers.centers_ = torch.zeros(num_centers, num_features)
    centers.labels_ = torch.zeros(num_items, dtype=torch.long)
    centers.labels_[-1] = largest_label
    centers.affinity_ = torch.zeros(num_items, num_centers)
    return centers


def describe_own_parts(model: Any, own: OwnParts) -> dict[str, dict[str, str]]:
    """The caller's own modules that the model holds, so that they are asked for when it is loaded.

    Not those that have no effect, such as a ``conv`` where there are no propagations.
    """
    found: dict[str, nn.Module] = {}
    if model.config.vectors:
        if own.conv is not None and model.config.num_conv_layers:
            found["conv"] = model.propagate[0].convs[0]
        if own.encoder is not None:
            found["encoder"] = model.encoder[0]
        if own.fusion is not None:
            found["fusion"] = model.fusion
    return {
        name: {
            "class": f"{type(part).__module__}.{type(part).__qualname__}",
            "repr": " ".join(repr(part).split()),
        }
        for name, part in found.items()
    }


def describe_parts(model: Any) -> str:
    """Items, edges of each modality's graphs, and all options."""

    def count(edges: Callable[[int], tuple[Tensor, Tensor | None]]) -> dict[str, int]:
        return {name: edges(m)[0].size(-1) for m, name in enumerate(model.modalities)}

    votes = "" if model.votes is None else f", relation_edges={count(model.votes.edges)}"
    return f"num_items={model.num_items}, edges={count(model._edges)}{votes},\n{model.config}"
