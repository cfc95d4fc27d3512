"""Rules of the item graphs beside their numbers: leaks, ties, fill, normalization, errors."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from mdsrec_pyg.data import Interactions, ModalFeature, leave_last_out
from mdsrec_pyg.graphs import ProductConfig, RidgeConfig, build_item_graph, count_cooccurrences

from .graph_cases import NUM_ITEMS, dense, make_feature, make_interactions


@pytest.mark.parametrize("block_size", [1, 3, 100])
@pytest.mark.parametrize("weighting", ["product", "ridge"])
def test_block_size_changes_nothing(block_size: int, weighting: Any) -> None:
    args, options = (make_feature(), make_interactions()), {"weighting": weighting}
    expected = build_item_graph(*args, **options)
    graph = build_item_graph(*args, **options, block_size=block_size)
    assert torch.equal(graph.edge_index, expected.edge_index)
    torch.testing.assert_close(graph.edge_weight, expected.edge_weight)


def test_fill_is_weaker_than_behavior_but_not_nothing() -> None:
    feature, interactions = make_feature(), make_interactions()
    options: dict[str, Any] = {"normalization": None, "num_neighbors": 12}
    behavior = dense(build_item_graph(feature, interactions, fill=None, **options))
    filled = dense(build_item_graph(feature, interactions, **options))
    assert torch.equal(filled[behavior > 0], behavior[behavior > 0])
    checked = 0
    for i in range(NUM_ITEMS):
        new = filled[i][(filled[i] > 0) & (behavior[i] == 0)]
        old = behavior[i][behavior[i] > 0]
        if len(new) and len(old):
            assert float(new.max()) == pytest.approx(0.5 * float(old.min()), rel=1e-6)
            checked += 1
    assert checked > 3
    assert (filled[13] > 0).sum() > 5  # a cold item has neighbors
    assert (filled[15] > 0).sum() == 0  # one without behavior and modality cannot


def test_ties_go_to_the_lower_id() -> None:
    x = np.ones((8, 3))
    interactions = Interactions.from_arrays(
        [0, 0, 1, 1, 2, 2, 3, 3], [7, 5, 7, 6, 7, 2, 7, 4], num_items=8
    )
    graph = build_item_graph(x, interactions, num_neighbors=2, fill=None)
    assert graph.edge_index[0][graph.edge_index[1] == 7].tolist() == [2, 4]
    graph = build_item_graph(x, interactions, num_neighbors=3)
    assert graph.edge_index[0][graph.edge_index[1] == 6].tolist() == [0, 1, 7]


def test_row_of_zeros_counts_as_missing() -> None:
    feature, interactions = make_feature(), make_interactions()
    x = feature.x.clone()
    x[4] = 0
    with_mask = ModalFeature(x, feature.mask & (torch.arange(NUM_ITEMS) != 4))
    graph = build_item_graph(ModalFeature(x, feature.mask), interactions)
    assert torch.equal(dense(graph), dense(build_item_graph(with_mask, interactions)))


def test_no_modality_at_all_is_behavior_alone() -> None:
    mask = np.zeros(NUM_ITEMS, bool)
    interactions = make_interactions()
    graph = build_item_graph(
        np.ones((NUM_ITEMS, 2)),
        interactions,
        mask=mask,
        behavior="count",
        normalization=None,
        num_neighbors=NUM_ITEMS,
    )
    counts = count_cooccurrences(interactions).toarray()
    assert (dense(graph).numpy() == counts).all()


@pytest.mark.parametrize("weighting", ["product", "ridge"])
@pytest.mark.parametrize("memory_limit", [0, 2**30])
@pytest.mark.filterwarnings("ignore:the ridge over")
def test_without_features_the_graph_is_that_of_a_modality_no_item_has(
    weighting: Any, memory_limit: int
) -> None:
    interactions, none = make_interactions(), np.zeros(NUM_ITEMS, bool)
    options: dict[str, Any] = {"weighting": weighting, "num_neighbors": 3}
    if weighting == "ridge":
        options["memory_limit"] = memory_limit
    expected = build_item_graph(np.ones((NUM_ITEMS, 2)), interactions, mask=none, **options)
    graph = build_item_graph(None, interactions, **options)
    assert torch.equal(dense(graph), dense(expected))
    assert set(expected.keys()) - set(graph.keys()) == {"x", "mask"}
    assert graph.num_nodes == NUM_ITEMS
    with pytest.raises(ValueError, match="'mask' must be left out where there are no features"):
        build_item_graph(None, interactions, mask=none, **options)


def test_in_normalization_is_gcn_norm() -> None:
    args: tuple[Any, ...] = (make_feature(), make_interactions())
    raw = build_item_graph(*args, num_neighbors=3, normalization=None)
    graph = build_item_graph(*args, num_neighbors=3, normalization="in")
    _, expected = gcn_norm(raw.edge_index, raw.edge_weight, raw.num_nodes, add_self_loops=False)
    torch.testing.assert_close(graph.edge_weight, expected)


def test_sym_normalization_is_bounded() -> None:
    # Both degrees by their own role: the largest singular value is 1, whatever the direction.
    graph = build_item_graph(make_feature(), make_interactions(), num_neighbors=3)
    assert torch.linalg.matrix_norm(dense(graph), 2) <= 1 + 1e-6


@pytest.mark.parametrize("weighting", ["product", "ridge"])
def test_held_out_targets_change_no_edge(weighting: Any) -> None:
    interactions = make_interactions()
    item = interactions.item_id.copy()
    last = interactions.user_ptr[1:] - 1
    held_out = np.concatenate([last, last - 1])
    item[held_out] = (item[held_out] + 5) % NUM_ITEMS
    changed = Interactions(interactions.user_id, item, None, interactions.num_users, NUM_ITEMS)
    graphs = [
        build_item_graph(make_feature(), leave_last_out(part).train, weighting=weighting)
        for part in (interactions, changed)
    ]
    assert torch.equal(graphs[0].edge_index, graphs[1].edge_index)
    assert torch.equal(graphs[0].edge_weight, graphs[1].edge_weight)
    # The whole interactions would have given something else.
    assert not torch.equal(
        *(
            dense(build_item_graph(make_feature(), part, weighting=weighting))
            for part in (interactions, changed)
        )
    )


def test_large_catalog_needs_no_square_matrix() -> None:
    n = 300_000  # N x N bits would be 11 GB
    rng = np.random.default_rng(0)
    interactions = Interactions.from_arrays(
        np.repeat(np.arange(2000), 5), rng.integers(0, n, 10_000), num_items=n
    )
    graph = build_item_graph(rng.random((n, 4)), interactions, fill=None, num_neighbors=99)
    assert graph.num_edges == count_cooccurrences(interactions).nnz


class LargestTensor(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation returns."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in tree_leaves(result):
            if torch.is_tensor(part):
                self.size = max(self.size, part.numel())
        return result


def expected_row(i: int, counts: np.ndarray, unit: np.ndarray, h: int) -> dict[int, float]:
    """Log counts times cosine, the row filled up with the nearest others at half the weakest."""
    cosine = np.maximum(unit @ unit[i], 0)
    weight = np.log1p(counts) * cosine
    row = {int(j): float(weight[j]) for j in np.argsort(-weight, kind="stable")[:h] if weight[j]}
    cosine[[i, *row]] = 0
    new = np.argsort(-cosine, kind="stable")[: h - len(row)]
    scale = 0.5 * min(row.values()) / cosine[new[0]] if row and len(new) else np.log(2)
    return row | {int(j): float(scale * cosine[j]) for j in new}


def test_fill_of_a_large_catalog_needs_no_square_matrix() -> None:
    n, h, block_size = 20_000, 5, 64
    rng = np.random.default_rng(0)
    mask = np.arange(n) % 10 > 0
    x = rng.normal(size=(n, 8))
    interactions = Interactions.from_arrays(
        np.repeat(np.arange(10_000), 4), rng.integers(0, n, 40_000), num_items=n
    )
    tracemalloc.start()
    with LargestTensor() as largest:
        graph = build_item_graph(
            x,
            interactions,
            mask=mask,
            num_neighbors=h,
            normalization=None,
            block_size=block_size,
        )
    numpy_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert largest.size <= block_size * n
    assert numpy_peak < 20 * 8 * n * h  # a few arrays of the edges; N x N bits are 50 MB
    source, target = graph.edge_index.numpy()
    assert np.bincount(target, minlength=n).max() == h

    unit = np.where(mask[:, None], x / np.linalg.norm(x, axis=1, keepdims=True), 0)
    counts = count_cooccurrences(interactions)
    degree = np.diff(counts.indptr)
    known = np.diff((counts @ sp.diags(mask.astype(float))).tocsr().indptr) == degree
    # Rows that have the modality, as have their companions: short and long ones, one without any.
    for least, most in [(0, 0), (1, 4), (5, 99)]:
        rows = np.flatnonzero(mask & known & (degree >= least) & (degree <= most))
        assert len(rows)
        for i in rows[:5]:
            found = dict(zip(source[target == i], graph.edge_weight[target == i], strict=True))
            expected = expected_row(i, counts[i].toarray().ravel(), unit, h)
            assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_neighbors": 0}, "'num_neighbors' must be at least 1"),
        ({"behavior": "sqrt"}, "'behavior' must be 'binary', 'count' or 'log'"),
        ({"fill": "random"}, "'fill' must be"),
        ({"fill_weight": 1.0}, "'fill_weight' must lie between"),
        ({"normalization": "both"}, "'normalization' must be"),
        ({"window": 0}, "'window' must be at least 1"),
        ({"self_loops": 1.1}, r"'self_loops' must be from 0 to 1, or 'count' \(got 1.1\)"),
        ({"self_loops": -0.1}, "'self_loops' must be from 0 to 1"),
        ({"self_loops": True}, "'self_loops' must be a number or 'count'"),
        ({"self_loops": 1.0, "weighting": "ridge"}, "RidgeConfig has no option 'self_loops'"),
        ({"block_size": 0}, "'block_size' must be at least 1"),
        ({"weighting": "cosine"}, "'weighting' must be one of"),
        ({"l2": 3.0}, "ProductConfig has no option 'l2': it has .*num_neighbors"),
        ({"weighting": "ridge", "fill": None}, "RidgeConfig has no option 'fill': it has .*l2"),
        ({"fil": None}, r"ProductConfig has no option 'fil': did you mean 'fill'\?"),
        ({"config": RidgeConfig(), "weighting": "product"}, "'weighting' must be left out beside"),
        ({"config": ProductConfig(), "l2": 3.0}, "ProductConfig has no option 'l2'"),
        ({"mask": np.ones(NUM_ITEMS, bool)}, "'mask' must be left out"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_item_graph(make_feature(), make_interactions(), **options)


def test_errors_of_the_inputs() -> None:
    feature, interactions = make_feature(), make_interactions()
    counts = count_cooccurrences(interactions)
    with pytest.raises(ValueError, match="one row an item"):
        build_item_graph(feature.take(torch.arange(5)), interactions)
    split: Any = leave_last_out(interactions)  # whole, with its targets
    with pytest.raises(ValueError, match="must be the training Interactions"):
        build_item_graph(feature, split)
    with pytest.raises(ValueError, match="must be the training Interactions"):
        build_item_graph(feature, counts, weighting="ridge")
    with pytest.raises(ValueError, match="'window' has no effect"):
        build_item_graph(feature, counts, window=2)
    with pytest.raises(ValueError, match="self_loops='count' needs counts with their diagonal"):
        build_item_graph(feature, counts, self_loops="count")
    whole = count_cooccurrences(interactions, diagonal=True)
    with pytest.raises(ValueError, match=r"symmetric counts .* with zero diagonal"):
        build_item_graph(feature, whole, self_loops=1.0)
    with pytest.raises(ValueError, match="symmetric counts"):
        build_item_graph(feature, interactions.to_csr())
