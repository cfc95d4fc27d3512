"""How weights reach a layer: asked of its signature, tried where that does not tell."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import (
    BatchNorm,
    CGConv,
    GATConv,
    GENConv,
    GeneralConv,
    GINEConv,
    GPSConv,
    MessagePassing,
    PNAConv,
    SAGEConv,
)

from mdsrec_pyg.nn import ItemGraphEncoder, LightGraphConv
from mdsrec_pyg.nn.conv.edge_inputs import edge_inputs, edge_weight_use

D = 6


class Both(MessagePassing):
    """Takes both and counts its calls; needs a batch of neighbors, drops and normalizes."""

    edge_dim = 3  # of no meaning: attributes are not asked

    def __init__(self) -> None:
        super().__init__()
        self.norm = BatchNorm(D)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, edge_weight: Tensor):
        return self.propagate(edge_index, x=self.norm(x), w=edge_weight)

    def message(self, x_j: Tensor, w: Tensor) -> Tensor:
        return w[:, None] * x_j


class Attr(MessagePassing):
    """An own layer that requires ``edge_attr``, draws random numbers and keeps statistics."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.norm, self.scale = BatchNorm(D), nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        x = self.norm(x) + 0 * torch.rand(1)
        return self.propagate(edge_index, x=x, edge_attr=edge_attr)

    def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        return self.scale * edge_attr * x_j


class Matrix(nn.Module):
    """Takes the transposed adjacency matrix, by its name."""

    def forward(self, x: Tensor, adj_t: Tensor) -> Tensor:
        return adj_t @ x


CASES: list[tuple[Callable[[], nn.Module], str]] = [
    (LightGraphConv, "edge_weight"),
    (Attr, "edge_attr"),
    (lambda: Attr(scale=0.0), "edge_attr"),  # not to be seen in the output yet
    (Matrix, "adj_t"),
    (lambda: GATConv(-1, D, edge_dim=1), "edge_attr"),
    (lambda: GATConv(D, D), "none"),
    (lambda: GENConv(D, D, edge_dim=1), "edge_attr"),
    (lambda: GENConv(D, D), "none"),
    (lambda: GeneralConv(D, D), "none"),
    (lambda: CGConv(D), "none"),
    (lambda: PNAConv(D, D, ["mean"], ["identity"], torch.ones(3).long()), "none"),
    (lambda: SAGEConv(D, D), "none"),
    (lambda: GPSConv(D, GINEConv(nn.Linear(D, D), edge_dim=1), heads=2), "edge_attr"),
    (lambda: GPSConv(D, SAGEConv(D, D), heads=2), "none"),
    (lambda: GATConv(D, D, edge_dim=1).double(), "edge_attr"),
]


@pytest.mark.parametrize(("make", "use"), CASES)
def test_use(make: Callable[[], nn.Module], use: str) -> None:
    assert edge_weight_use(make()) == use
    assert edge_weight_use(make(), channels=D) == use
    assert bool(edge_inputs(make(), D).reason) is (use == "none")


def test_edge_weight_goes_before_edge_attr() -> None:
    inputs = edge_inputs(Both())
    assert (inputs.use, inputs.required) == ("edge_weight", True)


@pytest.mark.parametrize("training", [True, False])
def test_trying_leaves_no_trace(training: bool) -> None:
    conv = Attr().train(training)
    calls: list[int] = []
    conv.register_forward_hook(lambda *args: calls.append(1))
    before, state = copy.deepcopy(conv.state_dict()), torch.get_rng_state()
    assert edge_weight_use(conv) == "edge_attr"
    assert torch.equal(state, torch.get_rng_state())
    assert conv.training is training
    assert not calls
    after = conv.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in conv.parameters())


def test_warns_once_and_names_the_layer() -> None:
    with pytest.warns(UserWarning, match="SAGEConv does not use the weights") as caught:
        encoder = ItemGraphEncoder(num_layers=2, conv=lambda: SAGEConv(D, D))
    (own,) = (warning for warning in caught if warning.category is UserWarning)
    assert own.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        encoder(torch.randn(4, D), torch.tensor([[0, 1], [1, 2]]), torch.rand(2))
        ItemGraphEncoder(conv=lambda: GATConv(D, D, edge_dim=1))


def test_first_use_decides_where_no_parameter_shows_the_width() -> None:
    class Hidden(nn.Module):
        """Needs items of five columns, and no parameter says so."""

        def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None):
            return x.view(-1, 5)

    encoder = ItemGraphEncoder(conv=Hidden)
    with pytest.warns(UserWarning, match="Hidden does not use the weights .* 'edge_attr' unused"):
        encoder(torch.randn(4, 5), torch.tensor([[0, 1], [1, 2]]), torch.rand(2))
    with pytest.raises(ValueError, match=r"must run on items and edges .*Hidden\(\) takes"):
        ItemGraphEncoder(conv=Hidden)(torch.randn(4, 6), torch.tensor([[0], [1]]))


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"edge_dim=1 or None\), one weight an edge \(got 3"):
        edge_weight_use(GATConv(D, D, edge_dim=3))
    with pytest.raises(ValueError, match=r"edge features of width 1 \(edge_dim=1\)"):
        edge_weight_use(GINEConv(nn.Linear(D, D)))

    class Positions(MessagePassing):
        def forward(self, x: Tensor, edge_index: Tensor, pos: Tensor) -> Tensor:
            return x

    with pytest.raises(ValueError, match=r"needs \['pos'\]\); a layer of your own"):
        edge_weight_use(Positions())
