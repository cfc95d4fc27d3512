"""What is kept of a graph is never stale, and where messages matter PyG's own way is taken."""

from __future__ import annotations

import copy
import gc
import io
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import LGConv

from mdsrec_pyg.nn.conv import LightGraphConv, _adjacency

from .conv_cases import D, N, dense, features, random_graph, to_csr

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")


class TestCache:
    """What is kept of a graph is never stale."""

    def check(self, conv: LightGraphConv, edge_index: Any, weight: Tensor | None = None) -> None:
        x = features().requires_grad_()
        actual, expected = (
            conv(x, edge_index, weight),
            LGConv(normalize=False)(x, edge_index, weight),
        )
        torch.testing.assert_close(actual, expected)
        grads = [torch.autograd.grad(out.square().sum(), x)[0] for out in (actual, expected)]
        torch.testing.assert_close(*grads)

    def test_in_place_changes(self) -> None:
        conv, (edge_index, weight) = LightGraphConv(), random_graph()
        self.check(conv, edge_index, weight)
        weight.mul_(2)
        self.check(conv, edge_index, weight)
        weight[3] = -7.0
        self.check(conv, edge_index, weight)
        edge_index[0, 5] = (edge_index[0, 5] + 1) % N
        self.check(conv, edge_index, weight)
        edge_index[1] = edge_index[1].flip(0)
        self.check(conv, edge_index, weight)
        weight.data = torch.rand(40)
        self.check(conv, edge_index, weight)
        self.check(conv, edge_index)

    def test_optimizer_step(self) -> None:
        conv, (edge_index, weight) = LightGraphConv(), random_graph()
        parameter = torch.nn.Parameter(weight)
        optimizer = torch.optim.SGD([parameter], lr=0.1)
        for _ in range(3):
            with torch.no_grad():
                self_out = conv(features(), edge_index, parameter)
                torch.testing.assert_close(
                    self_out, LGConv(normalize=False)(features(), edge_index, parameter)
                )
            conv(features(), edge_index, parameter).square().sum().backward()
            optimizer.step()

    def test_csr_in_place(self) -> None:
        conv, adj = LightGraphConv(), to_csr(*random_graph())
        self.check(conv, adj)
        adj.values().mul_(3)
        self.check(conv, adj)

    def test_new_tensors_and_other_sizes(self) -> None:
        conv, (edge_index, weight) = LightGraphConv(), random_graph()
        self.check(conv, edge_index, weight)
        self.check(conv, edge_index, torch.rand(40))
        self.check(conv, edge_index.clone(), weight)
        larger = torch.randn(N + 5, D)
        assert conv(larger, edge_index, weight).shape == larger.shape
        self.check(conv, edge_index, weight)

    def test_two_graphs_are_kept_and_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sorts: list[int] = []
        build = _adjacency.Adjacency.from_edges

        def spy(*args: Any) -> _adjacency.Adjacency:
            sorts.append(1)
            return build(*args)

        monkeypatch.setattr(_adjacency.Adjacency, "from_edges", spy)
        conv, graphs = LightGraphConv(), [random_graph(0), random_graph(1, ordered=True)]
        adj = to_csr(*graphs[0])
        for _ in range(3):
            for edge_index, weight in graphs:
                conv(features(), edge_index, weight)
            conv(features(), adj)
        assert len(sorts) == 2
        assert len(conv._graphs) == 3
        del edge_index, weight, graphs, adj
        gc.collect()
        assert len(conv._graphs) == 0

    def test_inference_mode(self) -> None:
        conv = LightGraphConv()
        with torch.inference_mode():
            edge_index, weight = random_graph()
            before = conv(features(), edge_index, weight)
            weight.mul_(2)
            torch.testing.assert_close(conv(features(), edge_index, weight), 2 * before)

    def test_copies_and_pickles(self) -> None:
        conv, (edge_index, weight) = LightGraphConv(), random_graph()
        expected = conv(features(), edge_index, weight)
        file = io.BytesIO()
        torch.save(conv, file)
        file.seek(0)
        for twin in (copy.deepcopy(conv), torch.load(file, weights_only=False)):
            assert len(twin._graphs) == 0
            assert torch.equal(twin(features(), edge_index, weight), expected)
        assert conv.state_dict() == {}


class TestPath:
    """Where messages matter, PyG's own way is taken."""

    def test_subclass_with_its_own_message(self) -> None:
        class Doubled(LightGraphConv):
            def message(self, x_j: Tensor, edge_weight: Tensor | None) -> Tensor:
                return 2 * super().message(x_j, edge_weight)

        edge_index, weight = random_graph()
        assert Doubled().path(features(), edge_index, weight) == "message_passing"
        torch.testing.assert_close(
            Doubled()(features(), edge_index, weight),
            2 * LightGraphConv()(features(), edge_index, weight),
        )

    def test_hook(self) -> None:
        conv, (edge_index, weight) = LightGraphConv(), random_graph()
        seen = []
        handle = conv.register_message_forward_hook(lambda *args: seen.append(1))
        assert conv.path(features(), edge_index, weight) == "message_passing"
        out = conv(features(), edge_index, weight)
        assert seen
        handle.remove()
        assert conv.path(features(), edge_index, weight) == "embedding_bag"
        torch.testing.assert_close(conv(features(), edge_index, weight), out)

    def test_other_aggregation_and_shape(self) -> None:
        edge_index, weight = random_graph()
        mean = LightGraphConv(aggr="mean")
        assert mean.path(features(), edge_index, weight) == "message_passing"
        torch.testing.assert_close(
            mean(features(), edge_index),
            LGConv(normalize=False, aggr="mean")(features(), edge_index),
        )
        x = torch.randn(3, N, D)
        conv = LightGraphConv()
        assert conv.path(x, edge_index) == "message_passing"
        torch.testing.assert_close(conv(x, edge_index)[1], conv(x[1], edge_index))

    @pytest.mark.filterwarnings("ignore:Converting sparse tensor to CSR")
    def test_coo(self) -> None:
        adj = dense(*random_graph()).to_sparse_coo()
        conv = LightGraphConv()
        assert conv.path(features(), adj) == "message_passing"
        torch.testing.assert_close(conv(features(), adj), dense(*random_graph()) @ features())
