"""The memory that evaluating and recommending promise: how many scores are alive at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg import EASE, MDSRec, Popularity, SASRec, leave_last_out
from mdsrec_pyg.data import Interactions
from mdsrec_pyg.data.splits import EvaluationSplit, Split
from mdsrec_pyg.evaluation import evaluate
from mdsrec_pyg.retrieval import recommend, top_items
from tests.live import LiveBytes
from tests.small_models import small_mdsrec

NUM_ITEMS, USERS, MAX_LENGTH = 1500, 256, 5
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def split() -> Split:
    item = np.random.default_rng(0).integers(0, NUM_ITEMS, USERS * 12)
    user = np.repeat(np.arange(USERS), 12)
    return leave_last_out(Interactions.from_arrays(user, item, num_items=NUM_ITEMS))


def make_mdsrec(train: Interactions, **options: Any) -> MDSRec:
    sizes = {"channels": 4, "max_length": MAX_LENGTH, "num_centers": 2}
    return small_mdsrec(train, **(sizes | options))


MODELS: dict[str, tuple[int, Callable[[Interactions], Any]]] = {
    "Popularity": (1, lambda train: Popularity(train, history_bias=-1.0, max_length=MAX_LENGTH)),
    "EASE": (1, lambda train: EASE(train, history_bias=-1.0, max_length=MAX_LENGTH)),
    "SASRec": (1, lambda train: SASRec(NUM_ITEMS, channels=4, max_length=MAX_LENGTH)),
    "MDSRec, votes alone": (3, make_mdsrec),
    "MDSRec, graphs whole": (3, lambda train: make_mdsrec(train, max_length=50)),
}


def first_queries(queries: EvaluationSplit, size: int) -> EvaluationSplit:
    columns = ("user_id", "target", "tied", "known", "cold")
    ptr = queries.history_ptr[: size + 1]
    given = {name: getattr(queries, name)[:size] for name in columns}
    history = queries.history_item[: ptr[-1]]
    return replace(queries, history_ptr=ptr, history_item=history, **given)


@pytest.mark.parametrize("name", list(MODELS))
def test_as_many_scores_are_alive_as_promised(name: str, split: Split) -> None:
    promised, make = MODELS[name]
    model = make(split.train)
    one = USERS * NUM_ITEMS * 4
    evaluate(model, split.test, batch_size=USERS)  # what is kept of the graphs is made before
    with LiveBytes() as alone:
        evaluate(model, first_queries(split.test, 4), batch_size=1)
    with LiveBytes() as live:
        evaluate(model, split.test, batch_size=USERS)
    assert one <= live.peak <= promised * one + alone.peak + MEGABYTE
    with LiveBytes() as live:
        recommend(model, split.test, 5, exclude_seen=True, batch_size=USERS)
    assert live.peak <= (promised + 1) * one + 2 * alone.peak + MEGABYTE


@pytest.mark.parametrize("kind", ["random", "equal", "nearly equal"])
def test_the_best_items_take_little_beside_the_scores(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.zeros(64, 20_000)
    if kind == "random":
        scores = torch.randn(64, 20_000, generator=generator)
    elif kind == "nearly equal":
        scores = 1 + torch.randint(0, 4, (64, 20_000), generator=generator) * 2.0**-23
    with LiveBytes() as live:
        best, index = top_items(scores, 10)
    assert live.peak < scores.nbytes / 2
    want, order = scores.sort(dim=1, descending=True, stable=True)
    assert torch.equal(best, want[:, :10])
    assert torch.equal(index, order[:, :10])
