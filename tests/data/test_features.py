from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from mdsrec_pyg.data import FeatureScaler, ModalFeature
from mdsrec_pyg.datasets import from_dataframe


def test_missing_rows_become_zero_whatever_they_held():
    x = torch.tensor([[1.0, 2.0], [float("nan"), 7.0]], dtype=torch.float16)
    feature = ModalFeature(x, torch.tensor([True, False]))
    assert feature.x.dtype == torch.float32
    assert feature.x.tolist() == [[1, 2], [0, 0]]
    assert (len(feature), feature.num_features, feature.num_present) == (2, 2, 1)
    assert repr(feature) == "ModalFeature(2 x 2, present=1)"
    assert x[1, 1] == 7  # the caller's tensor stays as it is


def test_without_a_mask_all_are_present():
    assert ModalFeature(torch.zeros(3, 1)).mask.tolist() == [True] * 3


def test_take():
    feature = ModalFeature(torch.eye(3), torch.tensor([True, False, True]))
    taken = feature.take(np.array([2, 1]))
    assert taken.x.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert taken.mask.tolist() == [True, False]


@pytest.mark.parametrize(
    ("x", "mask", "message"),
    [
        (torch.zeros(3), None, r"'x' must have shape \[N, F\]"),
        (torch.zeros(3, 0), None, r"'x' must have shape \[N, F\]"),
        (torch.zeros(3, 2, dtype=torch.long), None, "'x' must hold floating-point numbers"),
        (
            torch.zeros(3, 2),
            torch.ones(2, dtype=torch.bool),
            r"'mask' must be bool of shape \(3,\)",
        ),
        (torch.zeros(3, 2), torch.ones(3), "got torch.float32"),
        (torch.tensor([[0, 1], [2, torch.inf]]), None, "got inf in row 1, column 1"),
        (torch.tensor([[0, 1e300]], dtype=torch.float64), None, r"got 1e\+300 in row 0, column 1"),
    ],
)
def test_errors(x, mask, message):
    with pytest.raises(ValueError, match=message):
        ModalFeature(x, mask)


def test_scaling_uses_only_present_training_items():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(3, 2, (50, 4)))
    present, train = torch.from_numpy(rng.random((2, 50)) < 0.7)
    x[:, 3] = 0.1  # constant: centered only
    out = FeatureScaler().fit_transform(ModalFeature(x, present), train.numpy())
    rows = [i for i in range(50) if present[i] and train[i]]
    for column in range(4):
        values = [float(x[i, column]) for i in rows]
        mean = sum(values) / len(values)
        std = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        for i in range(50):
            expected = (float(x[i, column]) - mean) / (std if column < 3 else 1)
            assert float(out.x[i, column]) == pytest.approx(expected if present[i] else 0, abs=1e-5)
    assert out.mask.equal(present)


def test_scaling_ignores_items_outside_training():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    train = np.arange(20) < 12
    changed = x.clone()
    changed[12:] += 100
    a, b = (FeatureScaler().fit_transform(ModalFeature(v), train) for v in (x, changed))
    assert a.x[:12].equal(b.x[:12])
    assert not FeatureScaler().fit_transform(ModalFeature(changed)).x[:12].equal(a.x[:12])


def test_scaling_errors():
    feature = ModalFeature(torch.ones(2, 1), torch.tensor([True, False]))
    with pytest.raises(ValueError, match="'train_items' must hold an item"):
        FeatureScaler().fit_transform(feature, np.array([False, True]))
    with pytest.raises(ValueError, match="'train_items' must be bool"):
        FeatureScaler().fit_transform(feature, np.array([0, 1]))


VALUES = np.arange(6.0).reshape(3, 2) + 0.5


@pytest.mark.parametrize(
    "x",
    [
        torch.tensor(VALUES).bfloat16(),
        torch.tensor(VALUES, requires_grad=True),
        torch.tensor(VALUES).to_sparse(),
        scipy.sparse.csr_matrix(VALUES),
        scipy.sparse.coo_array(VALUES),
        pd.DataFrame(VALUES),
        VALUES.astype(">f4"),
        VALUES.astype(np.longdouble),
        np.asfortranarray(VALUES),
        VALUES[::-1][::-1],
        VALUES[:, ::-1].copy()[:, ::-1],
        VALUES.tolist(),
    ],
)
def test_every_form_of_numbers_is_taken(x):
    feature = ModalFeature(x)
    assert feature.x.dtype == torch.float32
    assert not feature.x.requires_grad
    assert feature.x.tolist() == VALUES.tolist()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (VALUES.astype(object), r"'x' must hold numbers \(got object of shape \(3, 2\)"),
        (VALUES * 1j, r"'x' must hold numbers \(got complex128"),
        (VALUES > 2, r"'x' must hold numbers \(got bool"),
        (np.zeros(3, [("a", "f4")]), "'x' must hold numbers"),
        ("text", r"'x' must hold numbers \(got <U4 of shape \(\), from a str\)"),
        ([[1.0], [1.0, 2.0]], "'x' must be an array of numbers"),
        (np.ma.masked_less(VALUES, 2), "'x' must have no masked entries"),
        (scipy.sparse.csr_matrix((10**6, 10**5)), "400,000,000,000 bytes.*TruncatedSVD"),
        (np.array([[1.0, 0], [1e-60, 0]]), r"row 1 would become zeros, its largest is 1e-60"),
    ],
)
def test_what_holds_no_features_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        ModalFeature(x)


def test_numbers_too_small_in_a_missing_row_are_nobodys_loss():
    x: Any = np.array([[1.0], [1e-60]])
    mask: Any = [True, False]
    assert ModalFeature(x, mask).x.tolist() == [[1], [0]]


def test_a_tensor_without_values_is_refused_at_every_entrance() -> None:
    x = torch.empty(3, 2, device="meta")
    with pytest.raises(ValueError, match=r"'x' must be a tensor of numbers .*without values"):
        ModalFeature(x)
    rows = pd.DataFrame({"user": [0, 0, 0], "item": [0, 1, 2]})
    items = pd.DataFrame({"item": [0, 1, 2]})
    features: Any = {"a": x}
    with pytest.raises(ValueError, match=r"'features\['a'\]' must be a tensor .*without values"):
        from_dataframe(rows, items, features, timestamp=None)
