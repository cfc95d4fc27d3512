"""Paired tests on the metric of each query: is one model better than another?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mdsrec_pyg.evaluation.metrics import POPULARITY_BOUNDS, popularity_buckets

_BATCH = 100  # resamples at a time: [100, Q] doubles in memory


@dataclass(frozen=True)
class PairedComparison:
    """Comparison of two models on the same queries.

    Args:
        num_queries: Number of pairs.
        mean_a: Mean of the first model.
        mean_b: Mean of the second model.
        difference: ``mean_a - mean_b``.
        low: Lower end of the bootstrap confidence interval of the difference.
        high: Upper end.
        p_permutation: Two-sided p-value of the sign-flip permutation test.
        p_t: Two-sided p-value of the paired t-test.
    """

    num_queries: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_permutation: float
    p_t: float


def compare_paired(
    a: ArrayLike,
    b: ArrayLike,
    *,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedComparison:
    """Compares two models by their metric on each query, in the same order.

    The interval is the percentile bootstrap over queries. The permutation test flips the sign of
    each difference at random; it is exact where all flips of the differences that are not zero
    number at most ``num_resamples``, and otherwise its smallest p-value is
    ``2 / (num_resamples + 1)``. Both speak of other users for the same trained weights: the spread
    over seeds is another question (average each query's metric over the seeds first, or report the
    seeds beside it).

    Args:
        a: Metric of the first model for each query ``[Q]``, see
            :func:`~mdsrec_pyg.evaluation.metrics.per_user_metric`.
        b: The same of the second model ``[Q]``.
        num_resamples: Bootstrap samples, and permutations where not exact.
        confidence: Coverage of the interval.
        seed: Of both.

    Raises:
        ValueError: If the lengths differ, there are fewer than two queries or a value is not
            finite.
    """
    _check_options(num_resamples, confidence)
    first, second = _vector("a", a), _vector("b", b)
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            "'a' and 'b' must hold the same queries, two or more (got "
            f"{len(first)} and {len(second)} values)"
        )
    difference = first - second
    low, high = _bootstrap_interval(difference, num_resamples, confidence, seed)
    return PairedComparison(
        num_queries=len(first),
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        difference=float(difference.mean()),
        low=low,
        high=high,
        p_permutation=_sign_flip_p(difference, num_resamples, seed),
        p_t=float(stats.ttest_rel(first, second).pvalue) if difference.any() else 1.0,
    )


def compare_with_all(
    values: Mapping[str, ArrayLike],
    reference: str,
    *,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compares one model with every other, the p-values corrected for their number.

    Args:
        values: Metric of each model for each query, in the same order of queries.
        reference: Name of the model that is compared with the others.
        num_resamples: See :func:`compare_paired`.
        confidence: See :func:`compare_paired`; the intervals are not corrected.
        seed: See :func:`compare_paired`.

    Returns:
        One row for each other model: the fields of :class:`PairedComparison` with ``reference`` as
        ``a``, and ``p_holm``, the permutation test's p-value after :func:`holm`.

    Raises:
        ValueError: ``reference`` is none of the models, or the only one; and as
            :func:`compare_paired`.
    """
    if reference not in values or len(values) < 2:
        raise ValueError(
            f"'values' must hold 'reference' and another model (got {list(values)}, "
            f"reference={reference!r})"
        )
    others = [name for name in values if name != reference]
    rows = [
        compare_paired(
            values[reference],
            values[name],
            num_resamples=num_resamples,
            confidence=confidence,
            seed=seed,
        )
        for name in others
    ]
    table = pd.DataFrame([asdict(row) for row in rows], index=pd.Index(others, name="model"))
    table["p_holm"] = holm(table["p_permutation"])
    return table


def difference_by_popularity(
    a: ArrayLike,
    b: ArrayLike,
    targets: ArrayLike,
    item_counts: ArrayLike,
    bounds: Sequence[int] = POPULARITY_BOUNDS,
) -> pd.DataFrame:
    r"""For which targets a model is better, by how often they occur in training.

    The standard error is that of the mean of the paired differences :math:`d` of the *n* queries
    of a bucket, :math:`\mathrm{sd}(d) / \sqrt n` with *n* - 1 degrees of freedom.

    Args:
        a: Metric of the first model for each query ``[Q]``.
        b: The same of the second model ``[Q]``.
        targets: The items to be found ``[Q]``.
        item_counts: Training interactions of each item ``[N]``.
        bounds: Lower bounds of the buckets, rising from 0; the last has no upper bound.

    Returns:
        One row a bucket, indexed by its range of counts: ``queries``, ``mean_a``, ``mean_b``,
        ``difference`` and ``standard_error``; NaN where a bucket has no queries, the error also
        where it has one.

    Raises:
        ValueError: ``bounds`` do not rise from 0, the lengths differ, or a value is not finite.
    """
    first, second, target = _vector("a", a), _vector("b", b), np.asarray(targets)
    if not first.shape == second.shape == target.shape:
        raise ValueError(
            "'a', 'b' and 'targets' must have the same length (got "
            f"{len(first)}, {len(second)} and {target.shape})"
        )
    table = pd.DataFrame({"mean_a": first, "mean_b": second, "difference": first - second})
    groups = table.groupby(popularity_buckets(target, item_counts, bounds), observed=False)
    found = pd.concat([groups.size().rename("queries"), groups.mean()], axis=1)
    found["standard_error"] = groups["difference"].sem()
    return found.rename_axis("training count")


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values corrected for their number by Holm's step-down method (1979).

    The i-th smallest of n is multiplied by ``n - i + 1``; none may be below a smaller one's, nor
    above 1.

    Args:
        p_values: From 0 to 1 ``[n]``.

    Returns:
        The corrected p-values in the order given ``[n]``.

    Raises:
        ValueError: A p-value outside of 0 to 1.
    """
    p = _vector("p_values", p_values)
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"'p_values' must be from 0 to 1 (got {p.tolist()})")
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def _check_options(num_resamples: int, confidence: float) -> None:
    if num_resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            "'num_resamples' must be at least 1 and 'confidence' between 0 and 1 (got "
            f"{num_resamples} and {confidence})"
        )


def _vector(name: str, values: ArrayLike) -> NDArray[np.float64]:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError(f"{name!r} must be a vector of finite numbers (shape {vector.shape})")
    return vector


def _bootstrap_interval(
    difference: NDArray[np.float64], num_resamples: int, confidence: float, seed: int
) -> tuple[float, float]:
    result = stats.bootstrap(
        (difference,),
        np.mean,
        n_resamples=num_resamples,
        batch=_BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _sign_flip_p(difference: NDArray[np.float64], num_resamples: int, seed: int) -> float:
    moving = difference[difference != 0]  # a zero is a zero with either sign
    if len(moving) < 2:  # one is as large with either sign
        return 1.0
    result = stats.permutation_test(
        (moving,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=num_resamples,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)
