"""Between two kinds of nodes, alone and inside of PyG's heterogeneous wrappers, as LGConv."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.nn import HeteroConv, LGConv, to_hetero

from mdsrec_pyg.nn.conv import LightGraphConv

D = 5
EDGES = torch.tensor([[0, 5, 2, 3, 3, 1], [1, 0, 1, 2, 1, 0]])  # of 6 users to 4 items; 3 has none
BACK = EDGES.flip(0)
USERS, ITEMS, BUYS, OF = "user", "item", ("user", "buys", "item"), ("item", "of", "user")

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor")


@pytest.fixture
def tables() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, D, generator=generator), torch.randn(4, D, generator=generator)


@pytest.fixture
def weight() -> Tensor:
    return torch.rand(6, generator=torch.Generator().manual_seed(1))


def dense(weight: Tensor) -> Tensor:
    return torch.zeros(4, 6).index_put((EDGES[1], EDGES[0]), weight, accumulate=True)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("weight_grad", [True, False])
def test_agrees_with_lg_conv(
    tables: Any, weight: Tensor, weighted: bool, weight_grad: bool
) -> None:
    users, items = tables
    users.requires_grad_()
    edge_weight = weight.requires_grad_(weight_grad) if weighted else None
    inputs = [users, weight] if weighted and weight_grad else [users]
    results = []
    conv = LightGraphConv()
    assert conv.path((users, items), EDGES, edge_weight) == "embedding_bag"
    for layer in (conv, conv, LGConv(normalize=False)):
        out = layer((users, items), EDGES, edge_weight)
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    for a, b in zip(results[1], results[2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_size(tables: Any, weight: Tensor) -> None:
    users, items = tables
    conv = LightGraphConv()
    expected = dense(weight) @ users
    for x, size in (((users, None), (6, 4)), ((users, items), (6, 4)), (users, (6, 4))):
        torch.testing.assert_close(conv(x, EDGES, weight, size=size), expected)
    # As in PyG the sources' number stands for that of the targets where nothing else is known.
    out = conv((users, None), EDGES, weight)
    torch.testing.assert_close(out, LGConv(normalize=False)((users, None), EDGES, weight))
    assert out.shape == (6, D)
    wrapped = EdgeIndex(EDGES, sparse_size=(6, 4))
    torch.testing.assert_close(conv((users, None), wrapped, weight), expected)
    adj_t = dense(weight).to_sparse_csr()
    torch.testing.assert_close(conv((users, items), adj_t), expected)
    torch.testing.assert_close(conv(users, adj_t), expected)


def test_other_paths(tables: Any, weight: Tensor) -> None:
    users, items = tables
    back = LightGraphConv(flow="target_to_source")
    assert back.path((users, items), EDGES, weight) == "message_passing"
    peer = LGConv(normalize=False, flow="target_to_source")
    torch.testing.assert_close(
        back((users, items), EDGES, weight), peer((users, items), EDGES, weight)
    )
    slow = LightGraphConv("message_passing")
    torch.testing.assert_close(
        slow((users, None), EDGES, weight, size=(6, 4)), dense(weight) @ users
    )
    torch.testing.assert_close(
        slow((users, items), dense(weight).to_sparse_csr()), dense(weight) @ users
    )


def test_errors(tables: Any, weight: Tensor) -> None:
    users, items = tables
    conv = LightGraphConv()
    with pytest.raises(ValueError, match=r"'x' must have one row .*expected 5, got 6"):
        conv((users, None), EDGES, weight, size=(5, 4))
    with pytest.raises(ValueError, match=r"'x\[1\]' must have one row .*expected 3, got 4"):
        conv((users, items), EDGES, weight, size=(6, 3))
    with pytest.raises(ValueError, match=r"'edge_index' must lie in 0..1, .*got 0 to 2"):
        conv((users, items[:2]), EDGES, weight)
    with pytest.raises(ValueError, match=r"'x' must have one row .*expected 6, got 4"):
        conv((items, None), dense(weight).to_sparse_csr())


def test_hetero_conv(tables: Any, weight: Tensor) -> None:
    x = dict(zip((USERS, ITEMS), tables, strict=True))
    edges, weights = {BUYS: EDGES, OF: BACK}, {BUYS: weight, OF: weight}
    results = [
        HeteroConv({BUYS: make(), OF: make()})(x, edges, weights)
        for make in (LightGraphConv, lambda: LGConv(normalize=False))
    ]
    for name in (USERS, ITEMS):
        torch.testing.assert_close(results[0][name], results[1][name])


class Net(nn.Module):
    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        return self.conv(x, edge_index, edge_weight).relu()


def test_to_hetero(tables: Any, weight: Tensor) -> None:
    x = dict(zip((USERS, ITEMS), tables, strict=True))
    edges, weights = {BUYS: EDGES, OF: BACK}, {BUYS: weight, OF: weight}
    results = [
        to_hetero(Net(conv), ([USERS, ITEMS], [BUYS, OF]))(x, edges, weights)
        for conv in (LightGraphConv(), LGConv(normalize=False))
    ]
    for name in (USERS, ITEMS):
        torch.testing.assert_close(results[0][name], results[1][name])
    torch.testing.assert_close(results[0][ITEMS], (dense(weight) @ tables[0]).relu())


_Weight = Tensor  # a private name: no star import brings it into PyG's template


def test_a_subclass_with_more_arguments() -> None:
    # PyG makes a template of each class; where it cannot, the base's would drop the arguments.
    class Difference(LightGraphConv):
        def message(  # type: ignore[override]
            self, x_j: Tensor, x_i: Tensor, edge_weight: _Weight
        ) -> Tensor:
            return edge_weight[:, None] * (x_j - x_i)

    LightGraphConv()
    x = torch.tensor([[1.0], [5.0]])
    out = Difference()(x, torch.tensor([[0], [1]]), torch.tensor([2.0]))
    assert out.tolist() == [[0.0], [-8.0]]
