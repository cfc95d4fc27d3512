"""A model over newer interactions: its graphs are those of a new model, its weights the old."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg import build_mdsrec
from mdsrec_pyg.data import Interactions, SequenceLoader
from mdsrec_pyg.training.signature import describe_options
from tests.nn.models.growing_cases import (
    FEATURES,
    NEW,
    OLD,
    WHOLE,
    build,
    content,
    grown,
    histories,
    interactions,
)

OPTIONS: dict[str, Any] = {"num_centers": 3, "channels": 8, "max_length": 8}
RELATIONS = {"l2": 3.0, "feature_weight": 4.0, "num_neighbors": 5}


def newer(num_items: int = OLD) -> Interactions:
    """Other users, and the items that nobody had taken."""
    rng = np.random.default_rng(5)
    return Interactions.from_arrays(
        np.repeat(np.arange(60), 5), rng.integers(0, num_items, 300), num_items=num_items
    )


def rebuilt(features: Any, train: Interactions, **options: Any) -> Any:
    given = {**OPTIONS, "relations": RELATIONS, **options}
    return build_mdsrec(features, train, graph={"num_neighbors": 4}, **given)


def same_graphs(model: Any, wanted: Any) -> None:
    names = [f"edge_{kind}_{m}" for kind in ("index", "weight") for m in range(2)]
    for name in names:
        assert torch.equal(model.get_buffer(name), wanted.get_buffer(name))
    for m in range(2):
        for part in range(2):
            assert torch.equal(model.votes.edges(m)[part], wanted.votes.edges(m)[part])


def test_graphs_are_fitted_again_and_weights_stay() -> None:
    model = build()
    before = content(model)
    updated = model.update(newer())
    same_graphs(updated, rebuilt(FEATURES, newer()))
    for name, parameter in model.named_parameters():
        assert torch.equal(updated.get_parameter(name), parameter), name
    kept = ("labels", "centers_0", "scaling.0.mean", "project.0.x", "center.0.labels")
    assert all(torch.equal(updated.get_buffer(name), model.get_buffer(name)) for name in kept)
    assert list(updated.item_ids) == list(model.item_ids)
    after = content(model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(updated.score(histories()), model.score(histories()))
    # Back to where it came from: the same numbers.
    back = updated.update(interactions())
    assert torch.equal(back.score(histories()), model.score(histories()))


def test_options_of_the_graphs_are_those_of_before() -> None:
    graph = {"window": 2, "self_loops": "count", "normalization": "row"}
    model = build(graph=graph, relations=False)
    updated = model.update(newer())
    options = {**OPTIONS, "relations": False}
    wanted = build_mdsrec(FEATURES, newer(), graph={"num_neighbors": 4, **graph}, **options)
    for name in ("edge_index_0", "edge_weight_0", "edge_index_1", "edge_weight_1"):
        assert torch.equal(updated.get_buffer(name), wanted.get_buffer(name))


def test_chosen_weights_stay() -> None:
    model = build(relations={"num_neighbors": 5})  # chosen by the training part
    updated = model.update(newer())
    assert updated.ridge_weights == model.ridge_weights
    chosen = model.ridge_weights
    numbers = {"l2": chosen.l2, "feature_weight": chosen.feature_weight, "num_neighbors": 5}
    same_graphs(updated, rebuilt(FEATURES, newer(), relations=numbers))


def test_an_updated_model_can_be_trained_where_that_is_asked() -> None:
    model = build()
    with pytest.raises(ValueError, match="cannot be trained further"):
        model.update(newer()).check_training(newer())
    updated = model.update(newer(), trainable=True)
    updated.check_training(newer())
    with pytest.raises(ValueError, match="'train' must hold the interactions"):
        updated.check_training(interactions())
    batch = next(iter(SequenceLoader(newer(), 8, batch_size=16, shuffle=False)))
    updated.train().loss(batch).backward()
    assert updated.votes.weight.grad is not None


def test_new_items_get_interactions() -> None:
    bigger = grown(build())
    updated = bigger.update(newer(OLD + NEW))
    same_graphs(updated, rebuilt(WHOLE, newer(OLD + NEW)))
    assert updated.num_added == NEW
    assert updated.score(histories()).isfinite().all()


def test_a_model_of_ids_is_updated_too() -> None:
    options: dict[str, Any] = {"channels": 8, "max_length": 8, "relations": {"l2": 3.0}}
    model: Any = build_mdsrec({}, interactions(), **options).eval()
    updated = model.update(newer())
    wanted: Any = build_mdsrec({}, newer(), **options)
    assert torch.equal(updated.edge_index_0, wanted.edge_index_0)
    assert torch.equal(updated.votes.edges(0)[1], wanted.votes.edges(0)[1])


def test_interactions_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"the 30 items of the model \(got 31\): with_items"):
        build().update(newer(31))
    with pytest.raises(ValueError, match=r"must be Interactions \(got list\)"):
        build().update([])


def test_a_checkpoint_of_before_knows_nothing_of_growing() -> None:
    """What a checkpoint says of a model has no line that came with this."""
    lines = describe_options(build())
    assert "num_added" not in lines
    assert "members" not in lines
    assert "softness" not in lines


def test_item_counts_go_along() -> None:
    model = build()
    model.item_counts = interactions().item_counts()
    counts = grown(model).item_counts
    assert counts[:OLD].tolist() == interactions().item_counts().tolist()
    assert counts[OLD:].tolist() == [0] * NEW
    assert model.update(newer()).item_counts.tolist() == newer().item_counts().tolist()
    assert len(model.item_counts) == OLD
