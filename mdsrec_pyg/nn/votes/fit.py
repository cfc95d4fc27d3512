"""Learned relation graphs of all modalities, with what training over them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.configs import check_at_least, check_device, configure
from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.graphs.learned import exact_fits
from mdsrec_pyg.graphs.local_ridge import local_ridge_graph
from mdsrec_pyg.graphs.neighbors import BEHAVIOR, UnitRows, as_unit
from mdsrec_pyg.graphs.ridge import ridge_graph, ridge_memory, ridge_precision
from mdsrec_pyg.nn.votes.cross_fitted import CrossFittedVotes
from mdsrec_pyg.nn.votes.leave_one_user_out import LeaveOneUserOut
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes
from mdsrec_pyg.showing import counted

__all__ = ["Relations", "RelationsConfig", "fit_relations"]


@dataclass
class Relations:
    """The learned graphs and the rule that counts votes in training.

    Args:
        graphs: One learned item graph a modality, edges from voter to candidate.
        training_votes: Counts the votes of a training user over graphs that have not seen them:
            :class:`LeaveOneUserOut` (exact) or :class:`CrossFittedVotes`. ``None``: for inference
            only, as in a model that was saved.
        solver: ``'exact'`` or ``'local'``.
    """

    graphs: dict[str, Data]
    training_votes: TrainingVotes | None
    solver: str


@dataclass(frozen=True, kw_only=True)
class RelationsConfig(RidgeConfig):
    """Options of the learned relations of all modalities.

    Args:
        num_folds: Folds of users, local form only: it is fitted once for inference and once without
            each fold, so on a large catalog two folds take half the time of five.
        num_neighbors, feature_weight, l2, denoising, memory_limit, num_candidates, \
max_sequence_length, block_size, search, num_probes, device: See \
:class:`~mdsrec_pyg.graphs.RidgeConfig`.

    Raises:
        ValueError: An option out of range.
    """

    # What won on validation where votes learn over graphs without the user (benchmarks/README.md).
    num_neighbors: int = 50
    l2: float = 70.0
    denoising: float = 0.33
    num_folds: int = 5

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 2, "num_folds")


def fit_relations(
    features: Mapping[str, ModalFeature | UnitRows],
    interactions: Interactions,
    config: RelationsConfig | None = None,
    *,
    seed: int = 0,
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
        seed: Seed of the folds, local form only.
        **options: Some of the options by name, such as ``l2=300.0``.

    Raises:
        ValueError: An option out of range, or features of another number of items.
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
    if exact_fits(needed, chosen.memory_limit, what, instead):
        return _fit_exact(units, interactions, chosen)
    return _fit_local(units, interactions, chosen, seed)


def _fit_exact(
    units: Mapping[str, UnitRows], interactions: Interactions, config: RelationsConfig
) -> Relations:
    options: dict[str, Any] = {
        **{name: getattr(config, name) for name in ("feature_weight", "l2", "denoising")},
        **{"device": config.device, "block_size": config.block_size},
    }
    precisions = {
        name: ridge_precision(interactions, unit, **options) for name, unit in units.items()
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
    return Relations({name: graph.cpu() for name, graph in graphs.items()}, votes.cpu(), "exact")


def _fit_local(
    units: Mapping[str, UnitRows], interactions: Interactions, config: RelationsConfig, seed: int
) -> Relations:
    def fit(part: Interactions) -> dict[str, Data]:
        return {name: local_ridge_graph(part, unit, config=config) for name, unit in units.items()}

    fold = user_folds(interactions.num_users, config.num_folds, seed)
    row_fold = fold.numpy()[interactions.user_id]
    folds = [
        list(fit(interactions.select(row_fold != f)).values()) for f in range(config.num_folds)
    ]
    return Relations(fit(interactions), CrossFittedVotes(folds, fold, interactions), "local")


def user_folds(num_users: int, num_folds: int, seed: int) -> Tensor:
    """Deals the users into folds of nearly equal size: Long tensor [U]."""
    if num_folds < 2:
        raise ValueError(f"'num_folds' must be at least 2 (got {num_folds})")
    order = np.random.default_rng(seed).permutation(num_users)
    return torch.from_numpy(order % num_folds).long()
