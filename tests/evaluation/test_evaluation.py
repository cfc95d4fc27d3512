"""Ranks and metrics against numbers made by hand, a slow version and PyG's metrics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.metrics import LinkPredMRR, LinkPredNDCG, LinkPredRecall

from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation import (
    evaluate,
    metrics_by_popularity,
    per_user_metric,
    ranking_metrics,
    target_ranks,
)
from mdsrec_pyg.nn.models.base import Recommender


class TableModel(Recommender):
    """Scores each query by a row of a table; the user's id is the row."""

    supports_training = False
    table: Tensor

    def __init__(self, table: Tensor, max_length: int = 3) -> None:
        super().__init__(table.size(1), max_length)
        self.register_buffer("table", table)
        self.inner = nn.Dropout()
        self.encoded: list[int] = []
        self.scored: list[int] = []

    def encode_items(self) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.encoded.append(1)
        return self.table

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        assert not self.training
        assert not self.inner.training
        assert batch.item_id.size(1) <= self.max_length
        self.scored.append(len(batch))
        return items[batch.user_id]


def make_split(histories: list[list[int]], targets: list[int], num_items: int, **kwargs):
    return EvaluationSplit(
        name="test",
        user_id=np.arange(len(targets)),
        target=np.array(targets),
        history_ptr=np.append(0, np.cumsum([len(history) for history in histories])),
        history_item=np.concatenate([np.array(history) for history in histories]),
        num_items=num_items,
        **kwargs,
    )


def slow_ranks(table: Tensor, split: EvaluationSplit, exclude_seen: bool) -> list[float]:
    ranks = []
    for query in range(len(split)):
        target, row = int(split.target[query]), table[query].tolist()
        seen = set(split.history(query).tolist()) if exclude_seen else set()
        others = [row[i] for i in range(len(row)) if i != target and i not in seen]
        ranks.append(
            sum(s > row[target] for s in others) + sum(s == row[target] for s in others) / 2
        )
    return ranks


@pytest.fixture
def random_case() -> tuple[Tensor, EvaluationSplit]:
    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.integers(0, 6, (23, 17)).astype(np.float32))  # many ties
    histories = [rng.integers(0, 17, rng.integers(1, 9)).tolist() for _ in range(23)]
    return table, make_split(histories, rng.integers(0, 17, 23).tolist(), 17)


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_ranks_equal_the_slow_version(random_case, exclude_seen, batch_size):
    table, split = random_case
    model = TableModel(table)
    ranks = target_ranks(model, split, exclude_seen=exclude_seen, batch_size=batch_size)
    assert ranks.tolist() == slow_ranks(table, split, exclude_seen)
    assert max(model.scored) == min(batch_size, 23)


def test_ranks_by_hand():
    table = torch.tensor([[5.0, 4.0, 3.0, 3.0, 1.0], [5.0, 4.0, 3.0, 3.0, 1.0]])
    split = make_split([[0, 0, 1], [2, 0]], [3, 2], 5)
    model = TableModel(table)
    assert target_ranks(model, split, exclude_seen=False).tolist() == [2.5, 2.5]
    # The second user's target is a seen item: it stays, only item 0 goes.
    assert target_ranks(model, split, exclude_seen=True).tolist() == [0.5, 1.5]


def test_items_beyond_the_models_window_are_masked():
    split = make_split([[0, 1, 2, 3]], [4], 6)
    model = TableModel(torch.tensor([[9.0, 8.0, 7.0, 6.0, 1.0, 2.0]]), max_length=2)
    assert target_ranks(model, split, exclude_seen=True).tolist() == [1.0]


def test_constant_scores_get_the_mean_rank():
    split = make_split([[0], [1]], [2, 3], 41)
    result = evaluate(TableModel(torch.zeros(2, 41)), split)
    assert result.ranks.tolist() == [20.0, 20.0]
    assert result.ranks_masked.tolist() == [19.5, 19.5]
    assert result.metrics["recall@20"] == 0.0


