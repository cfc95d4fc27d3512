"""The rows of ``figures.py``: models, graphs and their options.

Each row says all its options, so that its figures do not depend on the defaults; rows named
"as it comes" say none and follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch_geometric.nn import GATv2Conv, GraphConv

from benchmarks.figure_models import World, ease, gru4rec, mdsrec, popularity, sasrec
from mdsrec_pyg.nn import Recommender

LOSS: dict[str, Any] = {"history_bias": True, "bias_lr": 5.0}
GRU: dict[str, Any] = {**LOSS, "channels": 64, "max_length": 50, "num_layers": 1, "dropout": 0.3}
ATTENTION: dict[str, Any] = {**GRU, "num_heads": 2}
GRAPH: dict[str, Any] = {
    "num_neighbors": 10,
    "behavior": "log",
    "fill": "semantic",
    "fill_weight": 0.5,
    "symmetric": False,
    "self_loops": 0.0,
    "normalization": "sym",
    "max_sequence_length": 200,
}
RELATIONS: dict[str, Any] = {
    "l2": 100.0,
    "feature_weight": 20.0,
    "num_neighbors": 100,
    "denoising": 0.0,
    "memory_limit": 4 * 2**30,
}
LOCAL: dict[str, Any] = {**RELATIONS, "memory_limit": 0, "num_candidates": 100, "num_folds": 3}
VECTORS: dict[str, Any] = {
    **ATTENTION,
    "graph": GRAPH,
    "num_centers": 32,
    "num_conv_layers": 1,
    "fusion": "gumbel",
    "temperature": 1.0,
    "center_form": "mean",
}
PAPER: dict[str, Any] = {**VECTORS, "center_mode": "only", "history_bias": False}
SUMS: dict[str, Any] = {
    **VECTORS,
    "center_mode": "add",
    "add_id": True,
    "add_features": True,
    "add_centers": True,
}
VOTES: dict[str, Any] = {
    "relations": RELATIONS,
    "vote_hidden": 32,
    "vote_positions": 4,
}
BEST: dict[str, Any] = {**SUMS, **VOTES, "vector_weight": 0.05}
VOTES_ONLY: dict[str, Any] = {
    **LOSS,
    **VOTES,
    "channels": 64,
    "max_length": 50,
    "graph": GRAPH,
    "num_centers": 32,
    "vectors": False,
}
NO_CENTERS = {k: v for k, v in BEST.items() if k not in ("center_form", "center_mode")}
NO_CENTERS |= {"num_centers": 0, "add_centers": False}
OTHER_GRAPH = {**GRAPH, "num_neighbors": 5, "behavior": "count", "fill": None, "symmetric": True}
#: Every option of the trainer that changes what it does.
STEPS: dict[str, Any] = {"weight_decay": 0.01, "warmup_steps": 5, "grad_clip": 0.5, "stride": 2}
STEPS |= {"shuffle_ties": True, "exclude_seen": True, "lr": 2e-3, "monitor": "mrr"}


@dataclass
class Row:
    """A model and how it is trained."""

    make: Callable[[World], Recommender]
    trainer: Mapping[str, Any] = field(default_factory=dict)


def row(make: Callable[..., Recommender], *arguments: Any, **options: Any) -> Row:
    """A row without options of the trainer."""
    return Row(partial(_call, make, arguments, options))


def _call(
    make: Callable[..., Recommender], arguments: Any, options: Mapping[str, Any], world: World
) -> Recommender:
    return make(world, *arguments, **options)


def paper(**options: Any) -> Row:
    """The paper's form with other options."""
    return row(mdsrec, "paper", **{**PAPER, **options})


def best(**options: Any) -> Row:
    """The best form with other options."""
    return row(mdsrec, "best", **{**BEST, **options})


def votes(**options: Any) -> Row:
    """The best form without vectors, with other options."""
    return row(mdsrec, "best", **{**VOTES_ONLY, **options})


