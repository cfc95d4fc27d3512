from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import (
    GATConv,
    GATv2Conv,
    GCNConv,
    GraphConv,
    MessagePassing,
    SAGEConv,
    SimpleConv,
)

from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.items.graph_encoder import ItemGraphEncoder

N, D = 10, 6

pytestmark = pytest.mark.filterwarnings("ignore:.*does not use the weights")


class OwnConv(MessagePassing):
    """A layer as a user would write it."""

    def __init__(self) -> None:
        super().__init__(aggr="max")
        self.lin = torch.nn.Linear(D, D)

    def reset_parameters(self) -> None:
        self.lin.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        return self.propagate(edge_index, x=self.lin(x), edge_weight=edge_weight)

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        return edge_weight[:, None] * x_j


@pytest.fixture
def graph() -> Data:
    generator = torch.Generator().manual_seed(0)
    return Data(
        edge_index=torch.randint(0, N, (2, 30), generator=generator),
        edge_weight=torch.rand(30, generator=generator),
        num_nodes=N,
    )


@pytest.fixture
def x() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1))


def dense(graph: Data) -> Tensor:
    matrix = torch.zeros(N, N)
    source, target = graph.edge_index
    return matrix.index_put_((target, source), graph.edge_weight, accumulate=True)


def test_one_layer_is_the_product(graph: Data, x: Tensor) -> None:
    torch.testing.assert_close(ItemGraphEncoder()(x, graph), dense(graph) @ x)


def test_mean_over_propagated_layers(graph: Data, x: Tensor) -> None:
    a = dense(graph)
    expected = (a @ x + a @ a @ x + a @ a @ a @ x) / 3
    for conv in (None, LightGraphConv, LightGraphConv()):
        encoder = ItemGraphEncoder(num_layers=3, conv=conv)
        torch.testing.assert_close(encoder(x, graph), expected)


# Layer and whether the weights of the graph reach it.
CONVS: list[tuple[Callable[[], MessagePassing], bool]] = [
    (lambda: GCNConv(D, D), True),
    (lambda: GraphConv(D, D), True),
    (lambda: GATConv(D, D), False),
    (lambda: GATConv(D, D, edge_dim=1), True),
    (lambda: GATv2Conv(D, D), False),
    (lambda: GATv2Conv(D, D, edge_dim=1), True),
    (lambda: SAGEConv(D, D), False),
    (lambda: SimpleConv(), True),
    (OwnConv, True),
]


@pytest.mark.parametrize(("conv", "weighted"), CONVS)
def test_any_layer(
    conv: Callable[[], MessagePassing], weighted: bool, graph: Data, x: Tensor
) -> None:
    torch.manual_seed(0)
    encoder = ItemGraphEncoder(num_layers=2, conv=conv)
    x.requires_grad_()
    out = encoder(x, graph)
    assert out.shape == (N, D)
    out.square().sum().backward()
    assert x.grad is not None
    assert all(p.grad is not None for p in encoder.parameters())
    assert torch.equal(out, encoder(x, graph.edge_index, graph.edge_weight))
    half = graph.clone()
    half.edge_weight = half.edge_weight * torch.linspace(0.1, 0.9, 30)
    assert torch.equal(out, encoder(x, half)) is not weighted


@pytest.mark.parametrize(("conv", "weighted"), CONVS)
def test_one_layer_is_that_layer(
    conv: Callable[[], MessagePassing], weighted: bool, graph: Data, x: Tensor
) -> None:
    layer = conv()
    out = ItemGraphEncoder(conv=layer)(x, graph)
    if not weighted:
        expected = layer(x, graph.edge_index)
    elif getattr(layer, "edge_dim", None) == 1:
        expected = layer(x, graph.edge_index, edge_attr=graph.edge_weight[:, None])
    else:
        expected = layer(x, graph.edge_index, edge_weight=graph.edge_weight)
    assert torch.equal(out, expected)


def test_without_weights(graph: Data, x: Tensor) -> None:
    ones = torch.ones(30)
    encoder = ItemGraphEncoder()
    assert torch.equal(encoder(x, graph.edge_index), encoder(x, graph.edge_index, ones))


