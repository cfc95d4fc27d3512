"""A model with further items, without training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import ModalFeature
from mdsrec_pyg.data.raw_ids import as_raw_ids
from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.graphs.growing import cold_edges, grow_precision
from mdsrec_pyg.graphs.neighbor_votes import neighbor_votes
from mdsrec_pyg.graphs.neighbors import UnitRows, as_feature
from mdsrec_pyg.graphs.ridge import ridge_graph, ridge_precision
from mdsrec_pyg.nn.models.growing.kept import BuiltFrom
from mdsrec_pyg.nn.votes.fit import fit_relations
from mdsrec_pyg.showing import counted

__all__ = ["add_items", "grown_ids", "new_features"]


def grown_ids(known: pd.Index | None, num_items: int, given: list[Any]) -> list[Any] | None:
    """Raw ids of the old items and the new; ``None`` where items are called by their indices.

    Raises:
        ValueError: No id, one that is known or stands there twice, or of another type.
    """
    if not given:
        raise ValueError("'raw_ids' must hold at least one item (got none)")
    index = pd.Index(given, dtype=object, tupleize_cols=False)
    twice = index[index.duplicated()]
    if len(twice):
        raise ValueError(f"'raw_ids' must all differ (got {twice[0]!r} twice)")
    new = as_raw_ids("raw_ids", given, len(given)).tolist()
    if known is None:
        if new != list(range(num_items, num_items + len(new))):
            raise ValueError(
                f"'raw_ids' must be {num_items} and the numbers after it for a model whose items "
                f"are called by their indices (got {new[0]!r}): set 'model.item_ids' first"
            )
        return None
    old = known.tolist()
    if isinstance(new[0], str) != isinstance(old[0], str):
        kinds = ["text" if isinstance(ids[0], str) else "integers" for ids in (old, new)]
        raise ValueError(f"'raw_ids' must be {kinds[0]}, as those of the model (got {kinds[1]})")
    taken = index[index.isin(old)]
    if len(taken):
        raise ValueError(f"'raw_ids' must be new to the model (it has {taken[0]!r})")
    return [*old, *new]


def new_features(
    known: Mapping[str, ModalFeature], given: Mapping[str, Any], num_new: int
) -> dict[str, ModalFeature]:
    """Features of the new items in every modality; none of them has one that was not given.

    Raises:
        ValueError: An unknown modality, or features that do not fit; it names the modality.
    """
    for name in given:
        if name not in known:
            raise ValueError(f"'features' must be those of {list(known)} (got {name!r})")
    features = {}
    for name, old in known.items():
        if name not in given:
            zeros = torch.zeros(num_new, old.num_features)
            features[name] = ModalFeature(zeros, torch.zeros(num_new, dtype=torch.bool))
            continue
        try:
            feature = as_feature(given[name])
        except ValueError as error:
            raise ValueError(f"'features' of {name!r}: {error}") from error
        shape = num_new, old.num_features
        if feature.x.shape != shape:
            raise ValueError(
                f"'features' of {name!r} must have shape {shape}, a row a new item (got "
                f"{tuple(feature.x.shape)})"
            )
        features[name] = feature
    bare = num_new - int(torch.stack([part.mask for part in features.values()]).any(0).sum())
    if bare:
        warnings.warn(
            f"{counted(bare, 'new item')} of {num_new:,} without features in any modality: nothing "
            "leads to them",
            stacklevel=4,
        )
    return features


def add_items(
    model: Any, built: BuiltFrom, new: Mapping[str, ModalFeature], votes: str, keep: bool
) -> None:
    """Puts further items into the tables of a model, in place.

    Args:
        model: A copy of an MDSRec, whose tables are replaced, never written to.
        built: What it was built from.
        new: Features of the new items in each modality.
        votes: ``'ridge'`` or ``'neighbors'``.
        keep: Keeps the inverses for the next time.
    """
    first, num_new = model.num_items, len(next(iter(new.values())))
    features = {
        name: ModalFeature(torch.cat([old.x, new[name].x]), torch.cat([old.mask, new[name].mask]))
        for name, old in built.features.items()
    }
    units = {name: UnitRows(feature) for name, feature in features.items()}
    grown = replace(built, features=features, inverses={})
    for m, name in enumerate(model.modalities):
        _add_edges(model, m, cold_edges(units[name], built.train, first, built.graph))
    _add_centers(model, new)
    if model.config.vectors:
        model.ids.extend(num_new)
        for m, project in enumerate(model.project):
            project.extend(model.scaling[m](new[model.modalities[m]]))
    counts = getattr(model, "item_counts", None)
    model.num_items, model.num_added = first + num_new, model.num_added + num_new
    if counts is not None:
        model.item_counts = np.concatenate([counts, np.zeros(num_new, np.int64)])
    probability = torch.cat([model.item_probability, model.item_probability.new_zeros(num_new)])
    model.item_probability = probability
    if model.votes is not None and votes == "neighbors":
        model.votes.set_graphs(_neighbor_votes(model, built, units), None)
    elif model.votes is not None:
        model.votes.set_graphs(_ridge_votes(model, built, grown, units, keep), None)
    model.built_from = grown


def _add_edges(model: Any, modality: int, rows: Data) -> None:
    """Edges of the old rows, as they are, and of the new."""
    edge_index, edge_weight = model._edges(modality)
    assert rows.edge_index is not None
    assert rows.edge_weight is not None
    index = torch.cat([edge_index, rows.edge_index.to(edge_index)], dim=1)
    weight = torch.cat([edge_weight, rows.edge_weight.to(edge_weight)])
    order = torch.argsort(index[0] * rows.num_nodes + index[1])  # PyG's order, as before
    setattr(model, f"edge_index_{modality}", index[:, order])
    setattr(model, f"edge_weight_{modality}", weight[order])


def _add_centers(model: Any, new: Mapping[str, ModalFeature]) -> None:
    """Labels of the new items by the centers that were fitted."""
    if model.labels is None:
        return
    labels = []
    for m, feature in enumerate(new.values()):
        table = model.get_buffer(f"centers_{m}").cpu()
        centers = InterestCenters(len(table), max_items=len(table))
        centers.centers_ = table
        label, affinity = centers.assign(feature.x, feature.mask)
        labels.append(label)
        for part in (model.center, model.center_shift) if model.config.vectors else ():
            if part is not None:
                part[m].extend(label, affinity)
    model.labels = torch.cat([model.labels, torch.stack(labels).to(model.labels)], dim=1)


def _neighbor_votes(model: Any, built: BuiltFrom, units: Mapping[str, UnitRows]) -> list[Data]:
    """The learned graphs as they are, and edges of the new items by their nearest."""
    assert built.relations is not None
    graphs = []
    for m, unit in enumerate(units.values()):
        edge_index, edge_weight = model.votes.edges(m)
        old = Data(edge_index=edge_index, edge_weight=edge_weight, num_nodes=model.votes.num_items)
        graphs.append(neighbor_votes(old, unit, built.train, built.relations))
    return graphs


def _ridge_votes(
    model: Any, built: BuiltFrom, grown: BuiltFrom, units: Mapping[str, UnitRows], keep: bool
) -> list[Data]:
    """Learned graphs over the grown catalog: those of a fit from scratch."""
    config, num_items = built.relations, model.num_items
    assert config is not None
    device = str(model.votes.weight.device)
    inverse_bytes = 8 * num_items**2 * (len(units) + 1)
    if not keep or inverse_bytes > config.memory_limit:
        if keep:
            warnings.warn(
                f"'keep_inverse' has no effect: the inverses over {counted(num_items, 'item')} "
                f"take {inverse_bytes:,} bytes, memory_limit is {config.memory_limit:,}",
                stacklevel=4,
            )
        there = config.replace(device=device)
        relations = fit_relations(units, grown.over(num_items), there, training=False)
        return list(relations.graphs.values())
    graphs = []
    for name, unit in units.items():
        precision = _grown_inverse(built, name, unit, config, device)
        grown.inverses[name] = precision
        graphs.append(ridge_graph(precision.float(), config.num_neighbors).cpu())
    return graphs


def _grown_inverse(built: BuiltFrom, name: str, unit: UnitRows, config: Any, device: str) -> Tensor:
    """P over the grown catalog by blocks, from that over the old one, which is kept, too."""
    weights = {"feature_weight": config.feature_weight[name], "l2": config.l2[name]}
    if name not in built.inverses:
        old = built.features[name]
        built.inverses[name] = ridge_precision(
            built.over(len(old)),
            old,
            denoising=config.denoising,
            device=device,
            dtype=torch.float64,
            **weights,
        )
    return grow_precision(built.inverses[name], unit, **weights)
