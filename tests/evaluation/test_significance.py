"""Paired tests against enumeration by hand and SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from mdsrec_pyg.evaluation.significance import (
    compare_paired,
    compare_with_all,
    difference_by_popularity,
    holm,
)

RNG = np.random.default_rng(0)
A, B = RNG.random(60) + 0.1, RNG.random(60)


def test_exact_permutation_by_hand():
    # Differences 1, 1, 1, 0: all flips of the three that move give |sum| = 3 in 2 of 8 cases.
    result = compare_paired([1, 1, 1, 0], [0, 0, 0, 0])
    assert result.p_permutation == pytest.approx(2 / 8)
    assert (result.num_queries, result.mean_a, result.mean_b) == (4, 0.75, 0.0)
    assert result.difference == 0.75


def test_permutation_equals_enumeration():
    a, b = A[:9], B[:9]
    d = a - b
    flips = np.array(list(itertools.product([-1, 1], repeat=9)))
    expected = np.mean(np.abs(flips @ d) >= abs(d.sum()) - 1e-12)
    assert compare_paired(a, b).p_permutation == pytest.approx(expected)


def test_random_permutation_is_near_the_exact_one():
    d = np.round(A[:12] - B[:12], 2)
    exact = compare_paired(d, np.zeros(12)).p_permutation
    random = compare_paired(d, np.zeros(12), num_resamples=4000).p_permutation
    assert random != exact
    assert random == pytest.approx(exact, abs=0.03)
    # Zeros move nothing: pairs without a difference leave the p-value as it is.
    padded = np.append(d, np.zeros(500))
    assert compare_paired(padded, np.zeros(512)).p_permutation == exact


def test_t_test_and_interval_equal_scipy():
    result = compare_paired(A, B, num_resamples=2000)
    assert result.p_t == pytest.approx(stats.ttest_rel(A, B).pvalue)
    d = A - B
    means = d[np.random.default_rng(1).integers(0, 60, (20_000, 60))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert result.low == pytest.approx(low, abs=0.01)
    assert result.high == pytest.approx(high, abs=0.01)
    narrow = compare_paired(A, B, num_resamples=2000, confidence=0.5)
    assert result.low < narrow.low < result.difference < narrow.high < result.high


def test_pairing_counts():
    """A small gain for everyone is sure, though users differ by far more among themselves."""
    a = B + 0.01 + 0.005 * RNG.random(60)
    assert compare_paired(a, B, num_resamples=999).p_permutation == pytest.approx(2 / 1000)
    assert stats.ttest_ind(a, B).pvalue > 0.5


def test_seed_repeats_and_matters():
    one, two = (compare_paired(A, B, num_resamples=500, seed=seed) for seed in (1, 2))
    assert one == compare_paired(A, B, num_resamples=500, seed=1)
    assert (one.low, one.p_t) != (two.low, two.p_t)
    assert one.p_t == two.p_t


def test_equal_models():
    result = compare_paired(A, A)
    assert (result.p_permutation, result.p_t, result.low, result.high) == (1, 1, 0, 0)


def test_models_that_differ_in_one_query():
    # Of the two flips, both are as large as the difference found.
    assert compare_paired([0.5, 1.0, 1.0], [0.5, 0.2, 1.0]).p_permutation == 1.0


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, and none below the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == pytest.approx([0.2])
    with pytest.raises(ValueError, match="'p_values' must be from 0 to 1"):
        holm([0.5, 1.5])


def test_compare_with_all():
    values = {"x": B, "ours": A, "y": A - 0.05 * RNG.random(60)}
    table = compare_with_all(values, "ours", num_resamples=700, confidence=0.9, seed=4)
    assert table.index.tolist() == ["x", "y"]
    for name in ("x", "y"):
        one = compare_paired(A, values[name], num_resamples=700, confidence=0.9, seed=4)
        assert table.loc[name, "low"] == one.low
        assert table["difference"][name] > 0
        assert table.loc[name, "p_permutation"] == one.p_permutation
    assert table["p_holm"].tolist() == holm(table["p_permutation"]).tolist()
    for bad in ({"ours": A}, {"x": A, "y": B}):
        with pytest.raises(ValueError, match="'values' must hold 'reference'"):
            compare_with_all(bad, "ours")


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([1, 2], [1, 2, 3], {}, "the same queries"),
        ([1], [1], {}, "two or more"),
        ([1, np.nan], [1, 2], {}, "'a' must be a vector of finite"),
        ([1, 2], [[1], [2]], {}, "'b' must be a vector"),
        ([1, 2], [1, 3], {"num_resamples": 0}, "'num_resamples' must be"),
        ([1, 2], [1, 3], {"confidence": 95}, "'confidence' between 0 and 1"),
    ],
)
def test_bad_input_is_an_error(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        compare_paired(a, b, **options)


def test_differences_by_popularity_by_hand():
    counts, targets = [0, 1, 2, 40], [1, 2, 2, 3]
    table = difference_by_popularity([1, 0.5, 0, 1], [0, 0.2, 0.1, 0], targets, counts, (0, 1, 3))
    assert table.index.tolist() == ["0", "1-2", "3+"]
    assert table["queries"].tolist() == [0, 3, 1]
    middle = table.loc["1-2"]
    assert (middle["mean_a"], middle["mean_b"]) == pytest.approx((0.5, 0.1))
    assert middle["difference"] == pytest.approx(0.4)  # of 1, .3 and -.1
    variance = (0.6**2 + 0.1**2 + 0.5**2) / 2
    assert middle["standard_error"] == pytest.approx((variance / 3) ** 0.5)
    assert table["difference"].isna().tolist() == [True, False, False]
    assert table["standard_error"].isna().tolist() == [True, False, True]
    with pytest.raises(ValueError, match="'a', 'b' and 'targets' must have the same length"):
        difference_by_popularity([1, 0], [1, 0], [1], counts)
    with pytest.raises(ValueError, match="'bounds' must rise"):
        difference_by_popularity([1, 0], [1, 0], [1, 2], counts, (1, 3))
