"""Checks that the parts MDSRec is built from belong together."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch_geometric.data import Data

from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.nn.votes.edge_table import num_nodes
from mdsrec_pyg.nn.votes.fit import Relations
from mdsrec_pyg.showing import counted


def check_inputs(
    graphs: Mapping[str, Data],
    centers: Mapping[str, InterestCenters] | None,
    relations: Relations | None,
    vectors: bool,
) -> int:
    """Number of items; an error where the modalities or items of the parts do not agree."""
    if not graphs:
        raise ValueError("'graphs' must hold one item graph a modality (got none)")
    if relations is None and not vectors:
        raise ValueError("'relations' is needed where vectors=False (got None)")
    sizes = {name: num_nodes(graph) for name, graph in graphs.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"'graphs' must all have the same items (got {sizes})")
    missing = [name for name, graph in graphs.items() if graph.x is None]
    if missing and len(missing) < len(graphs):
        raise ValueError(
            f"'graphs' must have the items' features as 'x', all or none (none in {missing})"
        )
    for name, graph in graphs.items():
        _check_graph(name, graph, sizes[name])
    bare = [name for name, graph in graphs.items() if graph.get("edge_weight") is None]
    if bare:
        message = f"'graphs' without 'edge_weight': each edge counts one in {bare}"
        warnings.warn(message, stacklevel=3)
    _check_device(graphs)
    if centers is not None:
        _check_names("centers", sorted(centers), sorted(graphs))
        _check_sizes("centers", {name: len(centers[name].labels_) for name in graphs}, sizes)
    if relations is not None:
        # What counts votes in training knows the modalities by their place only.
        _check_names("relations", list(relations.graphs), list(graphs))
        parts = {name: num_nodes(graph) for name, graph in relations.graphs.items()}
        _check_sizes("relations", parts, sizes)
        bare = [name for name, graph in relations.graphs.items() if "edge_weight" not in graph]
        if bare:
            raise ValueError(f"'relations' must have weights as 'edge_weight' [E] (none in {bare})")
    return next(iter(sizes.values()))


def _check_graph(name: str, graph: Data, num_items: int) -> None:
    """An error where the parts of one graph do not belong together."""
    edge_index, edge_weight = graph.get("edge_index"), graph.get("edge_weight")
    elsewhere = edge_weight is None and graph.get("edge_attr") is not None
    if edge_index is None or elsewhere:
        raise ValueError(
            "'graphs' must have 'edge_index' [2, E] and their weights as 'edge_weight' [E], not as "
            f"a matrix or 'edge_attr' ({name!r} has {sorted(graph.keys())})"
        )
    if edge_weight is not None and edge_weight.shape != (edge_index.size(1),):
        raise ValueError(
            f"'graphs' must have one weight an edge ({name!r} has {edge_index.size(1)} edges and "
            f"'edge_weight' of shape {list(edge_weight.shape)})"
        )
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < num_items:
        raise ValueError(
            f"'graphs' must have edges between the items 0..{num_items - 1} ({name!r} has "
            f"{int(edge_index.min())} to {int(edge_index.max())})"
        )
    if graph.x is not None and graph.x.size(0) != num_items:
        raise ValueError(
            f"'graphs' must have one row of 'x' an item ({name!r} has {graph.x.size(0)} rows for "
            f"num_nodes={num_items})"
        )


def _check_device(graphs: Mapping[str, Data]) -> None:
    given = [graph.x for graph in graphs.values() if graph.x is not None]
    if given and all(x.is_meta for x in given):
        return  # nothing has a content yet: where it is loaded to decides
    devices = {
        f"{name}.{key}": str(graph[key].device)
        for name, graph in graphs.items()
        for key in ("x", "edge_index", "edge_weight")
        if graph.get(key) is not None
    }
    if len(set(devices.values())) > 1:
        raise ValueError(f"'graphs' must be on one device (got {devices})")


def _check_names(name: str, given: list[str], expected: list[str]) -> None:
    if given != expected:
        raise ValueError(f"'{name}' must have the modalities of 'graphs', {expected} (got {given})")


def _check_sizes(name: str, given: dict[str, int], expected: dict[str, int]) -> None:
    if given != expected:
        raise ValueError(f"'{name}' must have the items of 'graphs', {expected} (got {given})")


def check_conv(conv: Any, num_modalities: int) -> None:
    """An error where one layer with parameters would be shared by several modalities."""
    if num_modalities == 1 or not isinstance(conv, nn.Module):
        return
    if next(conv.parameters(), None) is not None:
        raise ValueError(
            "'conv' must be a callable that makes a layer, so that each modality has its own "
            f"parameters (got one {type(conv).__name__} for {counted(num_modalities, 'modality')})"
        )
