"""Targets that stand in their own history, where seen items are masked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mdsrec_pyg import SASRec, build_mdsrec
from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.evaluation import evaluate
from mdsrec_pyg.nn import HistoryBias
from mdsrec_pyg.nn.models.base import Recommender
from tests.evaluation.test_evaluation import TableModel, make_split


class BiasedTable(TableModel):
    """A table with a bias on what was seen, as EASE has it."""

    def __init__(self, table: Tensor, history_bias: Any) -> None:
        super().__init__(table)
        self.history_bias = history_bias

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        scores = super().score(batch, items).clone()
        if isinstance(self.history_bias, HistoryBias):
            return self.history_bias(scores[:, None], batch.item_id, batch.mask)[:, 0]
        if self.history_bias:
            scores.scatter_add_(1, batch.item_id, self.history_bias * batch.mask.float())
        return scores


def learned() -> HistoryBias:
    bias = HistoryBias(3)
    nn.init.constant_(bias.weight, -1)
    return bias


class AlwaysBiased(TableModel):
    """A model of somebody's own that never asks whether it has a bias, and calls it otherwise."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        self.biases = nn.ModuleList([learned()])

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        scores = super().score(batch, items)[:, None]
        return self.biases[0](scores, batch.item_id, batch.mask)[:, 0]


class Ruled(BiasedTable):
    """A model whose bias is a property, and that says itself how it goes without."""

    size = -10.0

    def __init__(self, table: Tensor) -> None:
        TableModel.__init__(self, table)

    @property
    def history_bias(self) -> float:
        return self.size

    def leave_out_history_bias(self) -> bool:
        self.size = 0.0
        return True


class Fixed(Ruled):
    """The same, but it does not say."""

    leave_out_history_bias = None  # type: ignore[assignment]


TABLE = torch.tensor([[5.0, 4, 3, 2], [5, 4, 3, 2], [1, 2, 3, 4]])
AGAIN = make_split([[0, 2], [1], [1, 0]], [2, 2, 3], 4)


@pytest.mark.parametrize(
    "model",
    [
        BiasedTable(TABLE, -10.0),
        BiasedTable(TABLE, -10),
        BiasedTable(TABLE, np.float32(-10)),
        BiasedTable(TABLE, torch.tensor(-10.0)),
        BiasedTable(TABLE, nn.Parameter(torch.tensor(-10.0))),
        BiasedTable(TABLE, learned()),
        AlwaysBiased(TABLE),
        Ruled(TABLE),
    ],
    ids=["number", "int", "numpy", "tensor", "parameter", "learned", "always", "own"],
)
def test_with_seen_items_masked_a_repeated_target_is_ranked_without_the_bias(
    model: Recommender,
) -> None:
    assert AGAIN.repeated.tolist() == [True, False, False]
    before = getattr(model, "history_bias", None)
    for _ in range(2):
        result = evaluate(model, AGAIN)
        assert result.ranks.tolist() == [3, 1, 0]  # the bias puts the first target last
        assert result.ranks_masked.tolist() == [1, 1, 0]  # it is 3 again, behind item 1 alone
        assert getattr(model, "history_bias", None) is before
    plain = evaluate(BiasedTable(TABLE, None), AGAIN)
    assert plain.ranks_masked.tolist() == result.ranks_masked.tolist()


def test_a_bias_that_cannot_be_taken_out_stays() -> None:
    assert evaluate(Fixed(TABLE), AGAIN).ranks_masked.tolist() == [2, 1, 0]


def test_a_compiled_model_is_ranked_without_the_bias(toy_split) -> None:
    test = toy_split.test
    again = test.history_item[test.history_ptr[1:] - 1]
    split = replace(test, target=again, cold=np.zeros(len(test), bool))
    model = SASRec(30, channels=8)
    assert model.history_bias is not None
    nn.init.constant_(model.history_bias.weight, -3)
    want = evaluate(model, split)
    compiled: Any = torch.compile(model, backend="eager")
    for _ in range(2):  # the compiled model still has its bias
        found = evaluate(compiled, split)
        assert (found.ranks == want.ranks).all()
        assert (found.ranks_masked == want.ranks_masked).all()


@pytest.mark.parametrize("kind", ["vectors", "votes and vectors"])
def test_masked_ranks_do_not_depend_on_the_bias(toy_split, kind: str) -> None:
    test = toy_split.test
    model: Recommender = SASRec(30, channels=8)
    if kind != "vectors":
        model = build_mdsrec({}, toy_split.train)
    again = test.history_item[test.history_ptr[1:] - 1]  # each target is the newest item
    split = replace(test, target=again, cold=np.zeros(len(test), bool))
    before = evaluate(model, split)
    biases = [module for module in model.modules() if isinstance(module, HistoryBias)]
    assert biases
    for bias in biases:
        nn.init.constant_(bias.weight, -3)
    after = evaluate(model, split)
    assert (after.ranks_masked == before.ranks_masked).all()
    assert (after.ranks > before.ranks).any()


def test_some_queries_of_a_split(toy_split) -> None:
    test = toy_split.test
    part = test.select(np.array([4, 1]))
    assert part.target.tolist() == test.target[[4, 1]].tolist()
    assert part.history(0).tolist() == test.history(4).tolist()
    assert part.history(1).tolist() == test.history(1).tolist()
    mask = np.zeros(len(test), bool)
    assert len(test.select(mask)) == 0
    mask[3] = True
    assert test.select(mask).user_id.tolist() == test.user_id[3:4].tolist()
