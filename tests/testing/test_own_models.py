"""Our models and layers, and one of a user's own, pass the public contract tests."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GCNConv, GINConv, MessagePassing

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import (
    EASE,
    GRU4Rec,
    ItemGraphEncoder,
    LightGraphConv,
    MDSRec,
    Popularity,
    Recommender,
    SASRec,
    SequentialRecommender,
)
from mdsrec_pyg.testing import GraphConvTests, RecommenderTests, SmallData

SIZE: dict[str, Any] = {"channels": 4, "max_length": 9}


def features(data: SmallData) -> list[Tensor]:
    return [feature.x for feature in data.features.values()]


class TestPopularity(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return Popularity(data.train, history_bias=0.5)


class TestEASE(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return EASE(data.train, list(data.features.values()), decay=0.9, history_bias=0.1)


class TestSASRec(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return SASRec(data.num_items, **SIZE)


class TestSASRecF(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return SASRec(data.num_items, features(data), **SIZE)


class TestESASRec(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return SASRec(data.num_items, block="ligr", num_negatives=7, **SIZE)


class TestGRU4Rec(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return GRU4Rec(data.num_items, history_bias=False, **SIZE)


class TestPaper(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        off: dict[str, Any] = dict.fromkeys(("add_id", "add_features", "add_centers"), False)
        form: dict[str, Any] = {
            "center_form": "projected",
            "center_mode": "only",
            "history_bias": False,
        }
        return MDSRec(data.graphs, data.centers, **off, **form, **SIZE)


class TestMDSRec(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        more: dict[str, Any] = {"vote_hidden": 3, "num_components": 3, "center_form": "soft"}
        return MDSRec(data.graphs, data.centers, data.relations, **more, **SIZE)


class TestVotes(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return MDSRec(data.graphs, data.centers, data.relations, vectors=False, **SIZE)


def gat() -> MessagePassing:
    return GATv2Conv(4, 4, edge_dim=1)


class TestOwnLayerInMDSRec(RecommenderTests):
    own_parts: dict[str, Any] = {"conv": gat}  # noqa: RUF012

    def factory(self, data: SmallData) -> Recommender:
        return MDSRec(data.graphs, conv=gat, **SIZE)


class Mean(SequentialRecommender):
    """The mean of the history's vectors: a model as a user would write it."""

    def __init__(self, num_items: int, channels: int) -> None:
        super().__init__(num_items, max_length=9)
        self.item = nn.Embedding(num_items, channels)

    def hyperparameters(self) -> dict[str, Any]:
        return {"num_items": self.num_items, "channels": self.item.embedding_dim}

    def encode_items(self) -> Tensor:
        return self.item.weight

    def encode_users(self, batch: SequenceBatch, items: Tensor, newest_only: bool) -> Tensor:
        real = batch.mask[..., None].float()
        users = (items[batch.item_id] * real).cumsum(1) / real.cumsum(1).clamp(min=1)
        return users[:, -1:] if newest_only else users


class TestMean(RecommenderTests):
    def factory(self, data: SmallData) -> Recommender:
        return Mean(data.num_items, 4)


class TestLightGraphConv(GraphConvTests):
    def factory(self) -> MessagePassing:
        return LightGraphConv()


class TestGCNConv(GraphConvTests):
    def factory(self) -> MessagePassing:
        return GCNConv(8, 8)


class TestGINConv(GraphConvTests):
    uses_edge_weight = False

    def factory(self) -> MessagePassing:
        return GINConv(nn.Linear(8, 8))


# ---- the contract tests find what they are for --------------------------------------------------


class Leaky(Mean):
    """Every row sees the mean of the batch, and padding; a tensor stands outside of the buffers."""

    def __init__(self, num_items: int, channels: int) -> None:
        super().__init__(num_items, channels)
        self.shift = [torch.ones(channels)]

    def encode_users(self, batch: SequenceBatch, items: Tensor, newest_only: bool) -> Tensor:
        users = items[batch.item_id].cumsum(1) + self.shift[0]
        users = users - users.mean((0, 1)) + torch.rand(())
        return users[:, -1:] if newest_only else users


@pytest.mark.parametrize(
    "name",
    [
        "test_scores_repeat",
        "test_a_history_alone_scores_as_in_a_batch",
        "test_what_stands_under_padding_does_not_count",
    ],
)
def test_a_leaky_model_fails(name: str) -> None:
    data = SmallData()
    with pytest.raises(AssertionError):
        getattr(RecommenderTests(), name)(Leaky(24, 4).eval(), data.batch())


def test_a_tensor_that_does_not_move_fails() -> None:
    with pytest.raises(AssertionError, match=r"\.shift"):
        RecommenderTests().test_everything_moves(Leaky(24, 4))


def test_a_layer_without_weights_fails() -> None:
    data = SmallData()
    encoder = ItemGraphEncoder(1, lambda: GINConv(nn.Linear(8, 8)))
    with pytest.raises(AssertionError):
        GraphConvTests().test_weights_count_or_not_as_it_says(
            encoder, data.graphs["text"], torch.randn(24, 8)
        )


def test_without_pytest_the_error_says_so() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "try:\n import mdsrec_pyg.testing\nexcept ImportError as error:\n print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "mdsrec_pyg.testing needs pytest: pip install pytest"
