from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_geometric.data import Data

from mdsrec_pyg import recommend
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import MDSRec, Relations
from tests.nn.vote_cases import naive_fusion

KINDS: dict[str, dict[str, Any]] = {
    "votes": {"vectors": False},
    "vectors": {"relations": None},
    "both": {"vector_weight": 0.5},
    "votes without bias": {"vectors": False, "history_bias": False},
    "both without bias": {"vector_weight": 0.5, "history_bias": False},
}
NAMES = ["image", "text"]


@pytest.fixture
def make(world, perturb) -> Callable[[str], MDSRec]:
    def build(kind: str) -> MDSRec:
        parts = {name: getattr(world, name) for name in ("graphs", "centers", "relations")}
        torch.manual_seed(0)
        options = {"channels": 4, "max_length": 9, **KINDS[kind]}
        model = MDSRec(**{**parts, **options})
        perturb(model)
        return model

    return build


@pytest.fixture
def item_index(world) -> Tensor:
    """Eight items for each history, the one just seen first."""
    rows = []
    for newest in world.batch.item_id[:, -1].tolist():
        others = [item for item in torch.randperm(24).tolist() if item != newest]
        rows.append([newest, *others[:7]])
    return torch.tensor(rows)


def slow_votes(model: MDSRec, world, dense_edges, b: int, item: int) -> dict[int, Tensor]:
    """Votes [M] of each different item of the history, from the dense S."""
    if model.votes is None:
        return {}
    batch = world.batch
    history = batch.item_id[b][batch.mask[b]].tolist()
    if model.votes.history_bias is not None and item in history:
        return {}
    alpha = model.votes.weight.exp()
    tables = [dense_edges(world.relations.graphs[name]) for name in NAMES]
    votes: dict[int, Tensor] = {}
    for i, voter in enumerate(history):
        back = len(history) - 1 - i
        vote = torch.stack([alpha[m, back] * tables[m][voter, item] for m in range(2)])
        votes[voter] = votes.get(voter, torch.zeros(2)) + vote
    return {voter: vote for voter, vote in votes.items() if vote.sum() > 0}


def slow_parts(
    model: MDSRec, world, dense_edges, votes: dict[int, Tensor], b: int, item: int
) -> Tensor:
    """What each modality adds to the score, [M]."""
    parts = torch.zeros(2)
    if votes:
        assert model.votes is not None
        v = torch.stack(list(votes.values())).sum(0)
        largest = torch.stack(
            [dense_edges(world.relations.graphs[name])[list(votes), item].max() for name in NAMES]
        )
        parts += v / v.sum() * naive_fusion(model.votes.fusion, v[None], largest[None])
    if model.config.vectors:
        items = model.encode_items()
        assert items.embedding is not None
        users, weights = model.encode_modalities(world.batch, items)
        for m in range(2):
            scores = weights[b, 0, m] * (items.embedding[m] @ users[b, 0, m])
            beta = 1.0 if model.votes is None else model.config.vector_weight
            parts[m] += beta * (scores[item] - scores.mean())
    return parts


@pytest.mark.parametrize("kind", KINDS)
def test_equals_brute_force(make, world, dense_edges, item_index: Tensor, kind: str) -> None:
    model, batch = make(kind).train(), world.batch
    why = model.explain(batch, item_index)
    assert model.training  # as it was
    model.eval()
    several = 0
    with torch.no_grad():
        for b in range(0, len(batch), 2):
            history = batch.item_id[b][batch.mask[b]].tolist()
            for place, item in enumerate(item_index[b].tolist()):
                votes = slow_votes(model, world, dense_edges, b, item)
                parts = slow_parts(model, world, dense_edges, votes, b, item)
                modality = int(parts.argmax()) if votes or model.config.vectors else None
                gains = parts.clamp(min=0) / max(float(parts.clamp(min=0).sum()), 1e-12)
                shares = why["modality_shares"][b][place]
                assert shares == pytest.approx(gains.tolist(), abs=1e-4)
                row = {name: values[b][place] for name, values in why.items()}
                assert row["modality"] == (None if modality is None else NAMES[modality])
                assert row["center"] == (
                    None if modality is None else world.centers[NAMES[modality]].labels_[item]
                )
                ranked = sorted(votes, key=lambda voter: -float(votes[voter].sum()))[:5]
                assert row["voter_items"] == ranked
                assert row["voter_modalities"] == [NAMES[votes[v].argmax()] for v in ranked]
                total = sum(float(vote.sum()) for vote in votes.values())
                shares = [float(votes[v].sum()) / total for v in ranked]
                assert row["voter_shares"] == pytest.approx(shares, rel=1e-4)
                assert row["seen"] is (item in history)
                several += len(ranked) > 1
    assert several > 5 or kind == "vectors"


