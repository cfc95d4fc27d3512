"""The trials that each model of the accuracy benchmark gets: the same number for all."""

from __future__ import annotations

from typing import Any

from mdsrec_pyg import EASE, FolderDataset, GRU4Rec, Interactions, Popularity, SASRec, build_mdsrec
from mdsrec_pyg.data import FeatureScaler
from mdsrec_pyg.nn.models import Recommender

# What decides most for the sequence encoders on short histories: width and dropout.
ENCODER_TRIALS: list[dict[str, Any]] = [
    {"channels": 64, "dropout": 0.3},
    {"channels": 64, "dropout": 0.5},
    {"channels": 128, "dropout": 0.5},
    {"channels": 192, "dropout": 0.5, "lr": 5e-4},
]

# The paper's form with self-loops in its graphs, and without.
PAPER_TRIALS: list[dict[str, Any]] = [
    {"channels": 128, "dropout": 0.5, "self_loops": 0.25},
    {"channels": 128, "dropout": 0.5, "self_loops": 1.0},
    {"channels": 128, "dropout": 0.5, "self_loops": 0.0},
    {"channels": 192, "dropout": 0.5, "self_loops": 0.25, "lr": 5e-4},
]

TRIALS: dict[str, list[dict[str, Any]]] = {
    "Popularity": [
        {"history_bias": 0.0},
        {"history_bias": -1.0},
        {"history_bias": -3.0},
        {"history_bias": -20.0},
    ],
    "EASE": [
        {"l2": 100.0, "decay": 0.85, "history_bias": -1.0},
        {"l2": 50.0, "decay": 1.0, "history_bias": -1.0},
        {"l2": 30.0, "decay": 0.85, "history_bias": -1.0},
        {"l2": 30.0, "decay": 1.0, "history_bias": -1.0},
    ],
    "EASE+features": [
        {"feature_weight": 15.0, "l2": 75.0, "decay": 1.0, "history_bias": -1.0},
        {"feature_weight": 15.0, "l2": 75.0, "decay": 0.85, "history_bias": -1.0},
        {"feature_weight": 10.0, "l2": 100.0, "decay": 0.7, "history_bias": -1.0},
        {"feature_weight": 7.5, "l2": 150.0, "decay": 0.7, "history_bias": -1.0},
    ],
    "GRU4Rec": ENCODER_TRIALS,
    "SASRec": ENCODER_TRIALS,
    "SASRecF": ENCODER_TRIALS,
    "MDSRec-paper": PAPER_TRIALS,
    "MDSRec": [
        {"dropout": 0.3, "vector_weight": 0.1, "feature_weight": 20.0, "l2": 100.0},
        {"dropout": 0.3, "vector_weight": 0.05, "feature_weight": 20.0, "l2": 100.0},
        {"dropout": 0.3, "vector_weight": 0.05, "feature_weight": 30.0, "l2": 75.0},
        {"dropout": 0.5, "vector_weight": 0.1, "feature_weight": 20.0, "l2": 100.0},
    ],
}

#: Models that cannot do without a modality.
NEEDS_FEATURES = ("EASE+features", "SASRecF", "MDSRec-paper", "MDSRec")

#: Each part of MDSRec off in turn.
ABLATIONS: dict[str, dict[str, Any]] = {
    "votes only": {"vectors": False},
    "votes with interests only": {"vectors": False, "vote_interests": True},
    "with interests in the votes": {"vote_interests": True},
    "vectors only": {"relations": False},
    "without history bias": {"history_bias": False},
    "without ID embedding": {"add_id": False},
    "without projected features": {"add_features": False},
    "without center embedding": {"add_centers": False},
    "without item graphs": {"num_conv_layers": 0},
    "votes learn from all positions": {"vote_positions": "all"},
    "without centers": {"num_centers": 0, "add_centers": False},
    "mean instead of gate": {"fusion": "mean"},
    "without semantic fill": {"fill": None},
}

#: Which options of a trial belong to the item graphs and to the learned relations.
NESTED: dict[str, tuple[str, ...]] = {
    "graph": ("fill", "self_loops"),
    "relations": ("l2", "feature_weight"),
}


def make_model(
    name: str, dataset: FolderDataset, train: Interactions, seed: int, options: dict[str, Any]
) -> Recommender:
    """Builds a model from the training part."""
    options = {key: value for key, value in options.items() if key != "lr"}
    num_items, features = dataset.num_items, dataset.features
    if name == "Popularity":
        return Popularity(train, **options)
    if name == "EASE":
        return EASE(train, **options)
    if name == "EASE+features":
        return EASE(train, list(features.values()), **options)
    if name == "GRU4Rec":
        return GRU4Rec(num_items, **options)
    if name == "SASRec":
        return SASRec(num_items, **options)
    if name == "SASRecF":
        known = train.item_counts() > 0
        scaled = [FeatureScaler().fit_transform(feature, known).x for feature in features.values()]
        return SASRec(num_items, scaled, **options)
    preset = "paper" if name == "MDSRec-paper" else "best"
    return build_mdsrec(features, train, preset, seed=seed, **nested(options))


def nested(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a trial as ``build_mdsrec`` takes them; trials and their rows stay flat."""
    parts: dict[str, Any] = {
        part: {key: options[key] for key in keys if key in options} for part, keys in NESTED.items()
    }
    flat = {key: value for key, value in options.items() if key not in sum(NESTED.values(), ())}
    return flat | {part: inner for part, inner in parts.items() if inner}
