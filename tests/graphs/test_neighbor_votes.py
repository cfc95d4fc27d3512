"""Votes of new items by their nearest, against the formulas written out."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs import RidgeConfig, neighbor_votes, ridge_graph, ridge_precision
from mdsrec_pyg.graphs.neighbors import UnitRows

OLD, NEW, USERS, K = 40, 9, 80, 4


@pytest.fixture(autouse=True)
def few_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four items stand for a new one, so that they are some of the forty."""
    module = importlib.import_module("mdsrec_pyg.graphs.neighbor_votes")
    monkeypatch.setattr(module, "NEIGHBORS", K)


def interactions() -> Interactions:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 5, USERS)  # users take items of one group, and one of any
    item = group[:, None] * 7 + rng.integers(0, 7, (USERS, 4))
    item[:, 0] = rng.integers(0, OLD - 5, USERS)  # the last five old items are cold
    return Interactions.from_arrays(np.repeat(np.arange(USERS), 4), item.ravel(), num_items=OLD)


def feature() -> ModalFeature:
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(OLD + NEW) // 7
    centers = torch.randn(8, 6, generator=generator)
    x = centers[group] + 0.5 * torch.randn(OLD + NEW, 6, generator=generator) + 0.3
    return ModalFeature(x, torch.arange(OLD + NEW) % 11 != 8)


def graph(num_neighbors: int = 12) -> Data:
    options: dict[str, Any] = {"feature_weight": 4.0, "l2": 3.0, "denoising": 0.3}
    old = feature().take(np.arange(OLD))
    return ridge_graph(ridge_precision(interactions(), old, **options), num_neighbors)


def matrix(data: Data) -> np.ndarray:
    table = np.zeros((data.num_nodes, data.num_nodes))
    table[tuple(data.edge_index.numpy())] = data.edge_weight.double().numpy()
    return table


def mixture(x: ModalFeature, item: int, known: int) -> np.ndarray:
    c = np.zeros(known)
    if not x.mask[item]:
        return c
    rows = torch.nn.functional.normalize(x.x.double(), dim=1).numpy()
    cosine = rows[:known] @ rows[item]
    if item < known:
        cosine[item] = 0
    order = np.argsort(-cosine, kind="stable")
    for i in order[:K]:
        c[i] = cosine[i] - max(cosine[order[K]], 0)
    return c / c.sum()


def by_hand(data: Data, known: int = OLD) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T, R and beta."""
    x, first = feature(), data.num_nodes
    s = matrix(data)
    users = interactions().to_csr().toarray().astype(np.float64)
    a, like, wanted = [], [], []
    for j in range(known):
        if not users[:, j].any() or not x.mask[j]:
            continue
        c = mixture(x, j, known)
        own = s[:known, :known] @ c
        own[j] = 0
        a.append(users @ own)
        like.append(users @ c)
        wanted.append(users[:, j])
    columns = np.stack([np.concatenate(a), np.concatenate(like)], axis=1)
    beta, _ = nnls(columns, np.concatenate(wanted))
    c = np.stack([mixture(x, j, known) for j in range(first, OLD + NEW)], axis=1)
    c = np.concatenate([c, np.zeros((first - known, c.shape[1]))])
    to_new = beta[0] * s @ c + beta[1] * c
    none = np.zeros((c.shape[1], c.shape[1]))
    from_new = beta[0] * c.T @ np.hstack([s, to_new]) + beta[1] * np.hstack([c.T, none])
    return to_new, from_new, beta


def grow(data: Data, num_neighbors: int = 1000) -> Data:
    config = RidgeConfig(num_neighbors=num_neighbors)
    return neighbor_votes(data, UnitRows(feature()), interactions(), config)


def test_edges_are_those_of_the_formulas() -> None:
    to_new, from_new, beta = by_hand(graph())
    assert (beta > 0.01).all()
    found = matrix(grow(graph()))
    np.testing.assert_allclose(found[:OLD, OLD:], to_new, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[OLD:], from_new, rtol=1e-5, atol=1e-7)
    assert (found[OLD:, OLD:] > 0).any()  # new items vote for each other


def test_old_edges_stay() -> None:
    data, grown = graph(), grow(graph(), 2)
    old = (grown.edge_index < OLD).all(0)
    assert torch.equal(grown.edge_index[:, old], data.edge_index)
    assert torch.equal(grown.edge_weight[old], data.edge_weight)
    assert grown.is_coalesced()


def test_the_largest_new_edges_of_an_item_are_kept() -> None:
    whole, few = matrix(grow(graph())), matrix(grow(graph(), 2))
    for row in range(OLD + NEW):
        start = OLD if row < OLD else 0
        wanted = np.sort(whole[row, start:])[-2:]
        np.testing.assert_allclose(np.sort(few[row, start:])[-2:], wanted)
        assert (few[row, start:] > 0).sum() <= 2


def test_an_item_without_the_modality_has_no_edges() -> None:
    bare = [i for i in range(OLD, OLD + NEW) if not feature().mask[i]]
    assert bare
    found = matrix(grow(graph()))
    assert not found[bare].any()
    assert not found[:, bare].any()


def test_items_that_came_before_do_not_stand_for_others() -> None:
    """In a second step the items of the first vote, but nothing is a mixture of them."""
    part = UnitRows(feature().take(np.arange(OLD + 3)))
    first = neighbor_votes(graph(), part, interactions(), RidgeConfig(num_neighbors=1000))
    to_new, from_new, _ = by_hand(first)
    found = matrix(grow(first))
    np.testing.assert_allclose(found[: OLD + 3, OLD + 3 :], to_new, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[OLD + 3 :], from_new, rtol=1e-5, atol=1e-7)
    assert (found[OLD : OLD + 3, OLD + 3 :] > 0).any()


@pytest.mark.parametrize("alone", [0, 1])
def test_no_coefficient_is_negative(alone: int) -> None:
    module = importlib.import_module("mdsrec_pyg.graphs.neighbor_votes")
    gram = np.array([[2.0, 1.9], [1.9, 2.0]])
    right = np.array([1.0, 0.2]) if alone == 0 else np.array([0.2, 1.0])
    beta = module._not_negative(gram, right)
    wanted, _ = nnls(np.linalg.cholesky(gram).T, np.linalg.solve(np.linalg.cholesky(gram), right))
    np.testing.assert_allclose(beta, wanted)
    assert beta[1 - alone] == 0
    assert beta[alone] > 0


def test_without_interactions_the_votes_of_the_nearest_are_taken() -> None:
    none = Interactions.from_arrays([], [], num_users=1, num_items=OLD)
    data = neighbor_votes(graph(), UnitRows(feature()), none, RidgeConfig(num_neighbors=1000))
    c = np.stack([mixture(feature(), j, OLD) for j in range(OLD, OLD + NEW)], axis=1)
    wanted = matrix(graph()) @ c
    found: Tensor | np.ndarray = matrix(data)[:OLD, OLD:]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
