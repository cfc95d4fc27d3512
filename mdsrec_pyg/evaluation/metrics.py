"""Recall, NDCG and MRR from the rank of the target, in total and by popularity."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

POPULARITY_BOUNDS = (0, 1, 3, 6, 11, 21, 51, 101)


def ranking_metrics(ranks: ArrayLike, k: Sequence[int] = (10, 20)) -> dict[str, float]:
    """Means of :func:`per_user_metric`: Recall and NDCG at each cutoff, and MRR.

    Args:
        ranks: Rank of each target from 0 ``[Q]``.
        k: Cutoffs.
    """
    check_cutoffs(k)
    names = [f"recall@{c}" for c in k] + [f"ndcg@{c}" for c in k] + ["mrr"]
    return {name: float(per_user_metric(ranks, name).mean()) for name in names}


def per_user_metric(ranks: ArrayLike, name: str) -> NDArray[np.float64]:
    r"""One metric for each query, the form that paired tests need.

    With one target at rank :math:`r` (from 0): ``'recall@k'`` is :math:`[r < k]`, ``'ndcg@k'`` is
    :math:`[r < k] / \log_2(r + 2)`, ``'mrr'`` is :math:`1 / (r + 1)`. Without ties they equal
    PyG's :class:`~torch_geometric.metrics.LinkPredRecall` and ``LinkPredNDCG``.

    Args:
        ranks: Rank of each target from 0 ``[Q]``; at least one.
        name: ``'recall@k'`` or ``'ndcg@k'`` with a positive whole number ``k``, or ``'mrr'``.

    Raises:
        ValueError: Another name, no rank, or one below 0.
    """
    rank = np.asarray(ranks, dtype=np.float64)
    if rank.ndim != 1 or len(rank) == 0 or not (rank >= 0).all():
        raise ValueError(
            f"'ranks' must be a non-empty vector of numbers from 0 (got shape {rank.shape}"
            + (f", minimum {rank.min()})" if rank.size else ")")
        )
    cutoff = metric_cutoff(name)
    if cutoff is None:
        return 1 / (rank + 1)
    gain = 1 / np.log2(rank + 2) if name.startswith("ndcg") else np.ones_like(rank)
    return np.where(rank < cutoff, gain, 0.0)


def metric_cutoff(name: str) -> int | None:
    """The ``k`` of a metric's name, ``None`` for MRR; ``ValueError`` for a name unknown here."""
    match = re.fullmatch(r"mrr|(?:recall|ndcg)@([1-9]\d*)", name)
    if match is None:
        raise ValueError(f"a metric is 'recall@k', 'ndcg@k' (k from 1) or 'mrr' (got {name!r})")
    return None if match[1] is None else int(match[1])


def check_cutoffs(k: Sequence[int]) -> None:
    """Raises an error unless ``k`` holds whole numbers from 1."""
    if len(k) == 0 or any(c < 1 for c in k):
        raise ValueError(f"'k' must hold whole numbers from 1 (got {list(k)})")


def metrics_by_popularity(
    ranks: ArrayLike,
    targets: ArrayLike,
    item_counts: ArrayLike,
    bounds: Sequence[int] = POPULARITY_BOUNDS,
    k: Sequence[int] = (10, 20),
) -> pd.DataFrame:
    """Metrics by how often the target occurs in training.

    Args:
        ranks: Rank of each target from 0 ``[Q]``.
        targets: The items to be found ``[Q]``.
        item_counts: Training interactions of each item ``[N]``.
        bounds: Lower bounds of the buckets, rising from 0; the last bucket has no upper bound.
        k: Cutoffs.

    Returns:
        One row a bucket, indexed by its range of counts (``'3-5'``): the number of ``queries`` and
        the metrics; a bucket without queries has NaN for these.

    Raises:
        ValueError: ``bounds`` do not rise from 0, ``ranks`` and ``targets`` differ in length, or
            ``k`` holds other than whole numbers from 1.
    """
    rank, target = np.asarray(ranks, dtype=np.float64), np.asarray(targets)
    if rank.shape != target.shape:
        raise ValueError(
            f"'ranks' and 'targets' must have the same length (got {rank.shape}, {target.shape})"
        )
    bucket = popularity_buckets(target, item_counts, bounds)
    names = list(ranking_metrics(rank, k))
    table = pd.DataFrame({name: per_user_metric(rank, name) for name in names})
    groups = table.groupby(bucket, observed=False)
    return pd.concat([groups.size().rename("queries"), groups.mean()], axis=1).rename_axis(
        "training count"
    )


def popularity_buckets(targets: ArrayLike, item_counts: ArrayLike, bounds: Sequence[int]) -> Any:
    """The range of training counts (``'3-5'``) that each target falls into.

    Raises:
        ValueError: ``bounds`` do not rise from 0.
    """
    edges = list(bounds)
    if not edges or edges[0] != 0 or any(a >= b for a, b in pairwise(edges)):
        raise ValueError(f"'bounds' must rise from 0 (got {edges})")
    labels = [str(a) if a == b - 1 else f"{a}-{b - 1}" for a, b in pairwise(edges)]
    labels.append(f"{edges[-1]}+")
    counts = np.asarray(item_counts)[np.asarray(targets)]
    return pd.cut(counts, [*edges, math.inf], right=False, labels=labels)
