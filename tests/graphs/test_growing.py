"""Graphs over a grown catalog against graphs that are fitted over it from scratch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs import (
    InterestCenters,
    ProductConfig,
    grow_precision,
    product_graph,
    ridge_graph,
    ridge_precision,
)
from mdsrec_pyg.graphs.growing import cold_edges
from mdsrec_pyg.graphs.neighbors import UnitRows
from tests.graphs.graph_cases import dense

OLD, NEW, USERS = 40, 12, 60
RIDGE: dict[str, Any] = {"feature_weight": 7.0, "l2": 3.0}


def interactions(num_items: int = OLD) -> Interactions:
    rng = np.random.default_rng(0)
    item = rng.integers(0, OLD - 3, USERS * 5)  # the last three old items are cold
    return Interactions.from_arrays(np.repeat(np.arange(USERS), 5), item, num_items=num_items)


def feature(width: int = 6, seed: int = 0) -> ModalFeature:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(OLD + NEW, width, generator=generator) + 0.4
    return ModalFeature(x, torch.arange(OLD + NEW) % 9 != 4)  # old and new items lack it


def precision(num_items: int, x: ModalFeature) -> Tensor:
    part = x.take(np.arange(num_items))
    return ridge_precision(
        interactions(num_items), part, denoising=0.3, dtype=torch.float64, **RIDGE
    )


@pytest.mark.parametrize("width", [6, 30])  # fewer and more features than new items
def test_the_block_inverse_is_the_inverse_of_the_grown_catalog(width: int) -> None:
    x = feature(width)
    grown = grow_precision(precision(OLD, x), x, **RIDGE)
    scratch = precision(OLD + NEW, x)
    assert grown.dtype == torch.float64
    torch.testing.assert_close(grown, scratch, rtol=0, atol=1e-8)
    # It is not the old inverse with a border: new items explain away.
    assert (grown[:OLD, :OLD] - precision(OLD, x)).abs().max() > 1e-3


def test_the_grown_graph_is_the_refitted_one_edge_for_edge() -> None:
    x = feature()
    grown = ridge_graph(grow_precision(precision(OLD, x), x, **RIDGE).float(), 7)
    scratch = ridge_graph(ridge_precision(interactions(52), x, denoising=0.3, **RIDGE), 7)
    assert torch.equal(grown.edge_index, scratch.edge_index)
    torch.testing.assert_close(grown.edge_weight, scratch.edge_weight, rtol=1e-5, atol=1e-7)
    assert (grown.edge_index >= OLD).any(1).all()  # new items vote and are voted for


def test_growing_twice_is_growing_once() -> None:
    x = feature()
    first = grow_precision(precision(OLD, x), x.take(np.arange(45)), **RIDGE)
    torch.testing.assert_close(
        grow_precision(first, x, **RIDGE), precision(OLD + NEW, x), rtol=0, atol=1e-8
    )


def test_without_feature_weight_new_items_stand_apart() -> None:
    old = ridge_precision(interactions(), feature_weight=0.0, l2=3.0, dtype=torch.float64)
    grown = grow_precision(old, feature(), feature_weight=0.0, l2=3.0)
    assert torch.equal(grown[:OLD, :OLD], old)
    assert not grown[:OLD, OLD:].any()
    torch.testing.assert_close(grown[OLD:, OLD:], torch.eye(NEW).double() / 3.0)


def test_growing_names_what_does_not_fit() -> None:
    x = feature()
    with pytest.raises(ValueError, match=r"those of 'precision'.* got 5000.0 and 3.0"):
        grow_precision(precision(OLD, x), x, feature_weight=5000.0, l2=3.0)
    with pytest.raises(ValueError, match=r"at least N rows \(got \[40, 40\] and 5\)"):
        grow_precision(precision(OLD, x), x.take(np.arange(5)), **RIDGE)
    with pytest.raises(ValueError, match="'l2' must be positive"):
        grow_precision(precision(OLD, x), x, feature_weight=7.0, l2=0.0)
    with pytest.raises(ValueError, match="'dtype' must be"):
        ridge_precision(interactions(), dtype=torch.float16)


def slow_rows(x: ModalFeature, config: ProductConfig) -> np.ndarray:
    """Rows of the new items, entry by entry."""
    rows = x.x.double().numpy()
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    old = x.take(np.arange(OLD))
    kept = {"normalization": None, "self_loops": 0.0}
    plain = dense(product_graph(old, interactions(), config.replace(**kept))).numpy()
    out = np.zeros((NEW, OLD))
    one = math.log(2) if config.behavior == "log" else 1.0
    for i in range(NEW):
        cosine = np.maximum(unit[OLD + i] @ unit[:OLD].T, 0)
        for j in np.argsort(-cosine, kind="stable")[: config.num_neighbors]:
            out[i, j] = one * cosine[j]
    total = out.sum(1, keepdims=True)
    total[total == 0] = 1
    if config.normalization == "row":
        return out / total
    if config.normalization == "sym":
        return out / np.sqrt(total * np.maximum(np.maximum(plain.sum(0), out), 1e-30))
    if config.normalization == "in":
        into = plain.sum(1)
        return np.where(into > 0, out / np.sqrt(total * np.where(into > 0, into, 1)), 0)
    return out


@pytest.mark.parametrize("normalization", ["sym", "in", "row", None])
@pytest.mark.parametrize("options", [{}, {"behavior": "binary", "symmetric": True}])
def test_new_items_get_the_rows_of_cold_ones(normalization: Any, options: dict[str, Any]) -> None:
    x = feature()
    config = ProductConfig(num_neighbors=4, normalization=normalization, **options)
    graph = cold_edges(UnitRows(x), interactions(), OLD, config)
    assert graph.num_nodes == OLD + NEW
    found = dense(graph).numpy()
    np.testing.assert_allclose(found[OLD:, :OLD], slow_rows(x, config), rtol=1e-5, atol=1e-7)
    assert not found[:OLD].any()
    assert not found[:, OLD:].any()


def test_a_cold_item_of_the_graph_has_such_a_row() -> None:
    """Where new items are not like each other, the graph of the whole catalog has the same rows."""
    x = feature(30)
    apart = x.x.clone()
    apart[OLD:] = torch.where(torch.arange(NEW)[:, None] == 1, apart[OLD:], 0.0)
    x = ModalFeature(apart, x.mask)
    config = ProductConfig(num_neighbors=4, normalization="row")
    whole = dense(product_graph(x, interactions(OLD + NEW), config))
    found = dense(cold_edges(UnitRows(x), interactions(), OLD, config))
    torch.testing.assert_close(found[OLD:], whole[OLD:])
    assert (found[OLD + 1] > 0).sum() == 4


def test_rows_of_new_items_do_not_depend_on_each_other() -> None:
    x, config = feature(), ProductConfig(num_neighbors=4)
    together = dense(cold_edges(UnitRows(x), interactions(), OLD, config))
    first = dense(cold_edges(UnitRows(x.take(np.arange(46))), interactions(), OLD, config))
    second = dense(cold_edges(UnitRows(x), interactions(), 46, config))
    assert torch.equal(together[OLD:46, :OLD], first[OLD:, :OLD])
    assert torch.equal(together[46:], second[46:])
    assert not second[:46].any()


def test_fill_and_self_loops_are_those_of_the_graph() -> None:
    unit = UnitRows(feature())
    bare = cold_edges(unit, interactions(), OLD, fill=None)
    assert bare.num_edges == 0
    loops = dense(cold_edges(unit, interactions(), OLD, self_loops=0.25))
    assert torch.equal(loops[OLD:, OLD:], 0.25 * torch.eye(NEW).double())
    plain = dense(cold_edges(unit, interactions(), OLD))
    assert torch.equal(loops[OLD:, :OLD], plain[OLD:, :OLD])
    counted = dense(cold_edges(unit, interactions(), OLD, self_loops="count"))
    assert not counted[OLD:, OLD:].any()
    assert not torch.equal(counted, plain)  # the degrees of the sources hold their loops


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_further_items_are_labeled_as_those_of_the_fit(scale: float) -> None:
    x = feature()
    centers = InterestCenters(4).fit(x.x * scale, x.mask)
    labels, affinity = centers.assign(x.x * scale, x.mask)
    assert torch.equal(labels, centers.labels_)
    torch.testing.assert_close(affinity, centers.affinity_, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"the 6 features of the centers \(got 5\)"):
        centers.assign(x.x[:, :5])