def test_infinite_scores_are_ranked():
    split = make_split([[0], [0]], [1, 2], 4)
    table = torch.tensor([[0.0, -math.inf, -math.inf, 1.0], [math.inf, 1.0, math.inf, 0.0]])
    assert target_ranks(TableModel(table), split, exclude_seen=False).tolist() == [2.5, 0.5]


def test_the_rule_for_seen_items_has_no_default(random_case):
    with pytest.raises(TypeError, match="exclude_seen"):
        target_ranks(TableModel(random_case[0]), random_case[1])  # type: ignore[call-arg]


def test_metrics_by_hand():
    ranks = [0, 1, 9, 9.5, 10]
    assert per_user_metric(ranks, "recall@10").tolist() == [1, 1, 1, 1, 0]
    ndcg = [1, 1 / math.log2(3), 1 / math.log2(11), 1 / math.log2(11.5), 0]
    assert per_user_metric(ranks, "ndcg@10") == pytest.approx(ndcg)
    assert per_user_metric(ranks, "mrr") == pytest.approx([1, 1 / 2, 1 / 10, 1 / 10.5, 1 / 11])
    metrics = ranking_metrics(ranks, k=(1, 10))
    assert list(metrics) == ["recall@1", "recall@10", "ndcg@1", "ndcg@10", "mrr"]
    assert metrics["recall@1"] == pytest.approx(1 / 5)
    assert metrics["ndcg@10"] == pytest.approx(sum(ndcg) / 5)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_metrics_equal_pyg_without_ties(k):
    scores = torch.rand(50, 40, generator=torch.Generator().manual_seed(0))
    assert scores.unique().numel() == scores.numel()
    target = torch.arange(50) % 40
    split = make_split([[0]] * 50, target.tolist(), 40)
    result = evaluate(TableModel(scores), split, k=(k,))
    best = scores.topk(k).indices
    pairs = torch.stack([torch.arange(50), target])
    metrics = {f"recall@{k}": LinkPredRecall(k), f"ndcg@{k}": LinkPredNDCG(k)}
    for name, metric in (metrics | ({"mrr": LinkPredMRR(k)} if k == 40 else {})).items():
        metric.update(best, pairs)
        assert result.metrics[name] == pytest.approx(float(metric.compute()), abs=1e-6)


def test_evaluate_scores_once_and_reports(random_case):
    table, split = random_case
    model = TableModel(table)
    result = evaluate(model, split, k=(3,), batch_size=10)
    assert model.encoded == [1]
    assert model.scored == [10, 10, 3]
    assert result.ranks.tolist() == slow_ranks(table, split, False)
    assert result.ranks_masked.tolist() == slow_ranks(table, split, True)
    content = result.to_dict()
    assert content["num_queries"] == 23
    assert content["num_items"] == 17
    assert content["seen_kept"] == ranking_metrics(result.ranks, (3,))
    assert content["seen_masked"] == ranking_metrics(result.ranks_masked, (3,))
    assert "23 queries over 17 items" in str(result)


def test_evaluate_reports_the_share_of_tied_targets():
    split = make_split([[0]] * 4, [1] * 4, 3, tied=np.array([True, False, False, False]))
    result = evaluate(TableModel(torch.rand(4, 3)), split)
    assert result.tied == 0.25
    assert "25.0%" in str(result)


def test_modes_come_back(random_case):
    table, split = random_case
    model = TableModel(table).train()
    model.inner.eval()
    target_ranks(model, split, exclude_seen=False)
    assert model.training
    assert not model.inner.training
    with pytest.raises(ValueError, match="catalog"):
        target_ranks(TableModel(torch.zeros(23, 5)), split, exclude_seen=False)
    broken = TableModel(table * torch.nan).train()
    with pytest.raises(ValueError, match=r"got NaN, first for user 0 \(query 0 of 'test'"):
        target_ranks(broken, split, exclude_seen=False)
    assert broken.training


def test_what_evaluation_computes_can_be_trained_on(toy_model, toy_split):
    model = toy_model()
    kept: list[Tensor] = []

    def encode_items() -> Tensor:
        kept.append(model.item.weight * 2)
        return kept[-1]

    model.encode_items = encode_items
    target_ranks(model, toy_split.val, exclude_seen=False)
    (kept[0] * model.scale).sum().backward()  # an inference tensor would raise here
    assert model.scale.grad is not None


