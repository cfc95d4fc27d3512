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


@pytest.mark.parametrize("kind", ["number", "learned"])
def test_with_seen_items_masked_a_repeated_target_is_ranked_without_the_bias(kind: str) -> None:
    table = torch.tensor([[5.0, 4, 3, 2], [5, 4, 3, 2], [1, 2, 3, 4]])
    split = make_split([[0, 2], [1], [1, 0]], [2, 2, 3], 4)
    assert split.repeated.tolist() == [True, False, False]
    bias: Any = -10.0
    if kind == "learned":
        bias = HistoryBias(3)
        nn.init.constant_(bias.weight, -1)
    model = BiasedTable(table, bias)
    result = evaluate(model, split)
    assert result.ranks.tolist() == [3, 1, 0]  # the bias puts the first target last
    assert result.ranks_masked.tolist() == [1, 1, 0]  # it is 3 again, behind item 1 alone
    assert model.history_bias is bias
    plain = evaluate(BiasedTable(table, None), split)
    assert plain.ranks_masked.tolist() == result.ranks_masked.tolist()


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
