from __future__ import annotations

import pytest
import torch

from mdsrec_pyg.nn import HistoryBias
from mdsrec_pyg.nn.history_bias import steps_back, visible_steps


def make(gamma: list[float], scale: float = 10.0) -> HistoryBias:
    bias = HistoryBias(len(gamma), scale)
    bias.weight.data = torch.tensor(gamma) / scale
    return bias


def test_steps_back_by_hand() -> None:
    assert steps_back(3, newest_only=False).tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]
    assert steps_back(3, newest_only=True).tolist() == [[2, 1, 0]]


def test_visible_steps_by_hand() -> None:
    mask = torch.tensor([[False, True, True]])
    assert visible_steps(mask, steps_back(3, newest_only=False)).tolist() == [
        [[False, False, False], [False, True, False], [False, True, True]]
    ]


def test_numbers_by_hand() -> None:
    bias = make([1.0, 20.0, 300.0])
    item_id = torch.tensor([[0, 3, 1, 3]])  # the first is padding
    mask = torch.tensor([[False, True, True, True]])
    scores = bias(torch.zeros(1, 4, 5), item_id, mask)
    assert scores[0].tolist() == [
        [0, 0, 0, 0, 0],  # a padded step asks
        [0, 0, 0, 1, 0],
        [0, 1, 0, 20, 0],
        [0, 20, 0, 301, 0],  # item 3: now and two steps back
    ]
    newest = bias(torch.full((1, 1, 5), 0.5), item_id, mask)
    assert newest[0].tolist() == [[0.5, 20.5, 0.5, 301.5, 0.5]]


def test_items_further_back_share_the_last_value() -> None:
    bias = make([1.0, 20.0])
    scores = bias(torch.zeros(1, 1, 4), torch.tensor([[0, 1, 2, 3]]), torch.ones(1, 4).bool())
    assert scores.flatten().tolist() == [20, 20, 20, 1]


def test_scores_are_not_changed_in_place_and_values_agree() -> None:
    bias, scores = make([1.0, 20.0, 300.0]), torch.zeros(2, 3, 4)
    item_id = torch.tensor([[0, 1, 2], [3, 3, 3]])
    mask = torch.tensor([[False, True, True], [True, True, True]])
    out = bias(scores, item_id, mask)
    assert not scores.any()
    values = bias.values(mask, newest_only=False)
    assert values.shape == (2, 3, 3)
    assert values.sum() == out.sum()
    assert values[0, 2].tolist() == [0, 20, 1]


def test_it_starts_at_zero_and_learns_at_its_scale() -> None:
    bias = HistoryBias(3, scale=5.0)
    assert bias.gamma.tolist() == [0, 0, 0]
    scores = bias(torch.zeros(1, 1, 4), torch.tensor([[1, 2]]), torch.ones(1, 2).bool())
    scores[0, 0, 1].backward()
    assert bias.weight.grad is not None
    assert bias.weight.grad.tolist() == [0, 5, 0]


def test_lower_precision_stays() -> None:
    scores = torch.zeros(1, 1, 4, dtype=torch.bfloat16)
    out = make([1.0])(scores, torch.tensor([[2]]), torch.ones(1, 1).bool())
    assert out.dtype == torch.bfloat16
    assert out.flatten().tolist() == [0, 0, 1, 0]


def test_a_length_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'max_length' must be at least 1 \(got 0\)"):
        HistoryBias(0)