def test_device_and_progress_are_used(random_case, monkeypatch, capsys):
    table, split = random_case
    model = TableModel(table)
    moved, bars = [], []

    def move(scoring: TableModel, device: torch.device) -> TableModel:
        moved.append((scoring is model, device))
        raise StopIteration

    with monkeypatch.context() as patch:
        patch.setattr(TableModel, "to", move)
        with pytest.raises(StopIteration):
            target_ranks(model, split, exclude_seen=False, device="meta")
    assert moved == [(False, torch.device("meta"))]

    def bar(*args, **kwargs):
        bars.append(kwargs["disable"])
        return original(*args, **kwargs)

    original = __import__("tqdm").tqdm
    monkeypatch.setattr("mdsrec_pyg.evaluation.ranking.tqdm", bar)
    target_ranks(model, split, exclude_seen=False)
    target_ranks(model, split, exclude_seen=False, progress=True)
    assert bars == [True, None]


def test_wrong_shape_of_scores_is_an_error(random_case):
    table, split = random_case
    model: Any = TableModel(table)
    model.score = lambda batch, items: items[batch.user_id][:, :5]
    with pytest.raises(ValueError, match=r"must return shape \(23, 17\) \(got \(23, 5\)\)"):
        target_ranks(model, split, exclude_seen=False)


@pytest.mark.parametrize("name", ["hit@10", "ndcg@0", "recall@", "ndcg@10x", "recall@-1"])
def test_unknown_metrics_are_errors(name):
    with pytest.raises(ValueError, match="a metric is"):
        per_user_metric([0.0], name)


@pytest.mark.parametrize("ranks", [[], [[1.0]], [-1.0], [math.nan]])
def test_bad_ranks_are_errors(ranks):
    with pytest.raises(ValueError, match="'ranks' must be"):
        per_user_metric(ranks, "mrr")


def test_bad_cutoffs_and_empty_splits_are_errors(random_case):
    table, split = random_case
    for k in ([], [0], [10, -1]):
        with pytest.raises(ValueError, match="'k' must hold"):
            evaluate(TableModel(table), split, k=k)
    none = np.zeros(0, np.int64)
    empty = EvaluationSplit("val", none, none, np.zeros(1, np.int64), none, num_items=17)
    with pytest.raises(ValueError, match="at least one query"):
        evaluate(TableModel(table), empty)


def test_metrics_by_popularity():
    counts = np.array([0, 1, 2, 5, 100])
    ranks, targets = [0.0, 1.0, 30.0, 4.0], [0, 1, 2, 4]
    table = metrics_by_popularity(ranks, targets, counts, bounds=(0, 1, 3, 6), k=(10,))
    assert table.index.tolist() == ["0", "1-2", "3-5", "6+"]
    assert table["queries"].tolist() == [1, 2, 0, 1]
    assert table["recall@10"].tolist()[:2] == [1.0, 0.5]
    assert math.isnan(table["recall@10"].iloc[2])
    assert table["ndcg@10"].iloc[1] == pytest.approx(1 / math.log2(3) / 2)
    assert metrics_by_popularity(ranks, targets, counts)["queries"].sum() == 4
    for bounds in ((), (1, 3), (0, 3, 3)):
        with pytest.raises(ValueError, match="'bounds' must rise"):
            metrics_by_popularity(ranks, targets, counts, bounds=bounds)
    with pytest.raises(ValueError, match="same length"):
        metrics_by_popularity(ranks, targets[:2], counts)


def test_ranks_over_several_blocks_of_scores() -> None:
    table = torch.randn(5, 150_000, generator=torch.Generator().manual_seed(0))
    table[3] = table[3].round()  # ties
    split = make_split([[0]] * 5, [1, 2, 3, 4, 5], 150_000)
    ranks = target_ranks(TableModel(table), split, exclude_seen=False)
    reference = table[range(5), split.target][:, None]
    equal = (table == reference).sum(1) - 1
    assert ranks.tolist() == ((table > reference).sum(1) + equal / 2).tolist()
