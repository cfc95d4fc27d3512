"""Do the features belong to the items, and do they say what is taken next?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.neighbors import MARGIN, row_blocks
from mdsrec_pyg.inspection._rows import sample, scaled_unit_rows

__all__ = ["Alignment", "feature_alignment"]

Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Alignment:
    """Hit rates at ``k`` of one modality, of shuffled rows and of popularity, on the same queries.

    Args:
        k: Cutoff.
        num_queries: Queries asked: target and one of its history items at least have the modality.
        num_candidates: Items ranked: all that have the modality.
        hit_rate: By similarity to the history.
        shuffled: The same with the rows permuted among the items that have one; the mean of
            ``num_shuffles`` permutations.
        popularity: By training count, the targets' own rows left out.
        chance: ``k / num_candidates``, at most 1.
        z: How many standard errors lie between ``hit_rate`` and ``shuffled``.
    """

    k: int
    num_queries: int
    num_candidates: int
    hit_rate: float
    shuffled: float
    popularity: float
    chance: float
    z: float


def feature_alignment(
    features: Mapping[str, ModalFeature],
    interactions: Interactions,
    *,
    k: int = 20,
    history: int = 3,
    num_shuffles: int = 3,
    max_queries: int = 2_000,
    seed: int = 0,
) -> dict[str, Alignment]:
    r"""Hit rate of each user's last item, ranked by similarity to the few items before it.

    .. math::
        s(u, j) = \tfrac{1}{|H_u|} \sum_{i \in H_u} \cos(z_i, z_j)

    with :math:`z` the features brought to mean 0 and variance 1 a column over the items that occur
    in ``interactions``: without that, cosines of most encoders are dominated by what all items have
    in common. :math:`H_u` are the up to ``history`` items before the last, of those that have the
    modality. Rows of zeros count as missing. Every item that has the modality is a candidate, but
    the history; a target that stands in the history is not asked for, as it would be found by
    itself, and nor are users with fewer than two interactions. Ties take the mean rank, cosines
    that differ by no more than rounding (1e-5) being ties.

    Features in the wrong order do no better than shuffled ones.

    Args:
        features: Features of each modality, ``[N, F]`` each.
        interactions: *Training* interactions, so that no held-out item is looked at.
        k: Cutoff.
        history: Most items before the last that count.
        num_shuffles: Permutations that ``shuffled`` is the mean of.
        max_queries: Users asked, drawn by ``seed`` where there are more.
        seed: Seed of the sample and of the permutations.

    Returns:
        Hit rates by modality. A modality without a query has zeros.

    Raises:
        ValueError: ``k``, ``history``, ``num_shuffles`` or ``max_queries`` is below 1.
    """
    options = {"k": k, "history": history, "num_shuffles": num_shuffles, "max_queries": max_queries}
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"'{name}' must be at least 1 (got {value})")
    target_rows, before = _queries(interactions, history)
    counts = interactions.item_counts()
    counts = counts - np.bincount(interactions.item_id[target_rows], minlength=len(counts))
    rows = sample(np.arange(len(target_rows)), max_queries, np.random.default_rng(seed))
    target = torch.from_numpy(interactions.item_id[target_rows[rows]])
    known = interactions.item_counts() > 0
    return {
        name: _align(feature, known, target, before[rows], counts, k, num_shuffles, seed)
        for name, feature in features.items()
    }


def _queries(
    interactions: Interactions, history: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of each target ``[Q]`` and the items before it ``[Q, history]``, -1 for none."""
    ptr = interactions.user_ptr
    last = ptr[1:][np.diff(ptr) > 1] - 1
    first = ptr[:-1][np.diff(ptr) > 1]
    back = last[:, None] - np.arange(1, history + 1)
    item = interactions.item_id
    before = np.where(back >= first[:, None], item[np.maximum(back, 0)], -1)
    new = (before != item[last][:, None]).all(1)
    return last[new], before[new]


