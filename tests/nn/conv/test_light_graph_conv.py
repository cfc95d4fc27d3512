from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn import LGConv

from mdsrec_pyg.nn.conv import LightGraphConv

from .conv_cases import D, N, dense, features, random_graph, to_csr

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")


def gradients(conv: Any, x: Tensor, edge_index: Any, edge_weight: Tensor | None) -> list[Tensor]:
    """Output and the gradients with respect to whatever requires one."""
    inputs = [t for t in (x, edge_weight) if t is not None and t.requires_grad]
    out = conv(x, edge_index, edge_weight)
    scale = torch.arange(out.numel(), dtype=out.dtype, device=out.device).view_as(out) / out.numel()
    return [out, *torch.autograd.grad((out * scale).sum(), inputs)]


@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("weight_grad", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_agrees_with_lg_conv(flow: str, weighted: bool, weight_grad: bool, ordered: bool) -> None:
    edge_index, weight = random_graph(ordered=ordered)
    if flow == "target_to_source":
        edge_index = edge_index.flip(0)
    edge_weight = weight.requires_grad_(weight_grad) if weighted else None
    x = features().requires_grad_()
    conv, peer = LightGraphConv(flow=flow), LGConv(normalize=False, flow=flow)
    assert conv.path(x, edge_index, edge_weight) == "embedding_bag"
    expected = gradients(peer, x, edge_index, edge_weight)
    for _ in range(2):  # the second time from what was kept
        actual = gradients(conv, x, edge_index, edge_weight)
        assert len(actual) == len(expected)
        for a, b in zip(actual, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weight_grad", [True, False])
def test_csr_agrees_with_lg_conv(weight_grad: bool) -> None:
    pattern = to_csr(*random_graph())
    values = pattern.values().clone().requires_grad_(weight_grad)
    x = features().requires_grad_()
    inputs = [x, values] if weight_grad else [x]
    results = []
    for conv in (LightGraphConv(), LGConv(normalize=False)):
        parts = pattern.crow_indices(), pattern.col_indices(), values
        adj = torch.sparse_csr_tensor(*parts, (N, N), check_invariants=True)
        out = conv(x, adj)
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    assert LightGraphConv().path(x, pattern) == "embedding_bag"
    for a, b in zip(*results, strict=True):
        b = b.values() if b.layout == torch.sparse_csr else b
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("weight_grad", [True, False])
def test_sparse_tensor_agrees_with_lg_conv(weighted: bool, weight_grad: bool) -> None:
    torch_sparse = pytest.importorskip("torch_sparse")
    edge_index, weight = random_graph(ordered=True)
    value = weight.requires_grad_(weight_grad) if weighted else None
    adj = torch_sparse.SparseTensor(
        row=edge_index[1], col=edge_index[0], value=value, sparse_sizes=(N, N)
    )
    x = features().requires_grad_()
    inputs = [x, weight] if weighted and weight_grad else [x]
    conv = LightGraphConv()
    assert conv.path(x, adj) == "embedding_bag"
    results = []
    for layer in (conv, conv, LGConv(normalize=False)):
        out = layer(x, adj)
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs, retain_graph=True)])
    for a, b in zip(results[1], results[2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert len(conv._graphs) == 1


def test_sparse_tensors_that_share_their_columns() -> None:
    torch_sparse = pytest.importorskip("torch_sparse")
    conv, col = LightGraphConv(), torch.tensor([0, 3, 5])
    for row in (torch.tensor([0, 1, 2]), torch.tensor([4, 4, 6])):
        adj = torch_sparse.SparseTensor(row=row, col=col, sparse_sizes=(N, N), is_sorted=True)
        torch.testing.assert_close(conv(features(), adj), adj.to_dense() @ features())


def test_edge_index_object() -> None:
    edge_index, weight = random_graph()
    wrapped = EdgeIndex(edge_index.clone(), sparse_size=(N, N))
    conv = LightGraphConv()
    for _ in range(2):
        assert torch.equal(conv(features(), wrapped, weight), conv(features(), edge_index, weight))
    assert len(conv._graphs) == 2


def test_by_hand() -> None:
    edge_index = torch.tensor([[0, 1, 2, 0], [2, 2, 0, 2]])
    out = LightGraphConv()(
        torch.tensor([[1.0], [10.0], [100.0]]), edge_index, torch.tensor([1.0, 2.0, 3.0, 4.0])
    )
    assert out.tolist() == [[300.0], [0.0], [1 + 20 + 4]]


@pytest.mark.parametrize("ordered", [True, False])
def test_gradcheck(ordered: bool) -> None:
    edge_index, weight = random_graph(ordered=ordered)
    x = features(torch.float64).requires_grad_()
    edge_weight = weight.double().requires_grad_()
    conv = LightGraphConv()
    assert torch.autograd.gradcheck(lambda x, w: conv(x, edge_index, w), (x, edge_weight))
    fixed = weight.double()
    assert torch.autograd.gradcheck(lambda x: conv(x, edge_index, fixed), (x,))


@pytest.mark.parametrize("x_dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("w_dtype", [None, torch.bfloat16, torch.float32, torch.float64])
def test_types_are_those_of_lg_conv(x_dtype: torch.dtype, w_dtype: torch.dtype | None) -> None:
    edge_index, weight = random_graph()
    x = features().to(x_dtype)
    edge_weight = None if w_dtype is None else weight.to(w_dtype)
    out = LightGraphConv()(x, edge_index, edge_weight)
    expected = LGConv(normalize=False)(x, edge_index, edge_weight)
    assert out.dtype == expected.dtype
    # Summed in float32 at least: nearer to the truth than the half precision sum.
    exact = dense(edge_index, (torch.ones(40) if edge_weight is None else edge_weight).double())
    torch.testing.assert_close(out.double(), exact @ x.double(), rtol=1e-2, atol=1e-2)


def test_autocast_leaves_float32_alone() -> None:
    edge_index, weight = random_graph()
    conv = LightGraphConv()
    expected = conv(features(), edge_index, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(conv(features(), edge_index, weight), expected)


def test_gradient_of_an_expanded_gradient_and_of_a_view() -> None:
    edge_index, weight = random_graph()
    x = torch.randn(D, N).t().requires_grad_()  # not contiguous
    LightGraphConv()(x, edge_index, weight).sum().backward()  # expands a scalar
    expected = dense(edge_index, weight).sum(dim=0)[:, None].expand(N, D)
    torch.testing.assert_close(x.grad, expected)


def test_same_bits_twice() -> None:
    edge_index, weight = random_graph()
    x = features().requires_grad_()
    first, second = (gradients(LightGraphConv(), x, edge_index, weight) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_errors() -> None:
    conv, (edge_index, weight) = LightGraphConv(), random_graph()
    with pytest.raises(ValueError, match=r"'edge_index' must lie in 0..3"):
        conv(torch.randn(4, D), edge_index, weight)
    with pytest.raises(ValueError, match="one weight an edge"):
        conv(features(), edge_index, weight[:-1])
    adj = to_csr(edge_index, weight)
    with pytest.raises(ValueError, match="'edge_weight' must be None"):
        conv(features(), adj, weight)
    with pytest.raises(ValueError, match=r"'x' must have one row .*column .*expected 9, got 4"):
        conv(torch.randn(4, D), adj)


def test_no_edges() -> None:
    empty = torch.empty(2, 0, dtype=torch.long)
    out = LightGraphConv()(features(), empty, torch.empty(0))
    assert torch.equal(out, torch.zeros(N, D))


def test_no_warning_on_fixed_weights() -> None:
    edge_index, weight = random_graph()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        x = features().requires_grad_()
        LightGraphConv()(x, edge_index, weight).sum().backward()
