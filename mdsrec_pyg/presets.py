"""Named forms of MDSRec, built from a data set in one call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from mdsrec_pyg.data import Interactions, ModalFeature, standardize
from mdsrec_pyg.data.cooccurrence import count_cooccurrences
from mdsrec_pyg.data.feature_scaler import FeatureReducer
from mdsrec_pyg.data.item_graph import build_item_graph
from mdsrec_pyg.nn.interest_centers import InterestCenters
from mdsrec_pyg.nn.models import MDSRec
from mdsrec_pyg.nn.models._effects import without_effect
from mdsrec_pyg.nn.relations import fit_relations

__all__ = ["PRESETS", "build_mdsrec"]

#: The named forms. ``'paper'`` is the paper's own: E_m alone, centers in queries and keys, gate;
#: no history bias, no relation attention. ``'best'`` is what validation chose (see README).
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "history_bias": False,
        "relations": False,
        "center_form": "mean",
        "center_mode": "only",
    },
    "best": {
        "history_bias": True,
        "relations": True,
        "add_id": True,
        "add_features": True,
        "add_centers": True,
        "center_form": "mean",
        "center_mode": "add",
        "vote_interests": False,
        "vector_weight": 0.05,
        "num_votes": 100,
        "feature_weight": 20.0,
        "l2": 100.0,
    },
}

GRAPH_OPTIONS = (
    *("num_neighbors", "behavior", "fill", "fill_weight", "symmetric", "normalization"),
    *("window", "max_sequence_length"),
)
COUNT_OPTIONS = ("window", "max_sequence_length")  # of them, those of the co-occurrences
RELATION_OPTIONS = {
    "num_votes": "num_neighbors",
    "feature_weight": "feature_weight",
    "l2": "l2",
    "memory_limit": "memory_limit",
    "num_candidates": "num_candidates",
    "num_folds": "num_folds",
}


def _preset(name: str, num_centers: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the preset, less those that what was asked for leaves without effect."""
    preset = PRESETS[name]
    switches = {"vectors": True, "vote_interests": True, "encoder": None, "fusion": "gumbel"}
    options = {**switches, **preset, **asked, "centers": num_centers or None}
    options["relations"] = options["relations"] or None
    idle = {option for names in without_effect(options).values() for option in names}
    if not num_centers:
        idle.add("add_centers")
    return {key: value for key, value in preset.items() if key not in idle}


def build_mdsrec(
    features: Mapping[str, ModalFeature],
    train: Interactions,
    preset: str = "best",
    *,
    num_centers: int = 32,
    num_components: int | None = None,
    seed: int = 0,
    **options: Any,
) -> MDSRec:
    """Builds graphs, centers and learned relations from the training part, and the model.

    Args:
        features: Features of each modality, as they are; scaled here on training items.
        train: Training interactions; nothing else enters.
        preset: ``'best'`` or ``'paper'``.
        num_centers: K of the interest centers; 0 for none.
        num_components: Principal components of each modality's scaled features that take the
            place of the features where the model projects them; a modality that has no more
            features than that keeps its own. A training step takes less time: with thousands of
            features, most of it goes into their projection. Item graphs, centers and learned
            relations are made from the features as they are. Default: all features.
        seed: Seed of the centers and of the model's initial weights.
        **options: Override the preset: any argument of :class:`~mdsrec_pyg.nn.MDSRec`
            (``relations`` is True or False here), of the item graphs (``num_neighbors``,
            ``behavior``, ``fill``, ``fill_weight``, ``symmetric``, ``normalization``, ``window``,
            ``max_sequence_length``) or of the learned relations (``num_votes``, the targets that an
            item may vote for, which :func:`~mdsrec_pyg.nn.fit_relations` calls ``num_neighbors``,
            ``feature_weight``, ``l2``, ``memory_limit``, ``num_candidates``, ``num_folds``).

    Raises:
        ValueError: An unknown preset, no modality, or an option that the parts reject.
    """
    if not features:
        raise ValueError("'features' must hold at least one modality (got none)")
    if preset not in PRESETS:
        raise ValueError(f"'preset' must be one of {sorted(PRESETS)} (got {preset!r})")
    asked = [key for key in RELATION_OPTIONS if key in options]
    options = {**_preset(preset, num_centers, options), **options}
    graph_options = {key: options.pop(key) for key in GRAPH_OPTIONS if key in options}
    relation_options = {
        name: options.pop(key) for key, name in RELATION_OPTIONS.items() if key in options
    }
    with_relations = options.pop("relations")
    if asked and not with_relations:
        warnings.warn(f"{asked} have no effect with relations=False", stacklevel=2)
    known = torch.from_numpy(train.item_counts() > 0)
    pairs = {name: graph_options.pop(name) for name in COUNT_OPTIONS if name in graph_options}
    counts = count_cooccurrences(train, **pairs)
    graphs, centers = {}, {}
    for name, feature in features.items():
        graphs[name] = build_item_graph(feature, counts, **graph_options)
        # The graph's affinity is the cosine of the features as they are; projections read them
        # scaled.
        graphs[name].x = _read_features(feature, known, num_components)
        if num_centers:
            fit = InterestCenters(num_centers, random_state=seed).fit
            centers[name] = fit(feature.x, feature.mask, items=known)
    projected = options.get("vectors", True) and options.get("add_features", False)
    projected = projected or (with_relations and options.get("vote_interests", True))
    if num_components is not None and not projected:
        warnings.warn(
            "'num_components' has no effect with add_features=False and plain votes", stacklevel=2
        )
    relations = None
    if with_relations:
        relations = fit_relations(features, train, seed=seed, **relation_options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MDSRec(graphs, centers or None, relations, **options)


def _read_features(
    feature: ModalFeature, known: torch.Tensor, num_components: int | None
) -> torch.Tensor:
    """What the model reads of a modality: scaled features [N, F], or their components [N, C]."""
    scaled = standardize(feature, known)
    if num_components is None or num_components >= feature.num_features:
        return scaled.x
    reduced = FeatureReducer(num_components).fit(scaled, known).transform(scaled)
    # A mean square of one, as the scaled features have, so that the projection starts as large.
    return reduced.x / reduced.x[known & feature.mask].square().mean().sqrt()
