"""Parts of MDSRec that are made from what it is given, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.nn.items.scaling import scale_features
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.votes.fit import Relations
from mdsrec_pyg.nn.votes.scores import RelationVotes


def register_tables(
    model: nn.Module, graphs: Mapping[str, Data], centers: Mapping[str, InterestCenters] | None
) -> None:
    """Buffers, so that graphs, centers and the items' labels move and are saved with the model.

    No score reads the centers of the raw features, ``centers_m`` [K, F]: they label new items.
    """
    for m, graph in enumerate(graphs.values()):
        model.register_buffer(f"edge_index_{m}", graph.edge_index, persistent=False)
        model.register_buffer(f"edge_weight_{m}", graph.edge_weight, persistent=False)
    labels = None
    if centers is not None:
        labels = torch.stack([centers[name].labels_ for name in graphs])
    model.register_buffer("labels", labels, persistent=False)  # [M, N]
    for m, name in enumerate(graphs):
        fitted = None if centers is None else centers[name].centers_
        model.register_buffer(f"centers_{m}", fitted, persistent=False)


def has_features(graphs: Mapping[str, Data]) -> bool:
    """Whether the graphs carry features; all do, or none."""
    return any(graph.x is not None for graph in graphs.values())


def read_features(
    graphs: Mapping[str, Data], config: MDSRecConfig
) -> tuple[list[Tensor], nn.ModuleList | None]:
    """Scaled features of each modality and their scaling; none where they are not read."""
    if not (config.vectors and config.add_features and has_features(graphs)):
        return [], None
    scaled = [scale_features(graph, config.num_components) for graph in graphs.values()]
    return [x for x, _ in scaled], nn.ModuleList(scaling for _, scaling in scaled)


def make_votes(relations: Relations | None, config: MDSRecConfig) -> RelationVotes | None:
    """The votes, with a history bias of their own; ``None`` without learned relations."""
    if relations is None:
        return None
    return RelationVotes(
        list(relations.graphs.values()),
        relations.training_votes,
        max_length=config.max_length,
        hidden=config.vote_hidden,
        history_bias=config.history_bias,
    )
