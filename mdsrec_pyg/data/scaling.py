"""Scaling and dimension reduction that are fitted once, kept, and applied to new items."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.data.archive import read_archive
from mdsrec_pyg.data.features import CONSTANT, ModalFeature, fitted_items
from mdsrec_pyg.io import atomic_write

__all__ = ["FeatureReducer", "FeatureScaler"]

Self = TypeVar("Self", bound="_Fitted")

# Rows that are converted to double precision at a time.
BLOCK = 8192


class _Fitted:
    """What a scaler and a reducer share: the check of their input, and their file."""

    _arrays: ClassVar[tuple[str, ...]]
    _options: ClassVar[tuple[str, ...]] = ()
    mean_: NDArray[np.float64]

    def _check(self, feature: ModalFeature) -> None:
        if not hasattr(self, self._arrays[0]):
            raise ValueError(f"{type(self).__name__} must be fitted first: call fit or load")
        width = len(self.mean_)
        if feature.num_features != width:
            raise ValueError(
                f"'feature' must have the {width} features of the fit (got {feature.num_features})"
            )

    def fit(self: Self, feature: ModalFeature, train_items: Any = None) -> Self:
        raise NotImplementedError

    def transform(self, feature: ModalFeature) -> ModalFeature:
        raise NotImplementedError

    def fit_transform(
        self: Self,
        feature: ModalFeature,
        train_items: NDArray[np.bool_] | Tensor | None = None,
    ) -> ModalFeature:
        """:meth:`fit`, then :meth:`transform` of the same features."""
        return self.fit(feature, train_items).transform(feature)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes what was learned to ``path`` (``.npz``), whole or not at all."""
        if not hasattr(self, self._arrays[0]):
            raise ValueError(f"{type(self).__name__} must be fitted first: call fit or load")
        if Path(path).suffix != ".npz":
            raise ValueError(f"'path' must end in .npz (got {path})")
        content = {name: getattr(self, name) for name in (*self._arrays, *self._options)}
        with atomic_write(path) as temporary:
            np.savez(temporary, kind=np.array(type(self).__name__), **content)

    @classmethod
    def load(cls: type[Self], path: str | os.PathLike[str]) -> Self:
        """Reads what :meth:`save` wrote.

        Raises:
            ValueError: ``path`` holds something else.
        """
        what = f"a saved {cls.__name__}"
        content = read_archive(path, what)
        kind = str(content.get("kind", "other arrays"))
        if kind != cls.__name__:
            raise ValueError(f"{path}: expected {what}, got {kind}")
        extra = sorted(set(content) - {"kind", *cls._arrays, *cls._options})
        if extra:
            raise ValueError(f"{path}: expected {what}, got {extra} beside it")
        try:
            fitted = cls(**{name: content[name].item() for name in cls._options})
            for name in cls._arrays:
                setattr(fitted, name, content[name])
            fitted._check_arrays()
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{path}: expected {what} ({error})") from error
        return fitted

    def _check_arrays(self) -> None:
        """Raises a ValueError where what was read cannot be what was learned."""
        for name, shape in self._shapes().items():
            array = getattr(self, name)
            if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
                raise ValueError(
                    f"{name} must hold finite float64 of shape {shape}, got {array.dtype} of shape "
                    f"{array.shape}"
                )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        raise NotImplementedError


def _rows(feature: ModalFeature, train_items: Any) -> NDArray[np.int64]:
    return fitted_items(feature, train_items).nonzero().flatten().numpy()


class FeatureScaler(_Fitted):
    r"""Brings every feature to mean 0 and variance 1 over the items known in training.

    .. math::
        x^{\prime}_{if} = (x_{if} - \mu_f) / \sigma_f

    Mean and (population) standard deviation are taken over the items that have the modality and
    occur in training; they are applied to all items that have it, and to items that come later.
    Missing rows stay zero. A feature that does not vary is only centered.

    Example:
        >>> scaled = FeatureScaler().fit_transform(feature, train_items)
        >>> scaler = FeatureScaler().fit(feature, train_items)
        >>> scaler.save("image_scaler.npz")
        >>> new = FeatureScaler.load("image_scaler.npz").transform(new)

    Attributes:
        mean_: Mean of each feature, float64 ``[F]``.
        scale_: Population standard deviation of each feature, float64 ``[F]``; 1 for one that does
            not vary, which is only centered.
    """

    _arrays = ("mean_", "scale_")
    scale_: NDArray[np.float64]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self._arrays, (self.mean_.size,))

    def fit(
        self, feature: ModalFeature, train_items: NDArray[np.bool_] | Tensor | None = None
    ) -> FeatureScaler:
        """Learns mean and deviation over the items that have the modality and are known.

        Args:
            feature: The features ``[N, F]``.
            train_items: Bool ``[N]``, true for items that occur in the training part. Default: all.

        Raises:
            ValueError: No item is left to learn from.
        """
        x, rows = feature.x.numpy(), _rows(feature, train_items)
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        mean = sum(x[block].sum(0, dtype=np.float64) for block in blocks) / len(rows)
        # In two passes: the difference of mean square and squared mean loses digits.
        square = sum(((x[block] - mean) ** 2).sum(0) for block in blocks)
        std = np.sqrt(square / len(rows))
        constant = std <= CONSTANT * np.abs(mean)
        if constant.all():
            warnings.warn("no feature varies over the items of the fit", stacklevel=2)
        self.mean_, self.scale_ = mean, np.where(constant, 1.0, std)
        return self

    def transform(self, feature: ModalFeature) -> ModalFeature:
        """Scales the items that have the modality; missing rows stay zero.

        Raises:
            ValueError: It is not fitted, or to another number of features.
        """
        self._check(feature)
        mean, scale = torch.from_numpy(self.mean_), torch.from_numpy(self.scale_)
        x = torch.empty_like(feature.x)
        for rows in torch.arange(len(x)).split(BLOCK):  # whole, it would be float64
            x[rows] = ((feature.x[rows].double() - mean) / scale).float()
        return ModalFeature(x, feature.mask)


