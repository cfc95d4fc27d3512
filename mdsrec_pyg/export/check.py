"""Compares a program as it was written with the model that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.export.formats import Answer
from mdsrec_pyg.export.program import Program

__all__ = ["Histories", "largest_difference", "random_histories"]


@dataclass
class Histories:
    """What is asked, and what the model says.

    Args:
        item_id: ``[B, L]``, left-padded.
        mask: ``[B, L]``.
        scores: The model's scores of all items, ``[B, N]``.
    """

    item_id: NDArray[np.int64]
    mask: NDArray[np.bool_]
    scores: NDArray[Any]


def random_histories(num_items: int, longest: int, count: int = 16) -> list[NDArray[np.int64]]:
    """Histories of 1 to ``longest`` items, both ends among them; the same ones at each call.

    Args:
        num_items: N.
        longest: Most items of a history.
        count: How many.
    """
    rng = np.random.default_rng(0)
    lengths = [1, longest, *rng.integers(1, longest + 1, count - 2)]
    return [rng.integers(0, num_items, length) for length in lengths]


def padded(histories: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Item ids and mask ``[B, L]`` of histories, left-padded to the longest."""
    longest = max(map(len, histories))
    item_id = np.zeros((len(histories), longest), np.int64)
    mask = np.zeros((len(histories), longest), bool)
    for row, items in enumerate(histories):
        item_id[row, longest - len(items) :] = items
        mask[row, longest - len(items) :] = True
    return item_id, mask


def largest_difference(answer: Answer, program: Program, histories: Histories) -> float:
    """The largest difference between scores, over that of a score of 1, or the largest there is.

    Compared are the scores of the items that were found with the model's scores of these, and with
    the model's k largest; infinite where an item that must be left out was found. All histories
    are asked at once, and the first alone.

    Args:
        answer: The program as it was written.
        program: What it was made of.
        histories: What is asked.
    """
    scores = histories.scores.astype(np.float32)
    scale = max(1.0, float(np.abs(scores).max()))
    if program.exclude_seen:
        row, step = histories.mask.nonzero()
        scores[row, histories.item_id[row, step]] = -np.inf
    best = -np.sort(-scores, axis=1)[:, : program.k]
    difference = 0.0
    for rows in (slice(None), slice(0, 1)):
        item, score = answer(histories.item_id[rows], histories.mask[rows])
        for wanted in (best[rows], np.take_along_axis(scores[rows], item, 1)):
            with np.errstate(invalid="ignore"):  # of two infinite scores
                apart = np.where(wanted == score, 0.0, np.abs(wanted - score))
            difference = max(difference, float(apart.max()) / scale)
    return difference