def test_parts_add_up_to_the_score(make, world, item_index: Tensor, dense_edges) -> None:
    """Up to a constant for each history: the scores of the mean item."""
    model = make("both without bias").eval()
    with torch.no_grad():
        scores = model.score(world.batch)
        for b in (0, 7):
            differences = []
            for item in item_index[b].tolist():
                votes = slow_votes(model, world, dense_edges, b, item)
                parts = slow_parts(model, world, dense_edges, votes, b, item)
                differences.append(float(scores[b, item] - parts.sum()))
            assert differences == pytest.approx([differences[0]] * 8, abs=1e-4)


def test_items_of_the_caller_are_used(make, world, item_index: Tensor) -> None:
    model = make("both").eval()
    items = model.encode_items()
    assert model.explain(world.batch, item_index, items) == model.explain(world.batch, item_index)
    items.embedding = items.embedding.flip(0)
    assert model.explain(world.batch, item_index, items) != model.explain(world.batch, item_index)


def test_without_centers(world, item_index: Tensor) -> None:
    model = MDSRec(world.graphs, None, world.relations, channels=4, max_length=9)
    why = model.explain(world.batch, item_index)
    assert why["center"] == [[None] * 8] * len(world.batch)
    assert {name for row in why["modality"] for name in row} <= set(NAMES)


def test_the_newer_of_equal_voters_comes_first(world) -> None:
    model = MDSRec(world.graphs, None, world.relations, vectors=False, max_length=9)
    votes = model.votes
    assert votes is not None
    for table in votes.tables:  # all vote for target 5 with the same weight
        table.get_buffer("weight").fill_(0.0)[:, 0] = 0.5
        table.get_buffer("target").fill_(5)
    with torch.no_grad():
        votes.weight.zero_()  # however far back
    batch = type(world.batch).from_histories([[0, 1, 2, 3, 4, 6]], 9)
    why = model.explain(batch, torch.tensor([[5]]))
    assert why["voter_items"] == [[[6, 4, 3, 2, 1]]]
    assert why["voter_shares"][0][0] == pytest.approx([1 / 6] * 5)


@pytest.mark.parametrize("kind", KINDS)
def test_recommendations_say_why_with_raw_ids(make, world, kind: str) -> None:
    model, raw = make(kind), np.array([f"item {i}" for i in range(24)])
    histories = {"ann": ["item 1", "item 2", "item 1"], "bob": ["item 9"]}
    table = recommend(model, histories, 24, exclude_seen=False, item_ids=raw, explain=True)
    assert list(table)[4:] == [
        "modality",
        "modality_shares",
        "center",
        "voter_items",
        "voter_modalities",
        "voter_shares",
        "seen",
    ]
    for _, row in table.iterrows():
        own = histories[row["user"]]
        assert set(row["voter_items"]) <= set(own)
        assert row["seen"] == (row["item"] in own)
        assert len(row["voter_items"]) == len(row["voter_modalities"]) == len(row["voter_shares"])
    assert table["voter_items"].str.len().gt(0).any() == (kind != "vectors")
    assert table["modality"].isin(NAMES).any()


class Largest(TorchDispatchMode):
    """Notes the most numbers that an operation made, views aside."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.size, self.name = 0, ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in tree_leaves(result):
            if isinstance(part, Tensor) and part.untyped_storage().data_ptr() not in self.known:
                self.size, self.name = max((self.size, self.name), (part.numel(), str(func)))
        return result


def test_nothing_as_large_as_the_catalog_is_made() -> None:
    num_items = 3_000
    graphs = {}
    for name in NAMES:
        source = torch.arange(num_items).repeat_interleave(3)
        target = (source + torch.arange(len(source)) % 7 + 1) % num_items
        graphs[name] = Data(
            x=torch.randn(num_items, 4),
            edge_index=torch.stack([source, target]),
            edge_weight=torch.rand(len(source)),
            num_nodes=num_items,
        )
    model = MDSRec(graphs, None, Relations(graphs, None, "none"), channels=8, max_length=4).eval()
    batch = SequenceBatch.from_histories([[5, 6, 7]], 4)
    with torch.no_grad():
        items = model.encode_items()
        tables = [*model.parameters(), *model.buffers(), items.embedding]
        with Largest(part for part in tables if part is not None) as made:
            why = model.explain(batch, torch.tensor([[6, 9, 12, 2_000]]), items)
    assert any(why["voter_items"][0])
    assert made.size < num_items, made.name
