"""Graphs as PyG keeps them reach every layer alike, and graphs that do not fit are refused."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
import torch_geometric.transforms as T
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import (
    APPNP,
    ARMAConv,
    ChebConv,
    GatedGraphConv,
    GATv2Conv,
    GCNConv,
    GENConv,
    GraphConv,
    LEConv,
    LGConv,
    MixHopConv,
    NNConv,
    SAGEConv,
    SGConv,
    SimpleConv,
    SSGConv,
    TAGConv,
    WLConvContinuous,
)

from mdsrec_pyg.nn import ItemGraphEncoder, LightGraphConv

N, D = 10, 6

pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta"),
    pytest.mark.filterwarnings("ignore:Converting sparse tensor to CSR"),
    pytest.mark.filterwarnings("ignore:.*does not use the weights"),
]


class Matrix(nn.Module):
    def forward(self, x: Tensor, adj_t: Tensor) -> Tensor:
        return adj_t @ x


CONVS: list[Callable[[], nn.Module]] = [
    LightGraphConv,
    LGConv,
    lambda: LGConv(normalize=False),
    lambda: GCNConv(D, D),
    lambda: GCNConv(D, D, normalize=False),
    lambda: GraphConv(D, D),
    lambda: ChebConv(D, D, 2),
    lambda: GatedGraphConv(D, 1),
    lambda: TAGConv(D, D),
    lambda: ARMAConv(D, D),
    lambda: SGConv(D, D),
    lambda: SSGConv(D, D, 0.1),
    lambda: APPNP(2, 0.1),
    lambda: LEConv(D, D),
    lambda: MixHopConv(D, D, [1]),
    SimpleConv,
    WLConvContinuous,
    lambda: GATv2Conv(D, D, edge_dim=1),
    lambda: GENConv(D, D, edge_dim=1),
    lambda: NNConv(D, D, nn.Linear(1, D * D)),
    lambda: SAGEConv(D, D),
    Matrix,
]


@pytest.fixture
def graph() -> Data:
    generator = torch.Generator().manual_seed(0)
    dense = (torch.rand(N, N, generator=generator) < 0.4).fill_diagonal_(False)
    edge_index = dense.nonzero().t().contiguous()
    weight = torch.rand(edge_index.size(1), generator=generator)
    return Data(edge_index=edge_index, edge_weight=weight, num_nodes=N)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("conv", CONVS)
@pytest.mark.parametrize("layout", ["torch_sparse", "csr", "coo"])
def test_adj_t(conv: Callable[[], nn.Module], layout: str, graph: Data, x: Tensor) -> None:
    if layout == "torch_sparse":
        pytest.importorskip("torch_sparse")
    kind = {"torch_sparse": None, "csr": torch.sparse_csr, "coo": torch.sparse_coo}[layout]
    torch.manual_seed(0)
    encoder = ItemGraphEncoder(conv=conv).eval()
    expected = encoder(x, graph)
    sparse = T.ToSparseTensor(attr="edge_weight", layout=kind)(graph.clone())
    torch.testing.assert_close(encoder(x, sparse), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(encoder(x, sparse.adj_t), expected, rtol=1e-5, atol=1e-5)
    # The weights stay outside of adj_t.
    beside = T.ToSparseTensor(attr=None, layout=kind)(graph.clone())
    assert "edge_weight" in beside
    torch.testing.assert_close(encoder(x, beside), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("conv", CONVS)
def test_weights_in_edge_attr(conv: Callable[[], nn.Module], graph: Data, x: Tensor) -> None:
    torch.manual_seed(0)
    encoder = ItemGraphEncoder(conv=conv).eval()
    expected = encoder(x, graph)
    for attr in (graph.edge_weight, graph.edge_weight[:, None]):
        other = Data(edge_index=graph.edge_index, edge_attr=attr, num_nodes=N)
        assert torch.equal(encoder(x, other), expected)
        sparse = T.ToSparseTensor(attr="edge_attr", layout=torch.sparse_coo)(other)
        torch.testing.assert_close(encoder(x, sparse), expected, rtol=1e-5, atol=1e-5)
    # Where there is both, edge_weight.
    other.edge_weight, other.edge_attr = graph.edge_weight, torch.rand(graph.num_edges, 3)
    assert torch.equal(encoder(x, other), expected)


@pytest.mark.parametrize("conv", CONVS)
def test_without_weights_each_edge_counts_one(
    conv: Callable[[], nn.Module], graph: Data, x: Tensor
) -> None:
    torch.manual_seed(0)
    encoder = ItemGraphEncoder(conv=conv).eval()
    bare = Data(edge_index=graph.edge_index, num_nodes=N)
    ones = torch.ones(graph.num_edges)
    torch.testing.assert_close(encoder(x, bare), encoder(x, graph.edge_index, ones))


def test_the_layer_keeps_what_it_made_of_a_graph(graph: Data, x: Tensor) -> None:
    encoder = ItemGraphEncoder()
    (conv,) = encoder.convs
    assert isinstance(conv, LightGraphConv)
    encoder(x, graph)
    gc.collect()
    (key,) = conv._graphs._entries
    adj = conv._graphs._entries[key][1]
    assert key is graph.edge_index
    assert list(adj.weights._entries) == [graph.edge_weight]


def test_graphs_that_do_not_fit(graph: Data, x: Tensor) -> None:
    encoder = ItemGraphEncoder()
    with pytest.raises(ValueError, match=r"must have the items of 'x' \(9\), got 10 nodes"):
        encoder(x[:-1], graph)
    with pytest.raises(ValueError, match=r"must have the items of 'x' \(11\), got 10 nodes"):
        encoder(torch.randn(11, D), T.ToSparseTensor(layout=torch.sparse_csr)(graph.clone()))
    features = Data(x=torch.randn(N - 1, 2), edge_index=graph.edge_index)
    with pytest.raises(ValueError, match="got 9 nodes"):
        encoder(x, features)
    with pytest.raises(ValueError, match="'graph' must be on the device of 'x', meta"):
        encoder(x.to("meta"), graph)
    with pytest.raises(ValueError, match=r"'edge_weight' must be on the device .* \(got meta"):
        encoder(x, graph.edge_index, graph.edge_weight.to("meta"))
    with pytest.raises(ValueError, match="must have one weight an edge"):
        encoder(x, graph.edge_index, graph.edge_weight[:-1])
    with pytest.raises(ValueError, match="'edge_weight' must be left out"):
        encoder(x, torch.eye(N).to_sparse_csr(), torch.ones(N))
    for other in (None, 5, (graph.edge_index, graph.edge_weight), graph.edge_index.numpy()):
        with pytest.raises(ValueError, match=r"'graph' must be a Data, .* \(got"):
            encoder(x, other)
    with pytest.raises(ValueError, match=r"must have 'edge_index' or 'adj_t' \(got \['num_nodes'"):
        encoder(x, Data(num_nodes=N))
    wide = Data(edge_index=graph.edge_index, edge_attr=torch.rand(graph.num_edges, 2), num_nodes=N)
    with pytest.raises(ValueError, match=r"one weight an edge.*got 'edge_attr' of shape"):
        encoder(x, wide)
    pair = Data(edge_index=graph.edge_index, edge_weight=graph.edge_weight)  # nodes not stated
    assert torch.equal(encoder(x, pair), encoder(x, graph))
