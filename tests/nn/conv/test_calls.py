"""A call that is like one before is found by one look; whatever changes is noticed all the same."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import LGConv

from mdsrec_pyg.nn.conv import LightGraphConv

from .conv_cases import D, N, features, random_graph

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

Graph = tuple[Tensor, Tensor]


def known(conv: LightGraphConv, x: Tensor, graph: Graph) -> bool:
    return conv._calls.get(x, *graph, conv._settings()) is not None


@pytest.fixture
def graph() -> Graph:
    return random_graph()


def test_the_second_call_looks_nothing_up(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = LightGraphConv(), features().requires_grad_()
    first = conv(x, *graph)
    assert known(conv, x, graph)

    def again(*args: object) -> str:
        raise AssertionError("looked up again")

    monkeypatch.setattr(LightGraphConv, "path", again)
    second = conv(x, *graph)
    assert torch.equal(first, second)
    grads = [torch.autograd.grad(out.square().sum(), x)[0] for out in (first, second)]
    assert torch.equal(*grads)
    with torch.no_grad():
        assert torch.equal(conv(x.detach(), *graph), first)


@pytest.mark.parametrize(
    "change",
    [
        lambda conv, x, graph: graph[0].copy_(graph[0].flip(0)),
        lambda conv, x, graph: graph[1].mul_(2),
        lambda conv, x, graph: setattr(graph[1], "data", torch.rand(40)),
        lambda conv, x, graph: graph[1].requires_grad_(),
        lambda conv, x, graph: setattr(x, "data", x.double()),
        lambda conv, x, graph: setattr(x, "data", torch.randn(N + 1, D)),
    ],
)
def test_what_changes_in_the_inputs(graph: Graph, change: Callable[..., object]) -> None:
    conv, x = LightGraphConv(), features()
    conv(x, *graph)
    change(conv, x, graph)
    assert not known(conv, x, graph)
    expected = LGConv(normalize=False)(x, *graph)
    found = conv(x, *graph)
    torch.testing.assert_close(found, expected)
    if graph[1].requires_grad:
        grads = [torch.autograd.grad(out.sum(), graph[1])[0] for out in (found, expected)]
        torch.testing.assert_close(*grads)


@pytest.mark.parametrize(("name", "value"), [("aggr", "max"), ("flow", "target_to_source")])
def test_settings_that_change(graph: Graph, name: str, value: str) -> None:
    conv, x = LightGraphConv(), features()
    conv(x, *graph)
    setattr(conv, name, value)
    assert not known(conv, x, graph)


def test_hooks_transforms_and_traces_see_the_messages(graph: Graph) -> None:
    conv, x, seen = LightGraphConv(), features(), []
    expected = conv(x, *graph)
    handle = conv.register_message_forward_hook(lambda *args: seen.append(1))
    torch.testing.assert_close(conv(x, *graph), expected)
    handle.remove()
    assert seen == [1]
    torch.testing.assert_close(torch.vmap(lambda x: conv(x, *graph))(x[None])[0], expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        value, tangent = torch.autograd.forward_ad.unpack_dual(conv(dual, *graph))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(tangent, expected)


def test_other_pairs_of_the_same_tensors(graph: Graph) -> None:
    conv, x = LightGraphConv(), features()
    conv(x, *graph)
    torch.testing.assert_close(conv(x, graph[0]), LGConv(normalize=False)(x, graph[0]))
    torch.testing.assert_close(conv(x, *graph), LGConv(normalize=False)(x, *graph))
    assert len(conv._calls) == 2
    with pytest.raises(ValueError, match="'x' must have one row"):
        conv(x, *graph, size=(N + 1, N))


def test_entries_go_with_their_tensors() -> None:
    conv, x = LightGraphConv(), features()
    for _ in range(3):
        conv(x, *random_graph())
    gc.collect()
    assert len(conv._calls) == 0
    edge_index, weight = random_graph()
    conv(x, edge_index, weight)
    del weight
    gc.collect()
    assert len(conv._calls) == 0
    assert len(copy.deepcopy(conv)._calls) == 0


def test_nothing_is_kept_of_inference_tensors() -> None:
    conv = LightGraphConv()
    with torch.inference_mode():
        graph = random_graph()
        conv(features(), *graph)
        assert len(conv._calls) == 0
