"""One heterogeneous graph of the item graphs, and the order of their edges."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Data
from torch_geometric.loader import NeighborLoader
from torch_geometric.nn import HeteroConv

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs import build_item_graph
from mdsrec_pyg.graphs.hetero import to_hetero_data
from mdsrec_pyg.graphs.local_ridge import local_ridge_graph
from mdsrec_pyg.graphs.neighbors import sorted_graph
from mdsrec_pyg.nn import LightGraphConv

N = 16

pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse"),
    pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without"),
]


@pytest.fixture(scope="module")
def train() -> Interactions:
    rng = np.random.default_rng(0)
    return Interactions.from_arrays(
        np.repeat(np.arange(20), 4), rng.integers(0, N, 80), num_items=N
    )


@pytest.fixture(scope="module")
def graphs(train: Interactions) -> dict[str, Data]:
    generator = torch.Generator().manual_seed(0)
    features = {
        "image": ModalFeature(torch.randn(N, 3, generator=generator), torch.arange(N) % 5 != 1),
        "text": ModalFeature(torch.randn(N, 4, generator=generator)),
    }
    return {name: build_item_graph(f, train, num_neighbors=3) for name, f in features.items()}


def test_what_stands_where(graphs: dict[str, Data]) -> None:
    data = to_hetero_data(graphs)
    assert data.node_types == ["item"]
    assert data.edge_types == [("item", "image", "item"), ("item", "text", "item")]
    assert data["item"].num_nodes == N
    for name, graph in graphs.items():
        edges = data["item", name, "item"]
        assert edges.edge_index is graph.edge_index
        assert edges.edge_weight is graph.edge_weight
        assert data["item"][f"x_{name}"] is graph.x
        assert data["item"][f"mask_{name}"] is graph.mask
    assert "x" not in data["item"]
    assert data.validate()
    assert data.is_coalesced()
    assert data.num_edges == sum(graph.num_edges for graph in graphs.values())


def test_propagation_and_sampling(graphs: dict[str, Data]) -> None:
    data = to_hetero_data(graphs)
    ids = torch.randn(N, 4)
    conv = HeteroConv({kind: LightGraphConv() for kind in data.edge_types}, aggr="sum")
    out = conv({"item": ids}, data.edge_index_dict, data.edge_weight_dict)["item"]
    expected = sum(LightGraphConv()(ids, g.edge_index, g.edge_weight) for g in graphs.values())
    torch.testing.assert_close(out, expected)
    sparse = T.ToSparseTensor(attr="edge_weight", layout=torch.sparse_csr)(copy.copy(data))
    torch.testing.assert_close(conv({"item": ids}, sparse.adj_t_dict)["item"], expected)
    again = to_hetero_data(
        {name: T.ToSparseTensor(layout=torch.sparse_csr)(g.clone()) for name, g in graphs.items()}
    )
    torch.testing.assert_close(conv({"item": ids}, again.adj_t_dict)["item"], expected)


def test_neighbor_loader(graphs: dict[str, Data]) -> None:
    pytest.importorskip("torch_sparse")
    data = to_hetero_data(graphs)
    data["item"].ids = torch.arange(N)
    loader = NeighborLoader(data, [-1], input_nodes=("item", torch.arange(4)), batch_size=4)
    batch = next(iter(loader))
    assert torch.equal(batch["item"].x_image, graphs["image"].x[batch["item"].ids])


def test_errors(graphs: dict[str, Data]) -> None:
    with pytest.raises(ValueError, match=r"one item graph a modality \(got none\)"):
        to_hetero_data({})
    other = graphs["text"].clone()
    other.num_nodes = N + 1
    with pytest.raises(ValueError, match=r"same items \(got {'image': 16, 'text': 17}\)"):
        to_hetero_data({**graphs, "text": other})
    for name in ("my text", "a__b", ""):
        with pytest.raises(ValueError, match="identifiers without '__'"):
            to_hetero_data({name: graphs["text"]})
    with pytest.raises(ValueError, match=r"'edge_index' or 'adj_t' \('text' has \['num_nodes'\]"):
        to_hetero_data({"text": Data(num_nodes=N)})


@pytest.mark.parametrize("options", [{"symmetric": True}, {"symmetric": False}, {"fill": None}])
def test_item_graphs_are_coalesced(train: Interactions, options: dict[str, Any]) -> None:
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    assert build_item_graph(x, train, num_neighbors=3, **options).is_coalesced()
    ridge = build_item_graph(x, train, weighting="ridge", num_neighbors=3)
    assert ridge.is_coalesced()
    assert local_ridge_graph(train, x, num_neighbors=3).is_coalesced()


def test_sums_do_not_depend_on_the_order_of_edges() -> None:
    # Sorted by source or by target: the neighbors of an item are added by their ids.
    generator = torch.Generator().manual_seed(0)
    key = torch.randint(0, 500 * 500, (20_000,), generator=generator).unique()
    key = key[torch.randperm(len(key), generator=generator)]
    source, target, weight = key // 500, key % 500, torch.rand(len(key), generator=generator)
    graph = sorted_graph(source, target, weight, 500)
    assert graph.is_coalesced()
    order = torch.argsort(target * 500 + source)
    by_target = torch.stack([source[order], target[order]])
    x = torch.randn(500, 16, generator=generator).requires_grad_()
    results = []
    for index, value in ((graph.edge_index, graph.edge_weight), (by_target, weight[order])):
        out = LightGraphConv()(x, index, value)
        results.append([out, torch.autograd.grad(out.square().sum(), x)[0]])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