class FeatureReducer(_Fitted):
    r"""Projects features on their principal components over the items known in training.

    .. math::
        \mathbf{x}^{\prime}_i = \mathbf{W} (\mathbf{x}_i - \boldsymbol{\mu}), \qquad
        \mathbf{W} \in \mathbb{R}^{C \times F}

    with the eigenvectors of the largest eigenvalues :math:`\lambda_c` of the covariance as rows of
    :math:`\mathbf{W}`; with ``whiten`` they are divided by :math:`\sqrt{\lambda_c}`, so that
    each of the new features has variance 1. The same numbers as scikit-learn's ``PCA``, but the
    features are read in blocks: it needs ``F * F`` numbers of memory beside them.

    Example:
        >>> reducer = FeatureReducer(64, whiten=True).fit(feature, train_items)
        >>> reducer.transform(feature)
        ModalFeature(4,385 x 64, present=1,585)

    Args:
        num_components: *C*, the number of new features.
        whiten: Gives each new feature variance 1.

    Attributes:
        mean_: Mean of each feature, float64 ``[F]``.
        components_: :math:`\mathbf{W}` before whitening, rows of length 1, float64 ``[C, F]``. The
            largest entry of each row is positive.
        explained_variance_: :math:`\lambda_c`, the (unbiased) variance along each component,
            descending, float64 ``[C]``.
        explained_variance_ratio_: Their shares of the whole variance, float64 ``[C]``.

    Raises:
        ValueError: ``num_components`` is below 1.
    """

    _arrays = ("mean_", "components_", "explained_variance_", "explained_variance_ratio_")
    _options = ("num_components", "whiten")
    components_: NDArray[np.float64]
    explained_variance_: NDArray[np.float64]
    explained_variance_ratio_: NDArray[np.float64]

    def __init__(self, num_components: int, *, whiten: bool = False) -> None:
        if num_components < 1:
            raise ValueError(f"'num_components' must be at least 1 (got {num_components})")
        self.num_components, self.whiten = num_components, whiten

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        count, width = self.num_components, self.mean_.size
        shapes = ((width,), (count, width), (count,), (count,))
        return dict(zip(self._arrays, shapes, strict=True))

    def fit(
        self, feature: ModalFeature, train_items: NDArray[np.bool_] | Tensor | None = None
    ) -> FeatureReducer:
        """Learns the components over the items that have the modality and are known.

        Args:
            feature: The features ``[N, F]``.
            train_items: Bool ``[N]``, true for items that occur in the training part. Default: all.

        Raises:
            ValueError: ``num_components`` exceeds what the items can tell apart: the number of
                features, or the number of items less one.
        """
        x, rows = feature.x.numpy(), _rows(feature, train_items)
        width = feature.num_features
        most = min(width, len(rows) - 1)
        if self.num_components > most:
            raise ValueError(
                f"'num_components' must not exceed {most} for {len(rows)} items of {width} "
                f"features (got {self.num_components})"
            )
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        mean = sum(x[block].sum(0, dtype=np.float64) for block in blocks) / len(rows)
        covariance = np.zeros((width, width))
        for block in blocks:
            centered = x[block] - mean
            covariance += centered.T @ centered
        covariance /= len(rows) - 1
        values, vectors = scipy.linalg.eigh(
            covariance, subset_by_index=(width - self.num_components, width - 1)
        )
        values, vectors = values[::-1].clip(min=0), vectors[:, ::-1].T  # [F, C] -> [C, F]
        # An eigenvector's sign is arbitrary: fixed, so that every machine gives the same features.
        largest = np.abs(vectors).argmax(1)
        vectors = vectors * np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
        flat = int((values <= 1e-12 * max(float(values[0]), 1e-300)).sum())
        if flat:
            warnings.warn(
                f"{flat} of {self.num_components} components do not vary over the items of the "
                "fit: a smaller 'num_components' holds as much",
                stacklevel=2,
            )
        self.mean_, self.components_, self.explained_variance_ = mean, vectors, values
        self.explained_variance_ratio_ = values / max(float(np.trace(covariance)), 1e-300)
        return self

    def transform(self, feature: ModalFeature) -> ModalFeature:
        """Projects the items that have the modality; missing rows stay zero.

        Raises:
            ValueError: It is not fitted, or to another number of features.
        """
        self._check(feature)
        weight = self.components_
        if self.whiten:
            # A component that does not vary has nothing to be scaled to.
            flat = self.explained_variance_ <= 1e-12 * max(self.explained_variance_[0], 1e-300)
            weight = weight / np.sqrt(np.where(flat, 1.0, self.explained_variance_))[:, None]
        out = np.empty((len(feature), len(weight)), np.float32)
        x = feature.x.numpy()
        for start in range(0, len(x), BLOCK):
            out[start : start + BLOCK] = (x[start : start + BLOCK] - self.mean_) @ weight.T
        return ModalFeature(torch.from_numpy(out), feature.mask)
