"""The forms that are exported, before they are: each scores as its model does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mdsrec_pyg import Popularity, SASRec
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.export.formats import Answer
from mdsrec_pyg.export.program import Program, largest
from mdsrec_pyg.nn.models.dense import DensePopularity, InnerProducts, OwnScores
from mdsrec_pyg.nn.models.exporting import form_of
from mdsrec_pyg.retrieval import top_items
from tests.export.export_cases import MODELS, NUM_ITEMS, K, assert_same, make

#: Nothing here changes a model.
made_once = cache(make)


@torch.no_grad()
def program(model: Any, k: int = K, exclude_seen: bool = True) -> Program:
    form = form_of(type(model))(model, model.encode_items())
    return Program(form, model.num_items, k, exclude_seen).eval()


def form_of_votes(name: str) -> Any:
    return program(made_once(name)).scores.get_submodule("votes")


def as_answer(made: Program) -> Answer:
    @torch.no_grad()
    def answer(item_id: Any, mask: Any) -> Any:
        found = made(torch.from_numpy(item_id), torch.from_numpy(mask))
        return tuple(part.numpy() for part in found)

    return answer


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_form_answers_as_the_retriever(name: str, exclude_seen: bool) -> None:
    model = made_once(name)
    made = program(model, exclude_seen=exclude_seen)
    assert not isinstance(made.scores, OwnScores)
    assert_same(model, as_answer(made), exclude_seen)


def test_votes_are_weighed_for_all_items_or_where_they_end() -> None:
    ways = {
        name: form_of_votes(name).weighs_all
        for name in MODELS
        if "mds" in name and "paper" not in name
    }
    assert ways.pop("mdsrec few votes") is False
    assert set(ways.values()) == {True}


@pytest.mark.parametrize("name", MODELS)
def test_what_stands_under_padding_does_not_count(name: str) -> None:
    made = program(made_once(name))
    item_id = torch.tensor([[9, 9, 9, 5, 3], [1, 2, 3, 4, 5]])
    mask = torch.tensor([[False, False, False, True, True], [True] * 5])
    with torch.no_grad():
        one = made(item_id, mask)
        two = made(item_id.masked_fill(~mask, NUM_ITEMS - 1), mask)
    assert torch.equal(one[0], two[0])
    torch.testing.assert_close(one[1], two[1])


def test_equal_scores_go_by_the_lower_index() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-3, 4, (40, 101), generator=generator) / 2.0
    scores[0, ::2] = -0.0
    scores[0, 1::2] = 0.0
    scores[1] = 7.0
    scores[2, 5:] = -torch.inf
    scores[3] = torch.linspace(-1e30, 1e-40, 101)
    for k in (1, 6, 101):
        assert torch.equal(largest(scores, k), top_items(scores, k)[1])


def test_fewer_items_than_k_are_told_by_minus_infinity() -> None:
    made = program(made_once("sasrec"), k=NUM_ITEMS)
    with torch.no_grad():
        item, score = made(torch.tensor([[4, 8, 4]]), torch.ones(1, 3, dtype=torch.bool))
    assert score[0].isneginf().tolist() == [False] * (NUM_ITEMS - 2) + [True, True]
    assert item[0, -2:].tolist() == [4, 8]


@pytest.mark.parametrize("k", [0, NUM_ITEMS + 1])
def test_k_must_be_a_number_of_items(k: int) -> None:
    with pytest.raises(ValueError, match=rf"'k' must be from 1 to .* {NUM_ITEMS} \(got {k}\)"):
        program(made_once("popularity"), k=k)


def test_a_model_that_scores_otherwise_is_exported_by_its_own_score() -> None:
    class Doubled(SASRec):
        def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
            return 2 * super().score(batch, items)

    class Wider(SASRec):
        """Scores as ever."""

    class Flat(Popularity):
        export_form = DensePopularity

        def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
            return super().score(batch, items)

    assert form_of(Doubled) is OwnScores
    assert form_of(Wider) is InnerProducts
    assert form_of(Flat) is DensePopularity
    torch.manual_seed(0)
    model = Doubled(NUM_ITEMS, channels=8, max_length=6).eval()
    score = program(model).scores(torch.tensor([[1, 2]]), torch.ones(1, 2, dtype=torch.bool))
    batch = SequenceBatch.from_histories([np.array([1, 2])], 6)
    torch.testing.assert_close(score, model.score(batch))