def test_layers_have_their_own_parameters(graph: Data, x: Tensor) -> None:
    encoder = ItemGraphEncoder(num_layers=2, conv=OwnConv)
    first, second = (conv for conv in encoder.convs if isinstance(conv, OwnConv))
    assert not torch.equal(first.lin.weight, second.lin.weight)
    before = first.lin.weight.clone()
    encoder.reset_parameters()
    assert not torch.equal(first.lin.weight, before)


def test_no_layers_leave_the_graph_out(graph: Data, x: Tensor) -> None:
    assert torch.equal(ItemGraphEncoder(num_layers=0)(x, graph), x)


def test_errors(graph: Data, x: Tensor) -> None:
    with pytest.raises(ValueError, match="'num_layers' must not be negative"):
        ItemGraphEncoder(num_layers=-1)
    with pytest.raises(ValueError, match="'conv' must be a callable that makes a layer"):
        ItemGraphEncoder(num_layers=2, conv=GCNConv(D, D))
    with pytest.raises(ValueError, match=r"'conv' must make a MessagePassing .*got Linear"):
        ItemGraphEncoder(conv=lambda: torch.nn.Linear(D, D))
    with pytest.raises(ValueError, match="edge_dim=1 or None"):
        ItemGraphEncoder(conv=GATConv(D, D, edge_dim=3))
    with pytest.raises(ValueError, match=r"expected \[10, 6\], .*gave \[10, 12\]"):
        ItemGraphEncoder(conv=lambda: GATv2Conv(D, D, heads=2))(x, graph)
    with pytest.raises(ValueError, match="'edge_weight' must be left out"):
        ItemGraphEncoder()(x, graph, graph.edge_weight)


class BothNames(MessagePassing):
    """Has both names and needs the second."""

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        edge_attr: Tensor | None = None,
    ) -> Tensor:
        return self.propagate(edge_index, x=x, weight=edge_attr.squeeze(1))  # type: ignore[union-attr]

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        return weight[:, None] * x_j


class NeedsMore(BothNames):
    """Cannot do with one weight an edge, by whichever name."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:  # type: ignore[override]
        return x * edge_weight.relation  # type: ignore[union-attr]


class OneAnItem(torch.nn.Module):
    """A parameter an item: it runs on the whole catalog only."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(N, 1))

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        return x + self.bias


def test_a_layer_with_both_names_gets_the_one_it_runs_with(graph: Data, x: Tensor) -> None:
    expected = ItemGraphEncoder()(x, graph)
    assert torch.allclose(ItemGraphEncoder(conv=BothNames)(x, graph), expected)
    assert torch.allclose(ItemGraphEncoder(conv=BothNames, channels=D)(x, graph), expected)


@pytest.mark.parametrize(
    ("conv", "said"),
    [
        (lambda: GCNConv(4, 4), r"width 6 \(got GCNConv, and it has in_channels=4, out_channels=4"),
        (lambda: GCNConv(D, 4), r"width 6 \(got GCNConv, and it gives 4"),
        (lambda: GATv2Conv(D, D, heads=2), "GATv2Conv, and it gives 12"),
        (lambda: SAGEConv((4, 4), 4), "SAGEConv, and it runs on items of width 4 and failed"),
        (NeedsMore, r"with 'edge_weight' alone \(NeedsMore\(\) failed: AttributeError"),
    ],
)
def test_a_layer_of_another_width_is_named_when_the_model_is_built(
    conv: Callable[[], MessagePassing], said: str
) -> None:
    state = torch.random.get_rng_state()
    layer = conv()
    torch.random.set_rng_state(state)
    with pytest.raises(ValueError, match=said):
        ItemGraphEncoder(conv=layer, channels=D)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_layers_of_this_width_and_of_one_catalog_pass(graph: Data, x: Tensor) -> None:
    for conv, _ in CONVS:
        ItemGraphEncoder(2, conv, channels=D)
    ItemGraphEncoder(conv=lambda: GCNConv(-1, D), channels=D)
    assert torch.equal(ItemGraphEncoder(conv=OneAnItem, channels=D)(x, graph), x)
