from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mdsrec_pyg.graphs import ridge_precision
from mdsrec_pyg.nn import LeaveOneUserOut, fit_relations
from mdsrec_pyg.nn.votes.fit import user_folds

RIDGE: dict[str, Any] = {"feature_weight": 2.0, "l2": 3.0, "denoising": 0.0}


def test_relations_are_exact_where_memory_allows(world) -> None:
    exact = fit_relations(world.features, world.train, num_neighbors=5, **RIDGE)
    assert exact.solver == "exact"
    assert list(exact.graphs) == ["image", "text"]
    # 12 N^2 on the way; 4 N^2, and 8 H an interaction, a modality.
    needed = (12 + 2 * 4) * 24**2 + 2 * 8 * 5 * len(world.train)
    fits = fit_relations(world.features, world.train, num_neighbors=5, memory_limit=needed)
    assert fits.solver == "exact"
    says = rf"needs {needed:,} bytes, memory_limit is {needed - 1:,}: local"
    cases: list[dict[str, Any]] = [{"memory_limit": needed - 1}]
    cases.append({"memory_limit": needed, "num_neighbors": 6})
    for more in cases:
        with pytest.warns(UserWarning, match=says if "num_neighbors" not in more else ": local"):
            local = fit_relations(world.features, world.train, **{"num_neighbors": 5, **more})
        assert local.solver == "local"


@pytest.mark.filterwarnings("ignore:the exact ridge")
def test_local_relations_leave_out_the_users_fold(world, dense_edges) -> None:
    options: Any = {"num_neighbors": 24, "num_candidates": 23, **RIDGE}
    local = fit_relations(
        world.features, world.train, memory_limit=0, num_folds=3, seed=1, **options
    )
    exact = fit_relations(world.features, world.train, **options)
    fold = user_folds(20, 3, seed=1)
    batch = world.batch
    assert local.training_votes is not None
    voter = local.training_votes.voters(batch.item_id, batch.user_id)
    for f in range(3):
        rest = world.train.select(fold.numpy()[world.train.user_id] != f)
        part = fit_relations(world.features, rest, **options)
        rows = fold[batch.user_id] == f
        for m, graph in enumerate(part.graphs.values()):
            target, weight = local.training_votes.tables[m](voter[rows])
            found = torch.zeros(*target.shape[:2], 24).scatter_add(2, target, weight)
            want = dense_edges(graph)[batch.item_id[rows]]
            torch.testing.assert_close(found, want, rtol=1e-3, atol=1e-5)
    # With all items as candidates the local form is the exact one.
    for name, graph in local.graphs.items():
        torch.testing.assert_close(
            dense_edges(graph), dense_edges(exact.graphs[name]), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize(
    "option",
    [{"num_neighbors": 2}, {"feature_weight": 9.0}, {"l2": 30.0}, {"denoising": 0.5}],
)
def test_every_option_of_the_exact_form_counts(world, dense_edges, option: dict) -> None:
    default: Any = {"num_neighbors": 5, **RIDGE}
    relations = fit_relations(world.features, world.train, **{**default, **option})
    for name, graph in relations.graphs.items():
        assert not torch.equal(dense_edges(graph), dense_edges(world.relations.graphs[name]))
    # What training is over follows: all options reach it.
    want = LeaveOneUserOut(
        [
            ridge_precision(
                world.train,
                feature,
                **{**RIDGE, **{k: v for k, v in option.items() if k != "num_neighbors"}},
            )
            for feature in world.features.values()
        ],
        world.train,
        num_neighbors=option.get("num_neighbors", 5),
        denoising=option.get("denoising", 0.0),
    )
    assert relations.training_votes is not None
    for one, two in zip(relations.training_votes.tables, want.tables, strict=True):
        assert torch.equal(one.get_buffer("target"), two.get_buffer("target"))
        torch.testing.assert_close(one.get_buffer("weight"), two.get_buffer("weight"))


LOCAL: dict[str, Any] = {"num_neighbors": 5, "num_candidates": 10, "num_folds": 3, **RIDGE}


def local_rows(world, **options: Any) -> Tensor:
    """What the items of the batch vote for in training, [M, B, L, N]."""
    with pytest.warns(UserWarning, match="the exact ridge"):
        relations = fit_relations(
            world.features, world.train, memory_limit=0, **{**LOCAL, **options}
        )
    batch = world.batch
    assert relations.training_votes is not None
    rows = []
    for table in relations.training_votes.tables:
        target, weight = table(relations.training_votes.voters(batch.item_id, batch.user_id))
        rows.append(torch.zeros(*target.shape[:2], 24).scatter_add(2, target, weight))
    return torch.stack(rows)


@pytest.fixture(scope="module")
def default_rows(world) -> Tensor:
    return local_rows(world)


@pytest.mark.parametrize(
    "option",
    [
        {"num_neighbors": 2},
        {"feature_weight": 9.0},
        {"l2": 30.0},
        {"denoising": 0.5},
        {"num_candidates": 3},
        {"num_folds": 2},
        {"seed": 1},
        {"search": "cells", "num_probes": 1},
    ],
)
def test_every_option_of_the_local_form_counts(world, default_rows, option: dict) -> None:
    assert not torch.equal(local_rows(world, **option), default_rows)


def test_probes_and_device_of_the_local_form_count(world) -> None:
    one, two = (local_rows(world, num_candidates=3, search="cells", num_probes=n) for n in (1, 4))
    assert not torch.equal(one, two)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        local_rows(world, device="meta")
    with pytest.raises(ValueError, match=r"'device' must be .* \(got 'nowhere'"):
        fit_relations(world.features, world.train, device="nowhere")


@pytest.mark.parametrize("memory_limit", [0, 2**30])
@pytest.mark.filterwarnings("ignore:the exact ridge")
def test_without_a_modality_there_is_one_graph_of_behavior(
    world, dense_edges, memory_limit: int
) -> None:
    options: Any = {"num_candidates": 23, "num_neighbors": 24, "l2": 3.0, "denoising": 0.3}
    found = fit_relations({}, world.train, memory_limit=memory_limit, **options)
    assert list(found.graphs) == ["behavior"]
    x = np.zeros((20, 24))
    x[world.train.user_id, world.train.item_id] = 1
    p = np.linalg.inv(x.T @ x + np.diag(3 + x.sum(0) * 0.3 / 0.7))
    s = (-p / p.diagonal()).clip(0)
    want = torch.from_numpy(s - np.diag(s.diagonal())).float()
    torch.testing.assert_close(dense_edges(found.graphs["behavior"]), want, rtol=1e-4, atol=1e-6)
    assert "x" not in found.graphs["behavior"]
    assert found.training_votes is not None
    (table,) = found.training_votes.tables
    assert table(found.training_votes.voters(world.batch.item_id, world.batch.user_id))[1].any()
