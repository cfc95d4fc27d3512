"""The layer under inference mode, gradients of gradients, ``torch.func``, odd types: as LGConv."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import LGConv, MessagePassing

from mdsrec_pyg.nn import LightGraphConv

EDGE_INDEX = torch.tensor([[0, 1, 2, 0, 3, 1], [2, 2, 0, 1, 3, 0]])
WEIGHT = torch.linspace(0.1, 1, 6)
X = torch.arange(12.0).view(4, 3).sin()


def both() -> tuple[MessagePassing, MessagePassing]:
    return LightGraphConv(), LGConv(normalize=False)


@pytest.mark.parametrize("form", ["edges", "learned", "matrix"])
def test_what_was_kept_under_inference_mode_serves_training(form: str) -> None:
    inputs = {
        "edges": (EDGE_INDEX, WEIGHT),
        "learned": (EDGE_INDEX, WEIGHT.clone().requires_grad_()),
        "matrix": (torch.eye(4).to_sparse_csr(), None),
    }[form]
    conv, x = LightGraphConv(), X.clone().requires_grad_()
    with torch.inference_mode():
        conv(x, *inputs)
    conv(x, *inputs).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("ordered", [True, False])
def test_gradients_of_gradients(ordered: bool) -> None:
    edge_index = EDGE_INDEX[:, EDGE_INDEX[1].argsort()] if ordered else EDGE_INDEX
    x, weight = (t.double().requires_grad_() for t in (X, WEIGHT))
    conv = LightGraphConv()
    call = lambda x, w: conv(x, edge_index, w)  # noqa: E731
    assert torch.autograd.gradgradcheck(call, (x, weight))
    assert torch.autograd.gradgradcheck(lambda x: conv(x, edge_index).square(), (x,))


def test_a_penalty_on_the_gradient_reaches_the_weights() -> None:
    results = []
    for conv in both():
        x, weight = X.clone().requires_grad_(), WEIGHT.clone().requires_grad_()
        (grad,) = torch.autograd.grad(conv(x, EDGE_INDEX, weight).sum(), x, create_graph=True)
        (grad.square().sum() + weight.sum()).backward()
        results.append(weight.grad)
    torch.testing.assert_close(*results)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: torch.vmap(f)(torch.stack([X, 2 * X])),
        lambda f: torch.func.grad(lambda x: f(x).square().sum())(X),
        lambda f: torch.func.jvp(f, (X,), (X,))[1],
        lambda f: torch.func.jacrev(f)(X),
    ],
)
def test_functional_transforms(transform: Callable[..., Tensor]) -> None:
    ours, theirs = (transform(lambda x, c=c: c(x, EDGE_INDEX, WEIGHT)) for c in both())
    torch.testing.assert_close(ours, theirs)


def test_integers_are_summed_exactly_and_complex_numbers_too() -> None:
    large = torch.full((4, 3), 2**24 + 1)
    for x, weight in ((large, None), (torch.complex(X, X), WEIGHT), (X, WEIGHT + 1j)):
        ours, theirs = (conv(x, EDGE_INDEX, weight) for conv in both())
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=1e-6 if ours.is_complex() else 0, atol=0)
    with pytest.raises(ValueError, match="real input"):
        LightGraphConv("embedding_bag")(large, EDGE_INDEX)


def test_meta_tensors_give_shapes() -> None:
    x, edge_index, weight = (t.to("meta") for t in (X, EDGE_INDEX, WEIGHT))
    assert LightGraphConv()(x, edge_index, weight).shape == X.shape


def test_edges_of_another_shape_are_refused() -> None:
    for edge_index in (EDGE_INDEX.t(), EDGE_INDEX[[0, 1, 1]], EDGE_INDEX[0]):
        with pytest.raises(ValueError, match=r"'edge_index' must have shape \[2, E\]"):
            LightGraphConv()(X, edge_index)
