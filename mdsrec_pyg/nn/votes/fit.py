"""Learned relation graphs of all modalities, with what training over them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.configs import check_device, configure
from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.data.sequences import MAX_LENGTH
from mdsrec_pyg.graphs.learned import exact_fits
from mdsrec_pyg.graphs.local_ridge import local_ridge_graph
from mdsrec_pyg.graphs.neighbors import BEHAVIOR, UnitRows, as_unit
from mdsrec_pyg.graphs.ridge import ridge_graph, ridge_memory, ridge_precision
from mdsrec_pyg.nn.votes.config import RelationsConfig
from mdsrec_pyg.nn.votes.cross_fitted import CrossFittedVotes
from mdsrec_pyg.nn.votes.leave_one_user_out import LeaveOneUserOut
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes
from mdsrec_pyg.nn.votes.weights import RidgeWeights, choose_weights
from mdsrec_pyg.showing import counted

__all__ = ["Relations", "fit_relations"]


@dataclass
class Relations:
    """The learned graphs and the rule that counts votes in training.

    Args:
        graphs: One learned item graph a modality, edges from voter to candidate.
        training_votes: Counts the votes of a training user over graphs that have not seen them:
            :class:`LeaveOneUserOut` (exact) or :class:`CrossFittedVotes`. ``None``: for inference
            only, as in a model that was saved.
        solver: ``'exact'`` or ``'local'``.
        weights: Ridge and feature weight of each modality, and how they were chosen. (default:
            ``None``, not known)
    """

    graphs: dict[str, Data]
    training_votes: TrainingVotes | None
    solver: str
    weights: RidgeWeights | None = None


def fit_relations(
    features: Mapping[str, ModalFeature | UnitRows],
    interactions: Interactions,
    config: RelationsConfig | None = None,
    *,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
    **options: Any,
) -> Relations:
    """Fits a ridge graph a modality and prepares training without leak.

    Exact where memory allows: the user is taken out of the inverse in closed form. That takes 4 N^2
    bytes a modality and 12 N^2 once while it is prepared, and 8 H bytes an interaction and modality
    stay for training. Beyond it the local ridge, fitted once for inference and once without each
    fold of users for training.

    Args:
        features: Features of each modality, as they are (the kernel is their cosine). Without any,
            there is one graph, ``"behavior"``, of the plain ridge, without a kernel.
        interactions: The training part.
        config: The options.
        seed: Seed of the folds (local form only), and of the sample that ``'auto'`` looks at.
        max_length: Newest items of a history that the model reads; ``'auto'`` asks as many.
        **options: Some of the options by name, such as ``l2=300.0``.

    Raises:
        ValueError: An option out of range, numbers for other modalities, or features of another
            number of items.
    """
    chosen = configure(RelationsConfig(), config, **options)
    check_device(chosen.device)
    units = {name: as_unit(feature) for name, feature in features.items()}
    units = units or {BEHAVIOR: as_unit(None, None, interactions.num_items)}
    edges = 8 * len(interactions) * min(chosen.num_neighbors, interactions.num_items)
    needed = ridge_memory(interactions.num_items)
    needed += (4 * interactions.num_items**2 + edges) * len(units)
    modalities = counted(len(units), "modality")
    what = f"the exact ridge over {counted(interactions.num_items, 'item')}, {modalities}"
    instead = (
        f"each target over its {chosen.num_candidates} best candidates, trained over "
        f"{chosen.num_folds} folds of users"
    )
    exact = exact_fits(needed, chosen.memory_limit, what, instead)
    weights = choose_weights(units, interactions, chosen, seed=seed, max_length=max_length)
    if exact:
        return _fit_exact(units, interactions, chosen, weights)
    return _fit_local(units, interactions, chosen, weights, seed)


def _fit_exact(
    units: Mapping[str, UnitRows],
    interactions: Interactions,
    config: RelationsConfig,
    weights: RidgeWeights,
) -> Relations:
    precisions = {
        name: ridge_precision(
            interactions,
            unit,
            feature_weight=weights.feature_weight[name],
            l2=weights.l2[name],
            denoising=config.denoising,
            block_size=config.block_size,
            device=config.device,
        )
        for name, unit in units.items()
    }
    graphs = {
        name: ridge_graph(precision, config.num_neighbors, block_size=config.block_size)
        for name, precision in precisions.items()
    }
    votes = LeaveOneUserOut(
        list(precisions.values()),
        interactions,
        num_neighbors=config.num_neighbors,
        denoising=config.denoising,
    )
    graphs = {name: graph.cpu() for name, graph in graphs.items()}
    return Relations(graphs, votes.cpu(), "exact", weights)


def _fit_local(
    units: Mapping[str, UnitRows],
    interactions: Interactions,
    config: RelationsConfig,
    weights: RidgeWeights,
    seed: int,
) -> Relations:
    ridges = {name: config.ridge(weights.l2[name], weights.feature_weight[name]) for name in units}

    def fit(part: Interactions) -> dict[str, Data]:
        return {
            name: local_ridge_graph(part, unit, config=ridges[name]) for name, unit in units.items()
        }

    fold = user_folds(interactions.num_users, config.num_folds, seed)
    row_fold = fold.numpy()[interactions.user_id]
    folds = [
        list(fit(interactions.select(row_fold != f)).values()) for f in range(config.num_folds)
    ]
    votes = CrossFittedVotes(folds, fold, interactions)
    return Relations(fit(interactions), votes, "local", weights)


def user_folds(num_users: int, num_folds: int, seed: int) -> Tensor:
    """Deals the users into folds of nearly equal size: Long tensor [U]."""
    if num_folds < 2:
        raise ValueError(f"'num_folds' must be at least 2 (got {num_folds})")
    order = np.random.default_rng(seed).permutation(num_users)
    return torch.from_numpy(order % num_folds).long()
