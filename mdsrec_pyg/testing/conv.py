"""What a layer must do to take the place of ours, as tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing

from mdsrec_pyg.nn import ItemGraphEncoder, MDSRec, Recommender
from mdsrec_pyg.testing.data import SmallData, small_data

__all__ = ["GraphConvTests"]


class GraphConvTests:
    """Contract tests of a GNN layer: subclass it, name the class ``Test...``, give a factory.

    Attributes:
        channels: D of the items; the layer maps [N, D] to [N, D].
        uses_edge_weight: False for a layer that sees the edges alone, such as GINConv.
        tolerance: Between results that sum in another order.
    """

    channels: int = 8
    uses_edge_weight: bool = True
    tolerance: float = 1e-4

    def factory(self) -> MessagePassing:
        """Your layer, of ``self.channels`` in and out."""
        raise NotImplementedError

    @pytest.fixture
    def data(self) -> SmallData:
        """The same for all tests: graphs and centers are made once."""
        return small_data()

    @pytest.fixture
    def graph(self, data: SmallData) -> Data:
        """An item graph with weights."""
        return data.graphs["text"]

    @pytest.fixture
    def x(self, data: SmallData) -> Tensor:
        """Item embeddings [N, D]."""
        return torch.randn(
            data.num_items, self.channels, generator=torch.Generator().manual_seed(0)
        )

    @pytest.fixture
    def encoder(self) -> ItemGraphEncoder:
        """The layer in its place, in evaluation mode."""
        torch.manual_seed(0)
        return ItemGraphEncoder(1, self.factory).eval()

    def test_it_keeps_the_shape(self, encoder: Any, graph: Data, x: Tensor) -> None:
        """[N, D] to [N, D], finite, and something happens."""
        out = encoder(x, graph)
        assert out.shape == x.shape
        assert out.isfinite().all()
        assert not torch.equal(out, x)

    def test_it_repeats(self, encoder: Any, graph: Data, x: Tensor) -> None:
        """Evaluation draws nothing, and nothing is changed in place."""
        before = x.clone(), graph.edge_index.clone(), graph.edge_weight.clone()
        assert torch.equal(encoder(x, graph), encoder(x, graph))
        for one, two in zip(before, (x, graph.edge_index, graph.edge_weight), strict=True):
            assert torch.equal(one, two)

    def test_edges_count(self, encoder: Any, graph: Data, x: Tensor) -> None:
        """Another graph gives other items."""
        fewer = Data(
            edge_index=graph.edge_index[:, ::2],
            edge_weight=graph.edge_weight[::2],
            num_nodes=graph.num_nodes,
        )
        assert not torch.allclose(encoder(x, graph), encoder(x, fewer))

    def test_weights_count_or_not_as_it_says(self, encoder: Any, graph: Data, x: Tensor) -> None:
        """A layer that silently leaves the weights out is not the layer one thinks it is."""
        other = graph.edge_weight * torch.linspace(0.1, 2.0, graph.num_edges)
        changed = encoder(x, graph.edge_index, other)
        same = torch.allclose(encoder(x, graph), changed, rtol=1e-6, atol=1e-6)
        assert same is not self.uses_edge_weight

    def test_names_of_the_items_do_not_count(self, encoder: Any, graph: Data, x: Tensor) -> None:
        """Permuting the items permutes the result."""
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        place = torch.empty_like(order)
        place[order] = torch.arange(len(x))
        out = encoder(x[order], place[graph.edge_index], graph.edge_weight)
        torch.testing.assert_close(
            out, encoder(x, graph)[order], rtol=self.tolerance, atol=self.tolerance
        )

    def test_items_without_an_edge_are_numbers(self, encoder: Any, graph: Data, x: Tensor) -> None:
        """The mean of no neighbors must not be NaN."""
        none = encoder(x, graph.edge_index[:, :0], graph.edge_weight[:0])
        assert none.shape == x.shape
        assert none.isfinite().all()

    def test_it_keeps_the_dtype(self, encoder: Any, graph: Data, x: Tensor) -> None:
        """In double precision nothing turns into single."""
        out = encoder.double()(x.double(), graph.edge_index, graph.edge_weight.double())
        assert out.dtype == torch.float64

    def test_the_gradient_reaches_items_and_parameters(
        self, encoder: Any, graph: Data, x: Tensor
    ) -> None:
        """Finite, and there."""
        x = x.clone().requires_grad_()
        encoder.train()(x, graph).square().sum().backward()
        for name, tensor in [("x", x), *encoder.named_parameters()]:
            assert tensor.grad is not None, name
            assert tensor.grad.isfinite().all(), name
        assert x.grad is not None
        assert x.grad.any()

    def test_it_is_trained_and_saved_in_a_model(self, data: SmallData, tmp_path: Path) -> None:
        """MDSRec with this layer: the loss falls, and it is loaded with the layer again."""
        torch.manual_seed(0)
        size: dict[str, Any] = {"channels": self.channels, "max_length": data.max_length}
        model = MDSRec(data.graphs, data.centers, conv=self.factory, **size).eval()
        batch = data.batch()
        before = model.loss(batch).item()
        optimizer = torch.optim.AdamW(model.param_groups(3e-3, 0.0))
        for _ in range(5):
            optimizer.zero_grad()
            model.loss(batch).backward()
            optimizer.step()
        assert model.loss(batch).item() < before
        model.save(tmp_path / "model")
        loaded = Recommender.load(tmp_path / "model", conv=self.factory)
        assert torch.equal(loaded.score(batch), model.score(batch))
