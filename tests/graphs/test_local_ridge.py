"""The local ridge beyond small cases: long users, closeness to the exact one, memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.graphs import local_ridge, local_ridge_graph, ridge_graph, ridge_precision
from mdsrec_pyg.graphs.pair_counts import count_parts

from .graph_cases import dense, planted


def long_user(length: int, num_items: int) -> Interactions:
    """One user with that many items, some of them again, and thirty short ones."""
    rng = np.random.default_rng(0)
    item = rng.permutation(num_items)[:length]
    item = np.concatenate([item, item[:7], rng.integers(0, num_items, 150)])
    user = np.concatenate([np.zeros(length + 7, int), 1 + np.repeat(np.arange(30), 5)])
    return Interactions.from_arrays(user, item, num_items=num_items)


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_longest_user_at_the_cap_is_exact_and_beyond_it_in_parts(l2: float) -> None:
    interactions = long_user(40, 60)
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) + 0.5
    options: dict[str, Any] = {"num_neighbors": 60, "l2": l2}
    exact = dense(ridge_graph(ridge_precision(interactions, x, l2=l2), 60))
    local = dense(local_ridge_graph(interactions, x, max_sequence_length=40, **options))
    torch.testing.assert_close(local, exact, rtol=1e-4, atol=1e-5)
    # In parts, the long user is three users.
    first = np.unique(interactions.item_id[:47], return_index=True)[1]
    item = interactions.item_id[:47][np.sort(first)]
    user = interactions.user_id + 2
    user = np.concatenate([np.arange(40) // 16, user[47:]])
    parts = Interactions.from_arrays(
        user, np.concatenate([item, interactions.item_id[47:]]), num_items=60
    )
    expected = dense(ridge_graph(ridge_precision(parts, x, l2=l2), 60))
    local = dense(local_ridge_graph(interactions, x, max_sequence_length=16, **options))
    torch.testing.assert_close(local, expected, rtol=1e-4, atol=1e-5)
    assert (local - exact).abs().max() > 1e-2


def test_a_long_user_is_not_quadratic() -> None:
    # Counted whole, this one user would have 8 million pairs; a part of 200 has 19,900.
    interactions = long_user(4000, 5000)
    counts = count_parts(interactions, 200)
    assert counts.nnz <= 2 * (20 * 19_900 + 30 * 10)
    assert counts.nnz >= 2 * 20 * 19_900


def test_local_is_close_to_exact() -> None:
    interactions, feature = planted()
    exact = dense(ridge_graph(ridge_precision(interactions, feature), 20))
    local = dense(local_ridge_graph(interactions, feature, num_neighbors=20, num_candidates=40))
    similarity = (exact * local).sum() / (exact.norm() * local.norm())
    shared = ((exact > 0) & (local > 0)).sum() / (exact > 0).sum()
    assert similarity > 0.99
    assert shared > 0.9


def test_local_cuts_back_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    interactions, feature = planted()
    options: dict[str, Any] = {"num_neighbors": 5, "num_candidates": 20, "block_size": 37}
    expected = local_ridge_graph(interactions, feature, **options)
    monkeypatch.setattr(local_ridge, "_WEIGHTS", 100)
    graph = local_ridge_graph(interactions, feature, **options)
    assert torch.equal(dense(graph), dense(expected))


def test_only_the_targets_asked_for() -> None:
    interactions, feature = planted()
    options: dict[str, Any] = {"num_neighbors": 300, "num_candidates": 20}
    whole = dense(local_ridge_graph(interactions, feature, **options))
    targets = torch.tensor([7, 3, 250])
    some = dense(local_ridge_graph(interactions, feature, **options, targets=targets))
    torch.testing.assert_close(some[targets], whole[targets])
    assert some.count_nonzero() == whole[targets].count_nonzero()
