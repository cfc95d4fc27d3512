"""Compiled, exported and scripted, the layer gives what it gives eagerly; all see one operator."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.nn import LGConv

from mdsrec_pyg.nn.conv import LightGraphConv, _ops
from tests.nn.conv.conv_cases import D, N, features, random_graph, to_csr

# TorchScript is deprecated in torch; CSR tensors are in beta.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Sparse CSR tensor")

BIPARTITE = torch.tensor([[0, 5, 2, 8, 8], [1, 0, 1, 3, 1]])


@pytest.fixture(autouse=True)
def fresh() -> None:
    torch._dynamo.reset()


def compiled(conv: nn.Module) -> Any:
    return torch.compile(conv, fullgraph=True, backend="aot_eager")


def gradients(conv: Any, x: Any, *args: Any) -> list[Tensor]:
    inputs = [t for t in (x, *args) if isinstance(t, Tensor) and t.requires_grad]
    out = conv(x, *args)
    scale = torch.arange(out.numel(), dtype=out.dtype).view_as(out)
    return [out, *torch.autograd.grad((out * scale).sum(), inputs)]


@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
@pytest.mark.parametrize("weight_grad", [True, False, None])
@pytest.mark.parametrize("ordered", [True, False])
def test_compiled_is_eager_to_the_bit(flow: str, weight_grad: bool | None, ordered: bool) -> None:
    edge_index, weight = random_graph(ordered=ordered)
    edge_weight = None if weight_grad is None else weight.requires_grad_(weight_grad)
    x = features().requires_grad_()
    conv = LightGraphConv(flow=flow)
    expected = gradients(conv, x, edge_index, edge_weight)
    assert len(expected) == 2 + bool(weight_grad)
    for _ in range(2):
        actual = gradients(compiled(conv), x, edge_index, edge_weight)
        assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_weights_that_need_a_gradient_alone() -> None:
    edge_index, weight = random_graph()
    weight.requires_grad_()
    expected = gradients(LGConv(normalize=False), features(), edge_index, weight)
    for conv in (LightGraphConv(), compiled(LightGraphConv())):
        for a, b in zip(gradients(conv, features(), edge_index, weight), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_compiled_training_follows_changed_weights() -> None:
    edge_index, start = random_graph()
    results = []
    for wrap in (lambda conv: conv, compiled):
        weight, x = start.clone().requires_grad_(), features()
        conv = wrap(LightGraphConv())
        for _ in range(3):
            (grad,) = torch.autograd.grad(conv(x, edge_index, weight).square().sum(), weight)
            with torch.no_grad():
                weight -= 0.01 * grad
        results.append(weight)
    torch.testing.assert_close(*results)
    assert not torch.equal(results[0], start)


def test_compiled_keeps_what_it_derives(monkeypatch: pytest.MonkeyPatch) -> None:
    builds: list[int] = []
    build = _ops.Adjacency.from_edges

    def spy(*args: Any) -> Any:
        builds.append(1)
        return build(*args)

    monkeypatch.setattr(_ops.Adjacency, "from_edges", spy)
    gc.collect()
    before = len(_ops._GRAPHS)
    conv, (edge_index, weight) = compiled(LightGraphConv()), random_graph()
    x = features().requires_grad_()
    for _ in range(3):
        conv(x, edge_index, weight).sum().backward()
    assert len(builds) == 1
    assert len(_ops._GRAPHS) == before + 1
    weight.mul_(2)
    assert torch.equal(conv(x, edge_index, weight), LightGraphConv()(x, edge_index, weight))
    del edge_index
    torch._dynamo.reset()
    gc.collect()
    assert len(_ops._GRAPHS) == before


def test_a_compiled_model_has_one_node() -> None:
    graphs: list[torch.fx.GraphModule] = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(module)
        return module.forward

    edge_index, weight = random_graph()
    torch.compile(LightGraphConv(), fullgraph=True, backend=backend)(features(), edge_index, weight)
    (module,) = graphs
    calls = [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
    assert [call for call in calls if "propagate" in call] == ["mdsrec_pyg.propagate.default"]


def test_writes_that_torch_does_not_see() -> None:
    # Compiled code may use a buffer of its own again: the same tensor, at the same version.
    edge_index, weight = random_graph()
    conv = compiled(LightGraphConv())
    first = conv(features(), edge_index, weight)
    edge_index.numpy()[:] = edge_index.numpy()[::-1].copy()
    weight.numpy()[:] *= 2
    version = edge_index._version
    expected = LightGraphConv()(features(), edge_index.clone(), weight.clone())
    assert torch.equal(conv(features(), edge_index, weight), expected)
    assert edge_index._version == version
    assert not torch.equal(first, expected)


@pytest.mark.parametrize("strict", [True, False])
def test_exported(strict: bool) -> None:
    edge_index, weight = random_graph()
    conv = LightGraphConv()
    program = torch.export.export(conv, (features(), edge_index, weight), strict=strict)
    names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert [name for name in names if "propagate" in name] == ["mdsrec_pyg.propagate.default"]
    assert torch.equal(
        program.module()(2 * features(), edge_index, weight),
        conv(2 * features(), edge_index, weight),
    )


def test_exported_for_any_size() -> None:
    edge_index, weight = random_graph()
    nodes, edges = torch.export.Dim("nodes", min=2), torch.export.Dim("edges", min=2)
    program = torch.export.export(
        LightGraphConv(),
        (features(), edge_index, weight),
        dynamic_shapes=({0: nodes}, {1: edges}, {0: edges}),
    )
    other = (torch.randn(20, D), edge_index[:, :-3], weight[:-3])
    assert torch.equal(program.module()(*other), LightGraphConv()(*other))


def test_bipartite_compiled() -> None:
    x = (features(), torch.randn(4, D))
    conv = LightGraphConv()
    assert torch.equal(compiled(conv)(x, BIPARTITE), conv(x, BIPARTITE))
    assert torch.equal(compiled(conv)((x[0], None), BIPARTITE, size=(N, 4)), conv(x, BIPARTITE))


def test_a_matrix_or_an_edge_index_object_compiled() -> None:
    edge_index, weight = random_graph()
    wrapped = EdgeIndex(edge_index, sparse_size=(N, N))
    expected = LightGraphConv()(features(), edge_index, weight)
    conv = torch.compile(LightGraphConv(), backend="aot_eager")
    torch.testing.assert_close(conv(features(), wrapped, weight), expected)
    torch.testing.assert_close(conv(features(), to_csr(edge_index, weight)), expected)


@pytest.mark.parametrize("weighted", [True, False])
def test_torch_script(weighted: bool) -> None:
    edge_index, weight = random_graph()
    args = (features(), edge_index, weight if weighted else None)
    expected = torch.jit.script(LGConv(normalize=False))(*args)
    torch.testing.assert_close(torch.jit.script(LightGraphConv())(*args), expected)
    if weighted:
        traced = torch.jit.trace(LightGraphConv(), args)
        torch.testing.assert_close(traced(2 * args[0], *args[1:]), 2 * expected)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("kernel", ["embedding_bag", "sparse_csr"])
def test_operators(weighted: bool, transpose: bool, kernel: str) -> None:
    weight = torch.rand(5, dtype=torch.double, requires_grad=True) if weighted else None
    x = torch.randn(4 if transpose else N, D, dtype=torch.double, requires_grad=True)
    args = (x, BIPARTITE, weight, 4, N, False, transpose, kernel)
    torch.library.opcheck(_ops.propagate, args)
    inputs = [x] if weight is None else [x, weight]

    def call(x: Tensor, weight: Tensor | None = None) -> Tensor:
        return _ops.propagate(x, BIPARTITE, weight, *args[3:])

    assert torch.autograd.gradcheck(call, inputs)


def test_errors_inside_of_a_compiled_call() -> None:
    edge_index, weight = random_graph()
    conv = compiled(LightGraphConv())
    with pytest.raises(ValueError, match=r"'edge_index' must lie in 0..3"):
        conv(torch.randn(4, D), edge_index, weight)
    with pytest.raises(ValueError, match="one weight an edge"):
        conv(features(), edge_index, weight[:-1])
