"""Scaling and reduction that are fitted on training items and kept for new ones."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from mdsrec_pyg.data import ModalFeature, scaling
from mdsrec_pyg.data.scaling import FeatureReducer, FeatureScaler


@pytest.fixture
def feature() -> ModalFeature:
    """40 items of 6 correlated features, every fifth missing."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 3
    return ModalFeature(x, torch.arange(40) % 5 != 0)


TRAIN = np.arange(40) < 30


def test_scaler_by_hand() -> None:
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0], [100.0, 0.0], [50.0, 9.0]])
    feature = ModalFeature(x, torch.tensor([True, True, False, True]))
    scaler = FeatureScaler().fit(feature, torch.tensor([True, True, True, False]))
    assert scaler.mean_.tolist() == [2, 5]
    assert scaler.scale_.tolist() == [1, 1]  # the second does not vary: only centered
    out = scaler.transform(feature)
    assert out.x.tolist() == [[-1, 0], [1, 0], [0, 0], [48, 4]]
    assert out.mask.tolist() == [True, True, False, True]
    new = scaler.transform(ModalFeature(torch.tensor([[2.0, 6.0]])))
    assert new.x.tolist() == [[0, 1]]


def test_scaler_in_blocks_is_the_formula(
    feature: ModalFeature, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "BLOCK", 7)  # several blocks, the last one short
    x, mask = feature.x.double().numpy(), feature.mask.numpy()
    for known in (None, TRAIN):
        rows = x[mask if known is None else mask & known]
        expected = np.where(mask[:, None], (x - rows.mean(0)) / rows.std(0), 0)
        out = FeatureScaler().fit(feature, known).transform(feature)
        torch.testing.assert_close(out.x, torch.from_numpy(expected).float())
        torch.testing.assert_close(out.x, FeatureScaler().fit_transform(feature, known).x)


@pytest.mark.parametrize("whiten", [False, True])
def test_reducer_is_pca(
    feature: ModalFeature, whiten: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "BLOCK", 7)
    rows = feature.mask.numpy() & TRAIN
    pca = PCA(3, whiten=whiten, svd_solver="full").fit(feature.x.numpy()[rows].astype(np.float64))
    reducer = FeatureReducer(3, whiten=whiten).fit(feature, TRAIN)
    np.testing.assert_allclose(reducer.mean_, pca.mean_)
    np.testing.assert_allclose(reducer.explained_variance_, pca.explained_variance_)
    np.testing.assert_allclose(reducer.explained_variance_ratio_, pca.explained_variance_ratio_)
    sign = np.sign((reducer.components_ * pca.components_).sum(1))
    np.testing.assert_allclose(reducer.components_, sign[:, None] * pca.components_, atol=1e-9)
    out = reducer.transform(feature)
    expected = sign * pca.transform(feature.x.numpy().astype(np.float64))
    present = feature.mask.numpy()
    np.testing.assert_allclose(out.x.numpy()[present], expected[present], atol=1e-4)
    assert not out.x.numpy()[~present].any()
    assert torch.equal(out.mask, feature.mask)
    if whiten:
        np.testing.assert_allclose(out.x.numpy()[rows].var(0, ddof=1), 1, rtol=1e-5)


def test_reducer_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 2.0], [-2.0, -2.0], [1.0, -1.0], [-1.0, 1.0]])
    reducer = FeatureReducer(2).fit(ModalFeature(x))
    half = np.sqrt(0.5)
    # The largest entry of a row is positive; here two are as large, and rounding decides.
    np.testing.assert_allclose(np.abs(reducer.components_), half)
    np.testing.assert_allclose(reducer.components_[0], [half, half])
    np.testing.assert_allclose(reducer.explained_variance_, [16 / 4, 4 / 4])
    np.testing.assert_allclose(reducer.explained_variance_ratio_, [0.8, 0.2])
    out = FeatureReducer(1, whiten=True).fit(ModalFeature(x)).transform(ModalFeature(x[1:2]))
    np.testing.assert_allclose(out.x, [[np.sqrt(8) / 2]], rtol=1e-6)


def test_signs_do_not_depend_on_the_data(feature: ModalFeature) -> None:
    for x in (feature.x, -feature.x):
        components = FeatureReducer(3).fit(ModalFeature(x)).components_
        assert (components[range(3), np.abs(components).argmax(1)] > 0).all()


@pytest.mark.parametrize("make", [FeatureScaler, lambda: FeatureReducer(2, whiten=True)])
def test_kept_for_new_items(feature: ModalFeature, make: Any, tmp_path: Path) -> None:
    fitted = make()
    assert fitted.fit(feature, TRAIN) is fitted
    fitted.save(tmp_path / "kept.npz")
    loaded = type(fitted).load(tmp_path / "kept.npz")
    assert torch.equal(loaded.transform(feature).x, fitted.transform(feature).x)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.npz"]
    other = FeatureScaler if isinstance(fitted, FeatureReducer) else FeatureReducer
    with pytest.raises(ValueError, match=rf"expected a saved {other.__name__}, got Feature"):
        other.load(tmp_path / "kept.npz")


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    for name, content in (("text.npz", b"no"), ("empty.npz", b""), ("cut.npz", b"PK\x03\x04no")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="expected a saved FeatureScaler"):
            FeatureScaler.load(tmp_path / name)
    np.save(tmp_path / "array.npy", np.ones(3))
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    for name in ("array.npy", "other.npz"):
        with pytest.raises(ValueError, match="expected a saved FeatureScaler"):
            FeatureScaler.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        FeatureScaler.load(tmp_path / "gone.npz")


