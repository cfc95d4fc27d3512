from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs import build_item_graph, count_cooccurrences

from .graph_cases import NUM_ITEMS, dense, make_feature, make_interactions


def slow_product(
    feature: ModalFeature,
    interactions: Interactions,
    num_neighbors: int = 10,
    behavior: str = "log",
    fill: str | None = "semantic",
    fill_weight: float = 0.5,
    symmetric: bool = False,
    self_loops: float | str = 0.0,
    window: int | None = None,
    normalization: str | None = "sym",
) -> np.ndarray:
    """The definition, pair by pair."""
    n, x, present = len(feature), feature.x.double().numpy(), feature.mask.numpy()
    functions: dict[str, Callable[[float], float]] = {
        "binary": lambda c: float(c > 0),
        "count": float,
        "log": np.log1p,
    }
    b = functions[behavior]
    count = count_cooccurrences(interactions, window).toarray()

    def cosine(i: int, j: int) -> float:
        value = x[i] @ x[j] / np.sqrt((x[i] @ x[i]) * (x[j] @ x[j]))
        return round(max(float(value), 0.0), 6)

    known = [
        cosine(i, j)
        for i in range(n)
        for j in range(i)
        if count[i, j] and present[i] and present[j]
    ]
    a = np.zeros((n, n))
    for i in range(n):
        row: dict[int, float] = {}
        for j in range(n):
            if count[i, j]:
                affinity = cosine(i, j) if present[i] and present[j] else np.mean(known)
                row[j] = float(b(count[i, j]) * affinity)
        row = {j: w for j, w in row.items() if w > 0}
        chosen = sorted(row, key=lambda j: (-round(row[j], 5), j))[:num_neighbors]
        for j in chosen:
            a[i, j] = row[j]
        if fill is None or not present[i] or len(chosen) == num_neighbors:
            continue
        rest = [j for j in range(n) if j != i and j not in chosen and present[j]]
        rest = [j for j in rest if cosine(i, j) > 0]
        rest = sorted(rest, key=lambda j: (-cosine(i, j), j))[: num_neighbors - len(chosen)]
        for j in rest:
            if chosen:
                top = max(cosine(i, k) for k in rest)
                a[i, j] = fill_weight * min(row[k] for k in chosen) * cosine(i, j) / top
            else:
                a[i, j] = b(1) * cosine(i, j)
    if symmetric:
        a = np.maximum(a, a.T)
    if self_loops == "count":
        for i in range(n):
            a[i, i] = b(len(np.unique(interactions.user_id[interactions.item_id == i])))
    row_sum, column_sum = a.sum(1), a.sum(0)
    out = np.zeros((n, n))
    for i, j in zip(*a.nonzero(), strict=True):
        scale = {
            None: 1.0,
            "row": row_sum[i],
            "sym": np.sqrt(row_sum[i] * column_sum[j]),
            "in": np.sqrt(row_sum[i] * row_sum[j]) if row_sum[j] > 0 else np.inf,
        }[normalization]
        out[i, j] = a[i, j] / scale
    if self_loops != "count":
        out += float(self_loops) * np.eye(n)
    return out


OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_neighbors": 1},
    {"num_neighbors": 4},
    {"behavior": "binary", "num_neighbors": 4},
    {"behavior": "count", "num_neighbors": 4},
    {"fill": None},
    {"fill_weight": 0.9},
    {"symmetric": True, "num_neighbors": 3},
    {"window": 1},
    {"normalization": None},
    {"normalization": "row"},
    {"normalization": "in", "num_neighbors": 3},
    {"symmetric": True, "normalization": "in", "fill": None},
    {"self_loops": 0.5, "num_neighbors": 3},
    {"self_loops": 1, "normalization": None, "symmetric": True},
    {"self_loops": "count", "num_neighbors": 3},
    {"self_loops": "count", "behavior": "count", "normalization": "row", "symmetric": True},
    {"self_loops": "count", "behavior": "binary", "normalization": "in", "window": 1},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_matches_slow_product(options: dict[str, Any], seed: int) -> None:
    feature, interactions = make_feature(seed), make_interactions(seed)
    graph = build_item_graph(feature, interactions, **options)
    expected = torch.from_numpy(slow_product(feature, interactions, **options))
    torch.testing.assert_close(dense(graph), expected, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"num_neighbors": 4},
        {"behavior": "binary"},
        {"behavior": "count"},
        {"fill": None},
        {"fill_weight": 0.9},
        {"symmetric": True},
        {"window": 1},
        {"max_sequence_length": 1},
        {"normalization": None},
        {"normalization": "row"},
        {"normalization": "in"},
        {"self_loops": 0.1},
        {"self_loops": "count"},
        {"weighting": "ridge"},
    ],
)
def test_every_option_changes_the_graph(options: dict[str, Any]) -> None:
    feature, interactions = make_feature(), make_interactions()
    default = dense(build_item_graph(feature, interactions))
    assert not torch.equal(default, dense(build_item_graph(feature, interactions, **options)))