ROWS: dict[str, Row] = {
    "Popularity": row(popularity, max_length=50, history_bias=0.0),
    "Popularity, history bias": row(popularity, max_length=50, history_bias=-3.0),
    "EASE 300/30": row(ease, False, l2=300.0, feature_weight=30.0),
    "EASE 100/20": row(ease, False, l2=100.0, feature_weight=20.0),
    "EASE+features 300/30": row(ease, True, l2=300.0, feature_weight=30.0),
    "EASE+features 100/20": row(ease, True, l2=100.0, feature_weight=20.0),
    "EASE+features, decay": row(
        ease, True, l2=75.0, feature_weight=15.0, decay=0.85, history_bias=-1.0, max_length=20
    ),
    "EASE as it comes": row(ease, True),
    "GRU4Rec": row(gru4rec, **GRU),
    "GRU4Rec, two layers": row(gru4rec, **{**GRU, "num_layers": 2, "history_bias": False}),
    "SASRec": row(sasrec, False, **ATTENTION),
    "SASRec, trainer's options": Row(
        row(sasrec, False, **{**ATTENTION, "max_length": 4}).make, STEPS
    ),
    "SASRec, loss in blocks": row(sasrec, False, **ATTENTION, max_scores=2**14),
    "SASRec, sampled": row(sasrec, False, True, **ATTENTION, num_negatives=100),
    "SASRec as it comes": row(sasrec, False),
    "SASRecF": row(sasrec, True, **ATTENTION),
    "SASRecF, wide": row(
        sasrec, True, **{**ATTENTION, "channels": 96, "num_layers": 2, "num_heads": 4}
    ),
    "MDSRec paper": paper(),
    "MDSRec paper as it comes": row(mdsrec, "paper"),
    "MDSRec paper, centers projected": paper(center_form="projected"),
    "MDSRec paper, centers soft": paper(center_form="soft"),
    "MDSRec paper, two layers": paper(num_conv_layers=2, num_layers=2),
    "MDSRec paper, another graph": paper(graph=OTHER_GRAPH),
    "MDSRec paper, window and rows": paper(
        graph={**GRAPH, "window": 2, "normalization": "row", "behavior": "binary"}
    ),
    "MDSRec paper, GraphConv": paper(conv=partial(GraphConv, 64, 64)),
    "MDSRec best": best(),
    "MDSRec best as it comes": row(mdsrec, "best"),
    "MDSRec best, centers embedding": best(center_form="embedding"),
    "MDSRec best, centers only": best(center_mode="only", num_centers=8),
    "MDSRec best, no centers": row(mdsrec, "best", **NO_CENTERS),
    "MDSRec best, softmax": best(fusion="softmax", temperature=0.5),
    "MDSRec best, mean": best(fusion="mean"),
    "MDSRec best, GATv2Conv": best(conv=partial(GATv2Conv, 64, 64, edge_dim=1)),
    "MDSRec best, two layers": best(num_conv_layers=2),
    "MDSRec best, no item graph": best(num_conv_layers=0),
    "MDSRec best, components": best(num_components=16),
    "MDSRec best, sampled": best(num_negatives=100),
    "MDSRec best, loss in blocks": best(max_scores=2**14),
    "MDSRec best, no history bias": best(history_bias=False),
    "MDSRec best, plain sum": best(vote_hidden=0),
    "MDSRec best, all positions": best(vote_positions=50),
    "MDSRec best, newest position": best(vote_positions=1),
    "MDSRec best, denoising": best(relations={**RELATIONS, "denoising": 0.33}),
    "MDSRec best, local ridge": best(relations=LOCAL),
    "MDSRec best 300/30, 50 votes": best(
        relations={**RELATIONS, "l2": 300.0, "feature_weight": 30.0, "num_neighbors": 50}
    ),
    "MDSRec best, trainer's options": Row(best(max_length=4).make, STEPS),
    "MDSRec vectors only": row(mdsrec, "best", **SUMS, relations=False),
    "MDSRec votes only": votes(),
    "MDSRec votes only, plain sum": votes(vote_hidden=0),
    "MDSRec votes only, local ridge": votes(relations=LOCAL, history_bias=False),
}

#: Item graphs and interest centers of their own, a modality at a time.
GRAPHS: dict[str, dict[str, Any]] = {
    "graph, product": {"weighting": "product", **GRAPH},
    "graph, product, other options": {"weighting": "product", **OTHER_GRAPH},
    "graph, product, self-loops": {"weighting": "product", **GRAPH, "self_loops": "count"},
    "graph, product, in-degree": {"weighting": "product", **GRAPH, "normalization": "in"},
    "graph, product, window": {"weighting": "product", **GRAPH, "window": 1, "fill_weight": 0.9},
    "graph, product, cells": {"weighting": "product", **GRAPH, "search": "cells", "num_probes": 4},
    "graph, ridge": {"weighting": "ridge", **RELATIONS},
    "graph, ridge 300/30": {
        **{"weighting": "ridge", "memory_limit": 4 * 2**30, "num_neighbors": 50},
        **{"l2": 300.0, "feature_weight": 30.0},
    },
    "graph, local ridge": {"weighting": "ridge", **RELATIONS, "memory_limit": 0}
    | {"num_candidates": 100, "max_sequence_length": 20},
}
