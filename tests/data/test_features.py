import numpy as np
import pytest
import torch

from mdsrec_pyg.data import FeatureScaler, ModalFeature


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
