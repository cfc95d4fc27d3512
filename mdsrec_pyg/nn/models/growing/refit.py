"""A model over newer interactions: its graphs are fitted again, its weights stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.graphs.cooccurrence import count_cooccurrences
from mdsrec_pyg.graphs.neighbors import UnitRows
from mdsrec_pyg.graphs.product import product_graph
from mdsrec_pyg.nn.models.growing.kept import BuiltFrom
from mdsrec_pyg.nn.votes.fit import fit_relations

__all__ = ["refit_graphs"]


def refit_graphs(model: Any, built: BuiltFrom, interactions: Interactions, trainable: bool) -> None:
    """Fits the graphs of a model again, in place.

    Args:
        model: A copy of an MDSRec, whose tables are replaced, never written to.
        built: What it was built from.
        interactions: The newer interactions, over all items of the model.
        trainable: Prepares the training of the votes, too.
    """
    units = {name: UnitRows(feature) for name, feature in built.features.items()}
    config = built.graph
    counts = count_cooccurrences(
        interactions,
        window=config.window,
        max_sequence_length=config.max_sequence_length,
        diagonal=config.self_loops == "count",
    )
    for m, name in enumerate(model.modalities):
        device = model._edges(m)[0].device
        graph = product_graph(units.get(name), counts, config.replace(window=None), device=device)
        setattr(model, f"edge_index_{m}", graph.edge_index.to(device))
        setattr(model, f"edge_weight_{m}", graph.edge_weight.to(device))
    if model.votes is not None:
        assert built.relations is not None
        there = built.relations.replace(device=str(model.votes.weight.device))
        relations = fit_relations(units, interactions, there, training=trainable)
        model.votes.set_graphs(list(relations.graphs.values()), relations.training_votes)
    model.item_counts = interactions.item_counts()
    model.built_from = replace(built, train=interactions, inverses={})
