"""Learned relation graphs of all modalities, with what training over them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.data.cells import Search
from mdsrec_pyg.data.learned_graph import exact_fits
from mdsrec_pyg.data.local_ridge import local_ridge_graph
from mdsrec_pyg.data.ridge import ridge_graph, ridge_memory, ridge_precision
from mdsrec_pyg.nn.votes import CrossFittedVotes, LeaveOneUserOut, TrainingVotes

__all__ = ["Relations", "fit_relations"]


@dataclass
class Relations:
    """The learned graphs and the rule that counts votes in training.

    Args:
        graphs: One learned item graph a modality, edges from voter to candidate.
        training_votes: Counts the votes of a training user over graphs that have not seen them:
            :class:`LeaveOneUserOut` (exact) or :class:`CrossFittedVotes`.
        solver: ``'exact'`` or ``'local'``.
    """

    graphs: dict[str, Data]
    training_votes: TrainingVotes
    solver: str


def fit_relations(
    features: Mapping[str, ModalFeature],
    interactions: Interactions,
    *,
    num_neighbors: int = 50,
    feature_weight: float = 30.0,
    l2: float = 300.0,
    memory_limit: int = 4 * 2**30,
    num_candidates: int = 200,
    num_folds: int = 5,
    seed: int = 0,
    search: Search | None = None,
    num_probes: int = 16,
    device: torch.device | str = "cpu",
) -> Relations:
    """Fits a ridge graph a modality and prepares training without leak.

    Exact where memory allows (4 N^2 bytes a modality are kept, and 12 N^2 are needed on the
    way): the user is taken out of the inverse in closed form. Beyond that the local ridge, fitted
    once for inference and once without each fold of users for training: ``num_folds + 1`` times a
    modality, so on a large catalog two folds take half the time of five.

    Args:
        features: Features of each modality, as they are (the kernel is their cosine).
        interactions: The training part.
        num_neighbors: Largest entries kept of each row.
        feature_weight: Weight of the affinity.
        l2: Ridge.
        memory_limit: Bytes that the exact form may take.
        num_candidates: Candidates a target, local form only.
        num_folds: Folds of users, local form only.
        seed: Seed of the folds, local form only.
        search: How candidates are found, local form only: ``'exact'``, ``'cells'``, or ``None``: by
            the number of items, see :func:`~mdsrec_pyg.data.local_ridge_graph`.
        num_probes: Nearest cells searched by ``'cells'``, local form only.
        device: Where the local form computes.

    Raises:
        ValueError: No modality, an option out of range, or features of another number of items.
    """
    if not features:
        raise ValueError("'features' must hold at least one modality (got none)")
    needed = ridge_memory(interactions.num_items)
    needed += 4 * interactions.num_items**2 * len(features)
    what = f"the exact ridge over {interactions.num_items:,} items, {len(features)} modalities"
    instead = (
        f"each target over its {num_candidates} best candidates, trained over {num_folds} folds of "
        "users"
    )
    if exact_fits(needed, memory_limit, what, instead):
        precisions = {
            name: ridge_precision(interactions, feature.x, feature.mask, feature_weight, l2)
            for name, feature in features.items()
        }
        graphs = {name: ridge_graph(p, num_neighbors) for name, p in precisions.items()}
        votes = LeaveOneUserOut(list(precisions.values()), list(graphs.values()), interactions)
        return Relations(graphs, votes, "exact")

    def fit(part: Interactions) -> dict[str, Data]:
        return {
            name: local_ridge_graph(
                part,
                feature,
                num_neighbors=num_neighbors,
                feature_weight=feature_weight,
                l2=l2,
                num_candidates=num_candidates,
                search=search,
                num_probes=num_probes,
                device=device,
            )
            for name, feature in features.items()
        }

    fold = user_folds(interactions.num_users, num_folds, seed)
    row_fold = fold.numpy()[interactions.user_id]
    folds = [list(fit(interactions.select(row_fold != f)).values()) for f in range(num_folds)]
    return Relations(fit(interactions), CrossFittedVotes(folds, fold), "local")


def user_folds(num_users: int, num_folds: int, seed: int) -> Tensor:
    """Deals the users into folds of nearly equal size: Long tensor [U]."""
    if num_folds < 2:
        raise ValueError(f"'num_folds' must be at least 2 (got {num_folds})")
    order = np.random.default_rng(seed).permutation(num_users)
    return torch.from_numpy(order % num_folds).long()
