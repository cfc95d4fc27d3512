"""Small models of every kind, histories, and how answers are compared."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mdsrec_pyg import EASE, GRU4Rec, Interactions, Popularity, SASRec
from mdsrec_pyg.data import ModalFeature, SequenceBatch
from mdsrec_pyg.export.check import padded
from mdsrec_pyg.export.formats import Answer
from mdsrec_pyg.nn import Recommender
from mdsrec_pyg.retrieval import Retriever
from tests.small_models import moved, random_features, small_mdsrec

NUM_ITEMS, MAX_LENGTH, K = 60, 6, 7
ROUNDING = 1e-5


@cache
def train() -> Interactions:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(80), 5)
    item = rng.zipf(1.5, len(user)) % NUM_ITEMS
    return Interactions.from_arrays(user, item, num_items=NUM_ITEMS)


def mdsrec(**options: Any) -> Recommender:
    return small_mdsrec(train(), **{"max_length": MAX_LENGTH, **options})


def sasrec(**options: Any) -> Recommender:
    return SASRec(NUM_ITEMS, channels=8, max_length=MAX_LENGTH, **options)


def features() -> list[torch.Tensor]:
    return [feature.x for feature in random_features(NUM_ITEMS).values()]


MODELS: dict[str, Callable[[], Recommender]] = {
    "mdsrec": mdsrec,
    "mdsrec paper": lambda: mdsrec(preset="paper"),
    "mdsrec few votes": lambda: mdsrec(relations={"num_neighbors": 3}),
    "mdsrec votes only": lambda: mdsrec(vectors=False),
    "mdsrec sum of votes": lambda: mdsrec(vote_hidden=0, history_bias=False),
    "mdsrec without centers": lambda: mdsrec(num_centers=0, block="ligr", fusion="mean"),
    "sasrec": sasrec,
    "sasrec ligr": lambda: sasrec(block="ligr", num_layers=2, history_bias=False),
    "sasrecf": lambda: sasrec(features=features()),
    "gru4rec": lambda: GRU4Rec(NUM_ITEMS, channels=8, max_length=MAX_LENGTH, num_layers=2),
    "ease": lambda: EASE(train(), decay=0.8, history_bias=0.2, max_length=MAX_LENGTH),
    "easef": lambda: EASE(train(), [ModalFeature(x) for x in features()], max_length=MAX_LENGTH),
    "popularity": lambda: Popularity(train(), history_bias=0.5, max_length=MAX_LENGTH),
}


def make(name: str) -> Recommender:
    torch.manual_seed(0)
    model: Recommender = moved(MODELS[name]()).eval()
    return model


def histories(count: int = 1000) -> list[Any]:
    """Of 1 to the length that is read, some longer; items come back in them."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, MAX_LENGTH + 1, count)
    lengths[::10] = rng.integers(MAX_LENGTH + 1, 3 * MAX_LENGTH, len(lengths[::10]))
    return [rng.integers(0, NUM_ITEMS, length) // rng.integers(1, 4) for length in lengths]


def answers(answer: Answer, asked: list[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Asked in batches of 1, 2, 3, ... histories, so that lengths differ, too."""
    items, scores, start, size = [], [], 0, 1
    while start < len(asked):
        item, score = answer(*padded(asked[start : start + size]))
        items.append(item)
        scores.append(score)
        start, size = start + size, size + 1
    return np.concatenate(items), np.concatenate(scores)


def assert_same(model: Recommender, answer: Answer, exclude_seen: bool, count: int = 1000) -> float:
    """The same items as the retriever, but where the model's own scores are equal but for rounding.

    Args:
        model: What was exported.
        answer: The program.
        exclude_seen: As exported.
        count: Histories.

    Returns:
        The share of items that are others.
    """
    asked = histories(count)
    item, score = answers(answer, asked)
    retriever = Retriever(model)
    table = retriever.recommend(asked, K, exclude_seen=exclude_seen)
    wanted = table["score"].to_numpy().reshape(-1, K)
    assert item.shape == score.shape == (count, K)
    assert item.dtype == np.int64
    assert score.dtype == np.float32
    assert np.abs(score - wanted).max() < ROUNDING
    with torch.no_grad():
        batch = SequenceBatch.from_histories(asked, MAX_LENGTH)
        own = retriever.model.score(batch, retriever.items).numpy()
    other = item != table["item"].to_numpy().reshape(-1, K)
    apart = np.abs(np.take_along_axis(own, item, 1) - wanted)
    assert apart[other].max(initial=0) < ROUNDING
    assert other.mean() < 0.01
    assert all(len(set(row)) == K for row in item.tolist())
    if exclude_seen:
        assert all(not set(row) & set(seen.tolist()) for row, seen in zip(item, asked, strict=True))
    return float(other.mean())
