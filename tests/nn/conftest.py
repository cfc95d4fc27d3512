"""A small world of users, items and two modalities, shared by the tests of layers and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, ModalFeature, SequenceBatch, SequenceLoader
from mdsrec_pyg.graphs import InterestCenters, build_item_graph
from mdsrec_pyg.nn import Relations, fit_relations
from tests.nn.vote_cases import pruned

NUM_ITEMS, NUM_USERS, MAX_LENGTH = 24, 20, 9
RIDGE: dict[str, Any] = {"feature_weight": 2.0, "l2": 3.0}


@dataclass
class World:
    """Training data and what models are built from."""

    train: Interactions
    features: dict[str, ModalFeature]
    graphs: dict[str, Data]
    centers: dict[str, InterestCenters]
    relations: Relations
    batch: SequenceBatch


@pytest.fixture(autouse=True)
def seed() -> None:
    """Every test draws the same numbers, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def world() -> World:
    """20 users with 3 to 8 of 24 items, items taken again included; some features are missing."""
    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    length = rng.integers(3, 9, NUM_USERS)
    item = rng.integers(0, NUM_ITEMS - 1, length.sum())  # the last item is cold
    item[1::4] = item[:-1:4][: len(item[1::4])]  # bought again at once, by most users
    train = Interactions.from_arrays(
        np.repeat(np.arange(NUM_USERS), length), item, num_items=NUM_ITEMS
    )
    features = {
        "image": ModalFeature(
            torch.randn(NUM_ITEMS, 5, generator=generator), torch.arange(NUM_ITEMS) % 7 != 3
        ),
        "text": ModalFeature(torch.randn(NUM_ITEMS, 6, generator=generator)),
    }
    graphs = {
        name: build_item_graph(feature, train, num_neighbors=4)
        for name, feature in features.items()
    }
    centers = {
        name: InterestCenters(3, n_init=1).fit(feature.x, feature.mask)
        for name, feature in features.items()
    }
    relations = fit_relations(features, train, num_neighbors=5, denoising=0.0, **RIDGE)
    loader = SequenceLoader(train, MAX_LENGTH, batch_size=64, shuffle=False)
    return World(train, features, graphs, centers, relations, next(iter(loader)))


@pytest.fixture(scope="session")
def dense_edges() -> Callable[[Data], Tensor]:
    """Makes the matrix [source, target] of a graph's weights, edge by edge."""

    def dense(graph: Data) -> Tensor:
        matrix = torch.zeros(graph.num_nodes, graph.num_nodes)
        for source, target, weight in zip(*graph.edge_index, graph.edge_weight, strict=True):
            matrix[source, target] += weight
        return matrix

    return dense


@pytest.fixture(scope="session")
def dense_without_user(world: World) -> Callable[..., Tensor]:
    """Refits and prunes S [M, N, N] without a user, densely, in float64."""

    @cache
    def refit(user: int, denoising: float = 0.0, num_neighbors: int = 5) -> Tensor:
        rest = world.train.select(world.train.user_id != user)
        x = np.zeros((NUM_USERS, NUM_ITEMS))
        x[rest.user_id, rest.item_id] = 1
        ridge = RIDGE["l2"] + x.sum(0) * denoising / (1 - denoising)
        tables = []
        for feature in world.features.values():
            unit = nn.functional.normalize(feature.x.double(), dim=1) * feature.mask[:, None]
            kernel = RIDGE["feature_weight"] * (unit @ unit.t()).numpy()
            p = np.linalg.inv(x.T @ x + kernel + np.diag(ridge))
            s = -p / p.diagonal()
            tables.append(pruned(s - np.diag(s.diagonal()), num_neighbors))
        return torch.stack(tables)

    return refit


@pytest.fixture
def perturb() -> Callable[..., None]:
    """Moves every parameter away from its start, where much is zero; the same way each time."""

    def move(module: nn.Module, scale: float = 0.3, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(scale * noise)

    return move
