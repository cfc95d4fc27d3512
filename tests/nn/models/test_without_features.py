"""MDSRec on IDs alone: votes over the plain ridge, and one graph of behavior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import (
    MDSRec,
    Retriever,
    SyntheticDataset,
    Trainer,
    build_mdsrec,
    evaluate,
    leave_last_out,
    recommend,
)
from mdsrec_pyg.data import Split
from mdsrec_pyg.graphs import product_graph, ridge_graph, ridge_precision

SMALL: dict[str, Any] = {"channels": 8}


@pytest.fixture(scope="module")
def dataset() -> SyntheticDataset:
    return SyntheticDataset(num_users=60, num_items=40, num_interests=2, channels=4)


@pytest.fixture(scope="module")
def split(dataset: SyntheticDataset) -> Split:
    return leave_last_out(dataset.interactions)


def test_its_graphs_are_those_of_behavior(split: Split) -> None:
    options: dict[str, Any] = {"l2": 7.0, "denoising": 0.2}
    model = build_mdsrec({}, split.train, graph={"num_neighbors": 5}, relations=options, **SMALL)
    assert model.modalities == ["behavior"]
    assert model.labels is None
    assert not model.project
    graph = product_graph(None, split.train, num_neighbors=5)
    assert torch.equal(model.get_buffer("edge_index_0"), graph.edge_index)
    assert torch.equal(model.get_buffer("edge_weight_0"), graph.edge_weight)
    votes = ridge_graph(ridge_precision(split.train, **options))
    assert model.votes is not None
    dense = [torch.zeros(40, 40) for _ in range(2)]
    for matrix, (index, weight) in zip(
        dense, [model.votes.edges(0), (votes.edge_index, votes.edge_weight)], strict=True
    ):
        matrix[index[0], index[1]] = weight
    assert torch.equal(*dense)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("preset", ["best", "paper"])
def test_it_is_trained_saved_asked_and_explained(
    dataset: SyntheticDataset, split: Split, preset: str, tmp_path: Path
) -> None:
    model = build_mdsrec({}, split.train, preset, **SMALL)
    before = evaluate(model, split.val).metrics["ndcg@10"]
    history = Trainer(model, epochs=3, lr=0.01, log=lambda line: None).fit(split.train, split.val)
    assert history.rows[-1]["loss"] < history.rows[0]["loss"]
    if preset == "best":  # without a history bias, what was seen comes first
        assert evaluate(model, split.val).metrics["ndcg@10"] > before
    model.save(tmp_path / "model")
    loaded = MDSRec.load(tmp_path / "model")
    assert loaded.modalities == ["behavior"]
    assert loaded.num_features == [0]
    found = evaluate(model, split.test)
    assert np.array_equal(evaluate(loaded, split.test).ranks, found.ranks)
    histories = [[1, 2, 3], [4]]
    how: dict[str, Any] = {"k": 5, "exclude_seen": True, "explain": True}
    answers = recommend(model, histories, **how)
    pd.testing.assert_frame_equal(recommend(loaded, histories, **how), answers)
    pd.testing.assert_frame_equal(Retriever(loaded).recommend(histories, **how), answers)
    assert set(answers["modality"]) == {"behavior"}
    assert answers["center"].isna().all()
    assert answers["voter_items"].map(len).any() == (preset == "best")
    assert "edges={'behavior'" in repr(loaded)


def test_the_graph_of_behavior_is_co_occurrence(split: Split) -> None:
    counts = (split.train.to_csr().T @ split.train.to_csr()).toarray()
    graph = product_graph(None, split.train, num_neighbors=40, behavior="count", normalization=None)
    dense = np.zeros(counts.shape)
    dense[graph.edge_index[1], graph.edge_index[0]] = graph.edge_weight
    np.fill_diagonal(counts, 0)
    assert np.array_equal(dense, counts)
    assert "x" not in graph
    assert "mask" not in graph
    assert graph.train_mask.sum() == (split.train.item_counts() > 0).sum()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"add_features": False}, "add_features"),
        ({"num_components": 2}, "num_components"),
        ({"graph": {"fill": None}}, "fill"),
        ({"graph": {"fill_weight": 0.1}}, "fill_weight"),
        ({"relations": {"feature_weight": 3.0}}, "feature_weight"),
        ({"center_form": "soft"}, "center_form"),
    ],
)
def test_what_needs_features_warns(split: Split, options: dict[str, Any], named: str) -> None:
    with pytest.warns(UserWarning, match=rf"'{named}'\] have no effect"):
        build_mdsrec({}, split.train, **SMALL, **options)
