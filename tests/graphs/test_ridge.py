from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs import (
    build_item_graph,
    local_ridge_graph,
    ridge_graph,
    ridge_memory,
    ridge_precision,
)
from mdsrec_pyg.graphs.neighbors import as_unit
from mdsrec_pyg.graphs.ridge import _precision_on, ridge_diagonal

NUM_ITEMS = 20


def make_interactions(seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    # Repetitions included.
    return Interactions.from_arrays(
        np.repeat(np.arange(25), 6), rng.integers(0, NUM_ITEMS - 2, 150), num_items=NUM_ITEMS
    )


def make_feature(seed: int = 0) -> ModalFeature:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(NUM_ITEMS, 5, generator=generator) + 0.5
    return ModalFeature(x, torch.arange(NUM_ITEMS) % 6 != 3)


def slow_precision(
    interactions: Interactions,
    features: list[ModalFeature],
    weight: float | list[float],
    l2: float,
    denoising: float = 0.0,
) -> np.ndarray:
    weights = weight if isinstance(weight, list) else [weight] * len(features)
    n = interactions.num_items
    users: list[set[int]] = [set() for _ in range(interactions.num_users)]
    for user, item in zip(interactions.user_id, interactions.item_id, strict=True):
        users[user].add(int(item))
    a = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            a[i, j] = sum(i in user and j in user for user in users) + l2 * (i == j)
            if i == j:
                a[i, i] += denoising / (1 - denoising) * sum(i in user for user in users)
            for feature, own in zip(features, weights, strict=True):
                if feature.mask[i] and feature.mask[j]:
                    x, y = feature.x[i].double(), feature.x[j].double()
                    a[i, j] += own * float(x @ y / (x.norm() * y.norm()))
    return np.linalg.inv(a)


def slow_weights(precision: np.ndarray, num_neighbors: int) -> Tensor:
    n = len(precision)
    s = np.zeros((n, n))
    for i in range(n):
        row = {j: -precision[i, j] / precision[j, j] for j in range(n) if j != i}
        chosen = sorted((j for j in row if row[j] > 0), key=lambda j: (-row[j], j))
        for j in chosen[:num_neighbors]:
            s[i, j] = row[j]
    return torch.from_numpy(s)


def dense(graph: Data) -> Tensor:
    """S[i, j], i the source: the item of the history that votes."""
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    matrix[graph.edge_index[0], graph.edge_index[1]] = graph.edge_weight.double()
    return matrix


@pytest.mark.parametrize(
    ("weight", "l2", "denoising"),
    [(30.0, 300.0, 0.0), (5.0, 2.0, 0.0), (0.0, 10.0, 0.0), (5.0, 2.0, 0.25), (0.0, 10.0, 0.8)],
)
def test_precision_matches_slow_inverse(weight: float, l2: float, denoising: float) -> None:
    interactions, feature = make_interactions(), make_feature()
    options: dict[str, Any] = {"feature_weight": weight, "l2": l2, "denoising": denoising}
    precision = ridge_precision(interactions, feature.x, feature.mask, **options)
    assert precision.dtype == torch.float32
    assert torch.equal(precision, precision.T)
    expected = slow_precision(interactions, [feature], weight, l2, denoising)
    torch.testing.assert_close(precision.double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-7)


def test_kernels_add_up_and_none_is_ease() -> None:
    interactions = make_interactions()
    features = [make_feature(0), make_feature(1)]
    both = ridge_precision(interactions, features).double()
    expected = torch.from_numpy(slow_precision(interactions, features, 20.0, 100.0))
    torch.testing.assert_close(both, expected, rtol=1e-5, atol=1e-7)
    split = ridge_precision(interactions, [f.x for f in features], [f.mask for f in features])
    assert torch.equal(split.double(), both)
    ease = ridge_precision(interactions).double()
    expected = torch.from_numpy(slow_precision(interactions, [], 20.0, 100.0))
    torch.testing.assert_close(ease, expected, rtol=1e-5, atol=1e-7)


def test_each_modality_has_its_weight_and_none_of_weight_zero_is_looked_at() -> None:
    interactions, features = make_interactions(), [make_feature(0), make_feature(1)]
    found = ridge_precision(interactions, features, None, [3.0, 0.5], 5.0).double()
    expected = torch.from_numpy(slow_precision(interactions, features, [3.0, 0.5], 5.0))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    same = ridge_precision(interactions, features, None, (3.0, 3.0), 5.0)
    assert torch.equal(same, ridge_precision(interactions, features, None, 3.0, 5.0))
    first = ridge_precision(interactions, features, None, [3.0, 0.0], 5.0)
    assert torch.equal(first, ridge_precision(interactions, features[:1], None, 3.0, 5.0))
    neither = ridge_precision(interactions, features, None, [0.0, 0.0], 5.0)
    assert torch.equal(neither, ridge_precision(interactions, l2=5.0))


def test_the_ridge_of_an_item_grows_with_its_users() -> None:
    """By hand: items of 3 and 1 users, one of them common; p = .5 doubles what is counted."""
    pairs = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 1]])
    interactions = Interactions.from_arrays(pairs[:, 0], pairs[:, 1], num_items=2)
    precision = ridge_precision(interactions, l2=1.0, denoising=0.5)
    expected = np.linalg.inv(np.array([[3 + 1 + 3, 1], [1, 1 + 1 + 1]]))
    torch.testing.assert_close(precision.double(), torch.from_numpy(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize("num_neighbors", [1, 4, 50])
def test_graph_matches_slow_weights(num_neighbors: int) -> None:
    interactions, feature = make_interactions(), make_feature()
    graph = build_item_graph(
        feature, interactions, weighting="ridge", num_neighbors=num_neighbors, l2=5.0
    )
    expected = slow_weights(slow_precision(interactions, [feature], 20.0, 5.0), num_neighbors)
    torch.testing.assert_close(dense(graph), expected, rtol=1e-4, atol=1e-6)
    assert graph.solver == "exact"
    assert torch.equal(graph.x, feature.x)
    assert graph.is_coalesced()
    assert graph.edge_index.dtype == torch.int64
    assert graph.edge_weight.dtype == torch.float32


def test_graph_by_hand() -> None:
    precision = torch.tensor([[2.0, -1.0, -1.0], [-1.0, 4.0, 0.5], [-1.0, 0.5, 4.0]])
    graph = ridge_graph(precision, 1)
    # Row 0: S[0, 1] = S[0, 2] = 1/4, the lower id wins; rows 1 and 2: 1/2 to item 0.
    assert graph.edge_index.tolist() == [[0, 1, 2], [1, 0, 0]]
    assert graph.edge_weight.tolist() == [0.25, 0.5, 0.5]
    assert ridge_graph(precision, None).num_edges == 4


@pytest.mark.parametrize("block_size", [1, 7, 100])
def test_block_size_changes_nothing(block_size: int) -> None:
    interactions, feature = make_interactions(), make_feature()
    precision = ridge_precision(interactions, feature)
    blocks = ridge_precision(interactions, feature, block_size=block_size)
    torch.testing.assert_close(blocks, precision, rtol=1e-6, atol=1e-9)
    expected = ridge_graph(precision, 4)
    graph = ridge_graph(precision, 4, block_size=block_size)
    assert torch.equal(dense(graph), dense(expected))
    options: dict[str, Any] = {"num_neighbors": 4, "num_candidates": 8}
    local = dense(local_ridge_graph(interactions, feature, **options))
    blocks = dense(local_ridge_graph(interactions, feature, **options, block_size=block_size))
    torch.testing.assert_close(blocks, local, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("num_candidates", [NUM_ITEMS - 1, 200])
@pytest.mark.parametrize(("weight", "l2"), [(30.0, 300.0), (5.0, 2.0), (0.0, 10.0)])
@pytest.mark.parametrize("denoising", [0.0, 0.4])
def test_local_with_all_candidates_is_exact(
    num_candidates: int, weight: float, l2: float, denoising: float
) -> None:
    interactions, feature = make_interactions(), make_feature()
    options: dict[str, Any] = {"feature_weight": weight, "l2": l2, "denoising": denoising}
    local = local_ridge_graph(
        interactions, feature, num_neighbors=5, num_candidates=num_candidates, **options
    )
    exact = ridge_graph(ridge_precision(interactions, feature, **options), 5)
    torch.testing.assert_close(dense(local), dense(exact), rtol=1e-4, atol=1e-6)


def test_memory_limit_decides() -> None:
    interactions, feature = make_interactions(), make_feature()
    enough = ridge_memory(NUM_ITEMS)
    assert enough == 12 * NUM_ITEMS**2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = build_item_graph(feature, interactions, weighting="ridge", memory_limit=enough)
    assert graph.solver == "exact"
    with pytest.warns(UserWarning, match="needs 4,800 bytes.*local"):
        graph = build_item_graph(
            feature, interactions, weighting="ridge", memory_limit=enough - 1, num_candidates=6
        )
    assert graph.solver == "local"
    expected = local_ridge_graph(interactions, feature, num_candidates=6)
    assert torch.equal(dense(graph), dense(expected))


@pytest.mark.parametrize(
    "option",
    [
        {"num_neighbors": 3},
        {"feature_weight": 3.0},
        {"l2": 10.0},
        {"denoising": 0.5},
        {"num_candidates": 5},
        {"max_sequence_length": 3},
    ],
)
@pytest.mark.filterwarnings("ignore:the ridge over")
def test_every_option_changes_the_graph(option: dict[str, Any]) -> None:
    interactions, feature = make_interactions(), make_feature()
    local_only = {"num_candidates", "max_sequence_length"} & set(option)
    for limit in [0] if local_only else [0, 2**30]:
        options: dict[str, Any] = {"weighting": "ridge", "memory_limit": limit}
        default = dense(build_item_graph(feature, interactions, **options))
        changed = dense(build_item_graph(feature, interactions, **options, **option))
        assert not torch.equal(default, changed)


def test_missing_items_are_reached_by_behavior_only() -> None:
    interactions, feature = make_interactions(), make_feature()
    shuffled = feature.x.clone()
    shuffled[~feature.mask] = 7.0
    precision = ridge_precision(interactions, shuffled, feature.mask)
    assert torch.equal(precision, ridge_precision(interactions, feature))
    # Without behavior and features (the last two items are cold, item 19 of them has none).
    none = ModalFeature(feature.x, feature.mask & (torch.arange(NUM_ITEMS) != 19))
    assert ridge_precision(interactions, none)[19, :19].abs().max() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2": 0.0}, "'l2' must be positive"),
        ({"denoising": -0.1}, r"'denoising' must lie in \[0, 1\) \(got -0.1\)"),
        ({"denoising": 1.0}, r"'denoising' must lie in \[0, 1\) \(got 1.0\)"),
        ({"feature_weight": -1.0}, "'feature_weight' must not be negative"),
        ({"num_neighbors": 0}, "'num_neighbors' must be at least 1"),
        ({"num_candidates": 0}, "'num_candidates' must be at least 1"),
        ({"max_sequence_length": 0}, "'max_sequence_length' must be at least 1"),
    ],
)
@pytest.mark.parametrize("memory_limit", [0, 2**30])
@pytest.mark.filterwarnings("ignore:the ridge over")
def test_errors(options: dict[str, Any], message: str, memory_limit: int) -> None:
    with pytest.raises(ValueError, match=message):
        build_item_graph(
            make_feature(),
            make_interactions(),
            weighting="ridge",
            memory_limit=memory_limit,
            **options,
        )


def test_errors_of_the_inputs() -> None:
    interactions, feature = make_interactions(), make_feature()
    few = feature.take(torch.arange(5))
    with pytest.raises(ValueError, match="one row an item"):
        ridge_precision(interactions, few)
    with pytest.raises(ValueError, match="one row an item"):
        local_ridge_graph(interactions, few)
    with pytest.raises(ValueError, match="one mask a modality"):
        ridge_precision(interactions, [feature.x], [feature.mask, feature.mask])
    with pytest.raises(ValueError, match=r"one number, or one a modality \(1\), got 2"):
        ridge_precision(interactions, feature, None, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"'feature_weight' must be .*not negative \(got -2.0\)"):
        ridge_precision(interactions, [feature, feature], None, [1.0, -2.0])
    with pytest.raises(ValueError, match=r"'denoising' must lie in \[0, 1\) \(got 1.0\)"):
        ridge_precision(interactions, denoising=1.0)
    with pytest.raises(ValueError, match="'mask' must be left out"):
        ridge_precision(interactions, None, feature.mask)
    with pytest.raises(ValueError, match=r"shape \[N, N\]"):
        ridge_graph(torch.ones(2, 3))


def test_another_device_computes_the_same() -> None:
    """By the way that a GPU takes, here on the CPU."""
    interactions, feature = make_interactions(), make_feature()
    for given in ([(feature, None)], [], [(feature.x, feature.mask), (feature.x**2, None)]):
        modalities = [as_unit(x, mask).feature for x, mask in given]
        weights, ridge = [2.0, 0.7][: len(given)], ridge_diagonal(interactions, 3.0, 0.4)
        want = ridge_precision(interactions, modalities or None, None, weights, 3.0, denoising=0.4)
        found = _precision_on(torch.device("cpu"), interactions, given, weights, ridge)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-7)
    few = [(feature.take(torch.arange(5)), None)]
    with pytest.raises(ValueError, match="one row an item"):
        _precision_on(torch.device("cpu"), interactions, few, [2.0], ridge)