def load(kind: Any, path: Path) -> Any:
    """What is learned; ``None`` where it is refused by name, else the error's text."""
    try:
        loaded = kind.load(path)
    except ValueError as error:
        return None if path.name in str(error) else str(error)
    return [getattr(loaded, name) for name in (*kind._arrays, *kind._options)]


@pytest.mark.parametrize("make", [FeatureScaler, lambda: FeatureReducer(2)])
def test_damaged_files_are_read_right_or_refused(
    feature: ModalFeature, make: Any, tmp_path: Path
) -> None:
    fitted, path = make().fit(feature, TRAIN), tmp_path / "kept.npz"
    fitted.save(path)
    whole, right, rng = path.read_bytes(), load(type(fitted), path), np.random.default_rng(0)
    assert isinstance(right, list)
    refused = 0
    for _ in range(300):
        content, place = bytearray(whole), int(rng.integers(len(whole)))
        kind, some = int(rng.integers(4)), rng.bytes(int(rng.integers(1, 6)))
        if kind == 0:
            content[place : place + len(some)] = some
        elif kind == 1:
            content[place:place] = some
        elif kind == 2:
            del content[place : place + len(some)]
        else:
            del content[place:]
        path.write_bytes(content)
        found = load(type(fitted), path)
        refused += found is None
        assert found is None or isinstance(found, list), found
        if found is not None:
            for given, expected in zip(found, right, strict=True):
                np.testing.assert_array_equal(given, expected)
    assert refused > 200


def test_compressed_arrays_are_refused_before_they_swell(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    np.savez_compressed(path, kind=np.array("FeatureScaler"), mean_=np.zeros(10_000))
    with pytest.raises(ValueError, match=r"kept\.npz: expected a saved .*\(compressed arrays"):
        FeatureScaler.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale_": np.ones(7)}, "scale_ must hold finite float64 of shape"),
        ({"scale_": None}, "'scale_"),
        ({"mean_": np.ones((2, 2))}, "mean_ must hold"),
        ({"mean_": np.full(4, np.nan)}, "mean_ must hold finite"),
        ({"more": np.ones(1)}, r"got \['more'\] beside it"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content: dict[str, Any] = {"kind": "FeatureScaler", "mean_": np.ones(4), "scale_": np.ones(4)}
    content = {name: x for name, x in (content | change).items() if x is not None}
    np.savez(tmp_path / "kept.npz", **content)
    with pytest.raises(ValueError, match=rf"kept\.npz: expected a saved FeatureScaler.*{message}"):
        FeatureScaler.load(tmp_path / "kept.npz")


def test_one_after_the_other(feature: ModalFeature) -> None:
    scaled = FeatureScaler().fit(feature, TRAIN).transform(feature)
    out = FeatureReducer(4, whiten=True).fit(scaled, TRAIN).transform(scaled)
    assert (len(out), out.num_features, out.num_present) == (40, 4, 32)


def test_degenerate_fits() -> None:
    constant = ModalFeature(torch.full((5, 3), 2.0))
    with pytest.warns(UserWarning, match="no feature varies"):
        assert not FeatureScaler().fit(constant).transform(constant).x.any()
    line = ModalFeature(torch.arange(6.0)[:, None].expand(6, 3))
    with pytest.warns(UserWarning, match="1 of 2 components do not vary"):
        out = FeatureReducer(2, whiten=True).fit(line).transform(line)
    assert out.x.isfinite().all()
    assert out.x[:, 1].abs().max() < 1e-5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FeatureReducer(1, whiten=True).fit(line)


def test_mistakes(feature: ModalFeature, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'num_components' must be at least 1"):
        FeatureReducer(0)
    with pytest.raises(ValueError, match="'num_components' must not exceed 6 for 32 items of 6"):
        FeatureReducer(7).fit(feature)
    with pytest.raises(ValueError, match="'num_components' must not exceed 3 for 4 items of 6"):
        FeatureReducer(4).fit(feature, np.arange(40) < 6)
    for fresh in (FeatureScaler(), FeatureReducer(2)):
        with pytest.raises(ValueError, match="must be fitted first"):
            fresh.transform(feature)
        with pytest.raises(ValueError, match="must be fitted first"):
            fresh.save(tmp_path / "x.npz")
        with pytest.raises(ValueError, match=r"'train_items' must be bool of shape \(40,\)"):
            fresh.fit(feature, torch.arange(40))
        with pytest.raises(ValueError, match="'train_items' must hold an item"):
            fresh.fit(feature, np.zeros(40, bool))
        fresh.fit(feature)
        with pytest.raises(ValueError, match="must have the 6 features of the fit"):
            fresh.transform(ModalFeature(torch.ones(2, 5)))
        with pytest.raises(ValueError, match=r"'path' must end in .npz"):
            fresh.save(tmp_path / "x.npy")
