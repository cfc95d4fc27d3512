"""Small cases that the tests of the item graphs share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, ModalFeature

NUM_ITEMS = 16


def make_interactions(seed: int = 0, num_users: int = 12) -> Interactions:
    rng = np.random.default_rng(seed)
    length = rng.integers(3, 8, num_users)
    user = np.repeat(np.arange(num_users), length)
    # The last three items are cold.
    return Interactions.from_arrays(
        user, rng.integers(0, NUM_ITEMS - 3, len(user)), num_items=NUM_ITEMS
    )


def make_feature(seed: int = 0) -> ModalFeature:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(NUM_ITEMS, 6)) + 0.7
    x[[5, 9, 14]] = x[2]  # copies: their affinities tie
    mask = np.ones(NUM_ITEMS, bool)
    mask[[3, 7, 15]] = False
    return ModalFeature(torch.from_numpy(x), torch.from_numpy(mask))


def dense(graph: Data) -> Tensor:
    """A[i, j], i the target."""
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    source, target = graph.edge_index
    matrix[target, source] = graph.edge_weight.double()
    return matrix


def planted(num_items: int = 300, num_users: int = 600) -> tuple[Interactions, ModalFeature]:
    """Groups of ten items that are bought together and look alike, on a common background."""
    rng = np.random.default_rng(0)
    group = np.arange(num_items) // 10
    center = rng.normal(size=(num_items // 10, 16))
    x = 1.5 + center[group] + 0.7 * rng.normal(size=(num_items, 16))
    user_group = rng.integers(0, num_items // 10, num_users)
    item = user_group[:, None] * 10 + rng.integers(0, 10, (num_users, 6))
    item[:, 0] = rng.integers(0, num_items, num_users)
    user = np.repeat(np.arange(num_users), 6)
    interactions = Interactions.from_arrays(user, item.ravel(), num_items=num_items)
    return interactions, ModalFeature(torch.from_numpy(x))
