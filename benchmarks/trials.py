"""The trials of each model of the accuracy benchmark: four, of the linear ones twice as many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mdsrec_pyg import EASE, FolderDataset, GRU4Rec, Interactions, Popularity, SASRec, build_mdsrec
from mdsrec_pyg.data import FeatureScaler
from mdsrec_pyg.nn import MDSRecConfig
from mdsrec_pyg.nn.models import Recommender

#: Options of a trial that are the trainer's.
OF_TRAINER = ("lr", "average_epochs")

# What decides most for the sequence encoders on short histories: width and dropout. Averaging the
# weights helped SASRec on beauty and scientific_clip.
ENCODER_TRIALS: list[dict[str, Any]] = [
    {"channels": 64, "dropout": 0.5, "average_epochs": 10.0},
    {"channels": 128, "dropout": 0.5, "average_epochs": 10.0},
    {"channels": 128, "dropout": 0.5, "average_epochs": 3.0},
    {"channels": 192, "dropout": 0.5, "average_epochs": 10.0, "lr": 5e-4},
]

# The paper's form with self-loops in its graphs, and without.
PAPER_TRIALS: list[dict[str, Any]] = [
    {"channels": 128, "dropout": 0.5, "self_loops": 0.25},
    {"channels": 128, "dropout": 0.5, "self_loops": 1.0},
    {"channels": 128, "dropout": 0.5, "self_loops": 0.0},
    {"channels": 192, "dropout": 0.5, "self_loops": 0.25, "lr": 5e-4},
]


def linear(feature_weight: float | dict[str, float] | None = None, **options: float) -> Any:
    """A trial of EASE, seen items last; its weight of features as :func:`weights_of` takes it."""
    weight = {} if feature_weight is None else {"feature_weight": feature_weight}
    return {**weight, **options, "history_bias": -1.0}


def mdsrec(**options: Any) -> dict[str, Any]:
    """A trial of MDSRec; where it does not say otherwise, its ridges have the same numbers."""
    return {"l2": 70.0, "feature_weight": 20.0, "denoising": 0.33, **options}


#: The ridges of a trial whose numbers the training part chooses.
CHOSEN: dict[str, Any] = {"l2": "auto", "feature_weight": "auto"}

TRIALS: dict[str, list[dict[str, Any]]] = {
    "Popularity": [
        {"history_bias": 0.0},
        {"history_bias": -1.0},
        {"history_bias": -3.0},
        {"history_bias": -20.0},
    ],
    # With denoising they are EDLAE.
    "EASE": [
        linear(l2=50.0, denoising=0.0, decay=1.0),
        linear(l2=30.0, denoising=0.0, decay=0.85),
        linear(l2=60.0, denoising=0.0, decay=0.7),
        linear(l2=60.0, denoising=0.33, decay=1.0),
        linear(l2=60.0, denoising=0.5, decay=0.85),
        linear(l2=60.0, denoising=0.66, decay=0.85),
        linear(l2=90.0, denoising=0.66, decay=0.7),
        linear(l2=30.0, denoising=0.33, decay=0.7),
    ],
    "EASE+features": [
        linear({"image": 5.0, "other": 15.0}, l2=60.0, denoising=0.0, decay=0.85),
        linear({"image": 8.0, "other": 24.0}, l2=60.0, denoising=0.0, decay=1.0),
        linear({"image": 8.0, "other": 24.0}, l2=60.0, denoising=0.5, decay=1.0),
        linear({"image": 5.0, "other": 15.0}, l2=60.0, denoising=0.66, decay=0.85),
        linear({"image": 5.0, "other": 15.0}, l2=100.0, denoising=0.5, decay=0.85),
        linear({"image": 3.0, "other": 9.0}, l2=100.0, denoising=0.66, decay=0.85),
        linear(5.0, l2=200.0, denoising=0.0, decay=0.7),
        linear(0.0, l2=60.0, denoising=0.5, decay=0.85),  # plain EASE
    ],
    "GRU4Rec": ENCODER_TRIALS,
    "SASRec": ENCODER_TRIALS,
    "SASRecF": ENCODER_TRIALS,
    "eSASRec": [{**trial, "block": "ligr", "num_negatives": 512} for trial in ENCODER_TRIALS],
    "MDSRec-paper": PAPER_TRIALS,
    "MDSRec": [
        mdsrec(channels=64, dropout=0.3, vector_weight=0.1, **CHOSEN),  # the library's defaults
        mdsrec(channels=128, dropout=0.5, vector_weight=0.1, **CHOSEN),
        mdsrec(channels=128, dropout=0.5, vector_weight=0.2),
        mdsrec(channels=128, dropout=0.5, vector_weight=0.4, average_epochs=10.0, **CHOSEN),
    ],
}

#: Runs without a search, by the name of their row: a model with the options that users get.
UNTUNED: dict[str, tuple[str, dict[str, Any]]] = {"MDSRec-default": ("MDSRec", TRIALS["MDSRec"][0])}

#: Models that learn by a softmax over the catalog, or over a sample of it.
NEURAL = ("GRU4Rec", "SASRec", "SASRecF", "eSASRec", "MDSRec-paper", "MDSRec")
#: Models that cannot do without a modality.
NEEDS_FEATURES = ("EASE+features", "SASRecF")
#: Models that read no modality: the same over any.
OF_IDS = ("Popularity", "EASE", "GRU4Rec", "SASRec", "eSASRec")

#: Each part of MDSRec off in turn.
ABLATIONS: dict[str, dict[str, Any]] = {
    "votes only": {"vectors": False},
    "votes, plain sum": {"vectors": False, "vote_hidden": 0},
    "plain sum of votes": {"vote_hidden": 0},
    "vectors only": {"relations": False},
    "without history bias": {"history_bias": False},
    "without ID embedding": {"add_id": False},
    "without projected features": {"add_features": False},
    "without center embedding": {"add_centers": False},
    "without item graphs": {"num_conv_layers": 0},
    "votes learn from all positions": {"vote_positions": MDSRecConfig.max_length},
    "votes learn from the newest position": {"vote_positions": 1},
    "without denoising": {"denoising": 0.0},
    "without centers": {"num_centers": 0, "add_centers": False},
    "mean instead of gate": {"fusion": "mean"},
    "without semantic fill": {"fill": None},
}

#: Modalities that a data set must have for an ablation to change its model; those not named: none.
OVER_MODALITIES = {
    "without projected features": 1,
    "without center embedding": 1,
    "without centers": 1,
    "without semantic fill": 1,
    "mean instead of gate": 2,
}

#: Which options of a trial belong to the item graphs and to the learned relations.
NESTED: dict[str, tuple[str, ...]] = {
    "graph": ("fill", "self_loops"),
    "relations": ("l2", "feature_weight", "denoising"),
}


def make_model(
    name: str, dataset: FolderDataset, train: Interactions, seed: int, options: dict[str, Any]
) -> Recommender:
    """Builds a model from the training part."""
    options = {key: value for key, value in options.items() if key not in OF_TRAINER}
    num_items, features = dataset.num_items, dataset.features
    if name == "Popularity":
        return Popularity(train, **options)
    if name == "EASE":
        return EASE(train, **options)
    if name == "EASE+features":
        options["feature_weight"] = weights_of(features, options["feature_weight"])
        return EASE(train, list(features.values()), **options)
    if name == "GRU4Rec":
        return GRU4Rec(num_items, **options)
    if name in ("SASRec", "eSASRec"):
        return SASRec(num_items, **options)
    if name == "SASRecF":
        known = train.item_counts() > 0
        scaled = [FeatureScaler().fit_transform(feature, known).x for feature in features.values()]
        return SASRec(num_items, scaled, **options)
    if not features:
        options.pop("feature_weight", None)  # a trial of votes; nothing is weighed by it here
    preset = "paper" if name == "MDSRec-paper" else "best"
    return build_mdsrec(features, train, preset, seed=seed, **nested(options))


def ablations_for(num_modalities: int) -> dict[str, dict[str, Any]]:
    """The ablations that change the model of a data set with so many modalities."""
    return {
        name: change
        for name, change in ABLATIONS.items()
        if num_modalities >= OVER_MODALITIES.get(name, 0)
    }


def weights_of(modalities: Iterable[str], given: float | dict[str, float]) -> Any:
    """A trial's feature weight for each modality of a data set.

    Args:
        modalities: Names of the modalities.
        given: One weight for all, or weights by name with that of any other under ``"other"``.
    """
    if not isinstance(given, dict):
        return given
    return [given.get(name, given["other"]) for name in modalities]


def nested(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a trial as ``build_mdsrec`` takes them; trials and their rows stay flat.

    A part that is left out, such as ``relations=False``, has no options.
    """
    parts: dict[str, Any] = {
        part: {key: options[key] for key in keys if key in options} for part, keys in NESTED.items()
    }
    flat = {key: value for key, value in options.items() if key not in sum(NESTED.values(), ())}
    return {part: inner for part, inner in parts.items() if inner} | flat