def test_by_hand() -> None:
    # Items 0 and 1 together twice, at 60 degrees; 0 and 2 once, at 45; 3 is cold, like item 0.
    x = np.array([[1, 0], [0.5, np.sqrt(0.75)], [1, 1], [2, 0]])
    interactions = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 0, 2], num_items=4)
    graph = build_item_graph(x, interactions, behavior="count", num_neighbors=2, normalization=None)
    weight = dense(graph)
    assert weight[0, 1] == pytest.approx(2 * 0.5)
    assert weight[0, 2] == weight[2, 0] == pytest.approx(np.sqrt(0.5))
    assert weight[0, 3] == 0  # two neighbors already
    # The nearest of the rest, at half of the only behavior edge.
    assert weight[1, 2] == pytest.approx(0.5 * 1.0)
    # Cold: as if seen once with its nearest items.
    assert weight[3].tolist() == pytest.approx([1.0, 0.0, np.sqrt(0.5), 0.0])


def test_self_loops_by_hand() -> None:
    # Item 0 has three users, one of them twice; 1 has two and 2 has one; 3 is cold.
    x = np.array([[1, 0], [0.5, np.sqrt(0.75)], [1, 1], [2, 0]])
    user, item = [0, 0, 1, 1, 2, 2, 2], [0, 1, 1, 0, 0, 2, 0]
    interactions = Interactions.from_arrays(user, item, num_items=4)
    options: dict[str, Any] = {"behavior": "count", "num_neighbors": 1, "normalization": "row"}
    without = dense(build_item_graph(x, interactions, **options))
    assert without.diagonal().tolist() == [0, 0, 0, 0]
    for weight in (0.25, 1.0):  # beside the one neighbor, cold or not
        loops = dense(build_item_graph(x, interactions, **options, self_loops=weight))
        assert torch.equal(loops, without + weight * torch.eye(4))
    counted = build_item_graph(x, interactions, **options, self_loops="count")
    assert dense(counted)[0].tolist() == pytest.approx([3 / 4, 1 / 4, 0, 0])  # of degree 3 + 2 / 2
    assert dense(counted)[1].tolist() == pytest.approx([1 / 3, 2 / 3, 0, 0])
    assert torch.equal(dense(counted)[3], without[3])  # nobody took it
    assert counted.num_edges == 4 + 3


def test_result() -> None:
    feature = make_feature()
    graph = build_item_graph(feature, make_interactions())
    source, target = graph.edge_index
    key = source * NUM_ITEMS + target
    assert (key[1:] > key[:-1]).all()  # sorted by source and target
    assert graph.is_coalesced()
    assert (source != target).all()
    assert graph.edge_index.dtype == torch.int64
    assert graph.edge_weight.dtype == torch.float32
    assert graph.num_nodes == NUM_ITEMS
    assert torch.equal(graph.x, feature.x)
    assert torch.equal(graph.mask, feature.mask)
    assert graph.validate()


def test_array_mask_and_counts_are_the_same() -> None:
    feature, interactions = make_feature(), make_interactions()
    expected = dense(build_item_graph(feature, interactions))
    x = feature.x.double().numpy()
    x[3] = np.nan  # missing: never looked at
    for given in (interactions, count_cooccurrences(interactions)):
        graph = build_item_graph(x, given, mask=feature.mask.numpy())
        assert torch.equal(dense(graph), expected)
    expected = dense(build_item_graph(feature, interactions, self_loops="count"))
    whole = count_cooccurrences(interactions, diagonal=True)
    assert torch.equal(dense(build_item_graph(feature, whole, self_loops="count")), expected)