def _align(
    feature: ModalFeature,
    known: NDArray[np.bool_],
    target: Tensor,
    before: NDArray[np.int64],
    counts: NDArray[np.int64],
    k: int,
    num_shuffles: int,
    seed: int,
) -> Alignment:
    unit, present = scaled_unit_rows(feature, known)
    # One row more, of a missing item: -1 finds it.
    has = torch.cat([present, torch.tensor([False])])
    past = torch.from_numpy(before)
    asked = has[target] & has[past].any(1)
    target, past = target[asked], past[asked]
    past = torch.where(has[past], past, -1)
    num_candidates = int(present.sum())
    if not len(target):
        return Alignment(k, 0, num_candidates, 0.0, 0.0, 0.0, 0.0, 0.0)

    def similarity(rows: Tensor) -> Tensor:
        total = (unit[rows.clamp(min=0)] * (rows >= 0)[..., None]).sum(1)  # [b, h, F] -> [b, F]
        # The mean's divisor, so that the tolerance of ties is that of a cosine.
        return total / (rows >= 0).sum(1, keepdim=True) @ unit.T  # [b, F] @ [F, N] -> [b, N]

    hits = _hits(similarity, target, past, present, k)
    shuffled = []
    for number in range(num_shuffles):
        # Renaming the items of the queries is permuting the rows, without a copy of them.
        place = torch.from_numpy(_permutation(present.numpy(), [seed, number]))
        moved = torch.where(past >= 0, place[past.clamp(min=0)], -1)
        shuffled.append(_hits(similarity, place[target], moved, present, k))
    by_count = _popular_hits(torch.from_numpy(counts), target, past, present, k)
    low = float(np.mean(shuffled))
    error = np.sqrt((hits * (1 - hits) + low * (1 - low) / num_shuffles) / len(target))
    return Alignment(
        k=k,
        num_queries=len(target),
        num_candidates=num_candidates,
        hit_rate=hits,
        shuffled=low,
        popularity=by_count,
        chance=min(1.0, k / num_candidates),
        # Where all queries hit and no shuffled one does, the rates have no spread: one query then.
        z=float((hits - low) / (error or 1 / len(target))),
    )


def _permutation(present: NDArray[np.bool_], seed: list[int]) -> NDArray[np.int64]:
    place = np.arange(len(present))
    items = np.flatnonzero(present)
    place[items] = np.random.default_rng(seed).permutation(items)
    return place


def _hits(score: Score, target: Tensor, past: Tensor, present: Tensor, k: int) -> float:
    """Share of the targets with a mean rank below ``k``, in blocks of 64 MB of scores."""
    found = 0
    for rows in row_blocks(len(target), len(present), None):
        scores = score(past[rows])
        own = scores.gather(1, target[rows, None])
        scores.masked_fill_(~present, -torch.inf)
        past_row, column = (past[rows] >= 0).nonzero(as_tuple=True)
        scores[past_row, past[rows][past_row, column]] = -torch.inf
        larger = (scores > own + MARGIN).sum(1)
        tied = (scores >= own - MARGIN).sum(1) - larger  # the target among them
        found += int((larger + (tied - 1) / 2 < k).sum())
    return found / len(target)


def _popular_hits(counts: Tensor, target: Tensor, past: Tensor, present: Tensor, k: int) -> float:
    """The same where all queries have the same scores, from one sorted list."""
    ordered = counts[present].sort().values
    own = counts[target]
    not_above = torch.searchsorted(ordered, own, right=True)
    below = torch.searchsorted(ordered, own)
    larger, tied = len(ordered) - not_above, not_above - below - 1  # without the target
    for row, items in enumerate(past.tolist()):
        values = counts[[item for item in {*items} if item >= 0]]
        larger[row] -= (values > own[row]).sum()
        tied[row] -= (values == own[row]).sum()
    return float((larger + tied / 2 < k).double().mean())
