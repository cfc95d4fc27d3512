"""MDSRec from parts made one by one: the same model as from one call."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mdsrec_pyg import MDSRec, SyntheticDataset, build_item_graph, build_mdsrec, leave_last_out
from mdsrec_pyg.data import ModalFeature
from mdsrec_pyg.graphs import InterestCenters, cached_item_graph
from mdsrec_pyg.nn import fit_relations

OPTIONS: dict[str, Any] = {"channels": 8, "max_length": 10, "vote_hidden": 5}


@pytest.fixture
def dataset() -> SyntheticDataset:
    return SyntheticDataset(num_users=60, num_items=80, num_interests=4, channels=6)


def test_parts_by_hand_make_the_same_model(dataset: SyntheticDataset) -> None:
    train = leave_last_out(dataset.interactions).train
    known = torch.from_numpy(train.item_counts() > 0)
    # Far from zero and of other scales: without scaling, nothing would be the same.
    features = {
        name: ModalFeature(40 + 9 * feature.x, torch.rand(80) < 0.9)
        for name, feature in dataset.features.items()
    }
    graphs = {name: build_item_graph(feature, train) for name, feature in features.items()}
    centers = {
        name: InterestCenters(4).fit(feature.x, feature.mask, items=known)
        for name, feature in features.items()
    }
    relations = fit_relations(features, train)
    torch.manual_seed(0)
    by_hand = MDSRec(graphs, centers, relations, **OPTIONS)
    in_one_call = build_mdsrec(features, train, num_centers=4, **OPTIONS)
    tensors = [
        {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for model in (by_hand, in_one_call)
    ]
    assert tensors[0].keys() == tensors[1].keys()
    for name, tensor in tensors[0].items():
        assert torch.equal(tensor, tensors[1][name]), name


def test_graphs_carry_raw_features_and_who_is_known(dataset: SyntheticDataset, tmp_path) -> None:
    train = leave_last_out(dataset.interactions).train
    feature = dataset.features["image"]
    known = torch.from_numpy(train.item_counts() > 0)
    made = [build_item_graph(feature, train, weighting=kind) for kind in ("product", "ridge")]
    made += [cached_item_graph(tmp_path, feature, train) for _ in range(2)]  # built, then read
    for graph in made:
        assert torch.equal(graph.x, feature.x)
        assert torch.equal(graph.mask, feature.mask)
        assert torch.equal(graph.train_mask, known)
