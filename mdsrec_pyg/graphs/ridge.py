r"""The exact ridge regression of items on items and their features.

With :math:`\mathbf{X}` the binary user x item matrix of the training part and
:math:`\mathbf{K} = \hat{\mathbf{F}} \hat{\mathbf{F}}^{\top}` the cosine Gram matrix of a modality
(zero rows where it is missing),

.. math::
    \mathbf{A} = \mathbf{X}^{\top} \mathbf{X} + a \mathbf{K} + \mathrm{diag}(r), \qquad
    r_i = l + \tfrac{p}{1 - p} n_i, \qquad
    \mathbf{P} = \mathbf{A}^{-1}, \qquad
    S_{ij} = -P_{ij} / P_{jj}, \qquad S_{jj} = 0.

With :math:`p = 0` this is EASE (`Steck 2019 <https://arxiv.org/abs/1905.03375>`_) with the features
as further rows of :math:`\mathbf{X}`: co-occurrence and affinity add up and are explained away
against each other. With :math:`p > 0` the ridge of an item grows with its number of training users
:math:`n_i`, which is EDLAE (Steck 2020, `Autoencoders that don't overfit towards the Identity
<https://papers.neurips.cc/paper/2020/hash/e33d974aae13e4d877477d51d8bafdc4-Abstract.html>`_): what
is learned by reproducing each item of a user from the others while each of these is dropped with
probability *p*. Rows of features are not dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.config import RidgeConfig
from mdsrec_pyg.graphs.neighbors import as_unit, row_blocks, sorted_graph, top_blocks

__all__ = ["ridge_graph", "ridge_memory", "ridge_precision"]


# Of what is computed a block of rows at a time, a block has at most this share of the matrix.
_SHARE = 32


def ridge_memory(num_items: int) -> int:
    """Bytes that the exact ridge needs: the float64 matrix and its float32 inverse.

    That is the most that :func:`ridge_precision` and :func:`ridge_graph` hold beside what they are
    given and what they return, but for some MB that do not grow with the number of items.
    """
    return 12 * num_items**2


def _small_blocks(num_items: int, block_size: int | None) -> Iterator[slice]:
    """Rows in blocks that are small beside the matrix, so that copies of them are, too."""
    step = max(1, num_items // _SHARE)
    for rows in row_blocks(num_items, num_items, block_size):
        for start in range(rows.start, rows.stop, step):
            yield slice(start, min(start + step, rows.stop))


def ridge_precision(
    interactions: Interactions,
    x: Any = None,
    mask: Any = None,
    feature_weight: float | Sequence[float] = RidgeConfig.feature_weight,
    l2: float = RidgeConfig.l2,
    *,
    denoising: float = RidgeConfig.denoising,
    block_size: int | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    r"""Inverts :math:`\mathbf{X}^{\top} \mathbf{X} + a \mathbf{K} + \mathrm{diag}(r)` exactly.

    A Cholesky factorization in float64, in place: time :math:`O(N^3)`, memory
    :func:`ridge_memory`.

    Args:
        interactions: Training interactions; repeated ones count once.
        x: Features ``[N, F]``, a ModalFeature, or a list of either, whose kernels add up:
            :math:`a \mathbf{K} = \sum_m a_m \mathbf{K}_m`. Default: no kernel, which is EASE.
        mask: True where the item has the modality, bool ``[N]``; one a modality where ``x`` is a
            list. Default: all have it.
        feature_weight: Weight *a* of the affinity, not negative: one for all modalities, or one a
            modality. A modality of weight 0 is not looked at.
        l2: Ridge *l*, positive.
        denoising: Dropout probability *p* of EDLAE, in [0, 1): adds :math:`n_i p / (1 - p)` to the
            ridge of item *i*, :math:`n_i` its number of training users.
        block_size: Rows of the kernel computed at once; changes memory, not the result.
        device: Where it is computed and returned. On another than the CPU the kernel is summed in
            another order: entries differ by some 1e-6 of the largest.
        dtype: Of the kernel and the result; ``torch.float64``, which takes 16 N^2 bytes and a copy
            of the features, where :func:`~mdsrec_pyg.graphs.grow_precision` is to go on from it.

    Returns:
        Symmetric ``[N, N]`` of that type.

    Raises:
        ValueError: A weight out of range, or shapes that do not fit.
    """
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"'dtype' must be torch.float32 or torch.float64 (got {dtype})")
    modalities = _modalities(x, mask)
    check_ridge(l2, denoising)
    weights = feature_weights(feature_weight, len(modalities))
    num_items = interactions.num_items
    device, ridge = torch.device(device), ridge_diagonal(interactions, l2, denoising)
    if device.type != "cpu":
        return _precision_on(device, interactions, modalities, weights, ridge, dtype)
    matrix = np.zeros((num_items, num_items))
    for (feature, present), weight in zip(modalities, weights, strict=True):
        unit = as_unit(feature, present).rows.to(dtype).numpy()
        _check_rows(len(unit), num_items)
        if weight == 0:
            continue
        for rows in row_blocks(num_items, num_items, block_size):
            product = unit[rows] @ unit.T
            product *= weight
            matrix[rows] += product
            del product
    _add_counts(matrix, interactions, block_size)
    matrix.flat[:: num_items + 1] += ridge
    return _invert(matrix, block_size, dtype)


def _precision_on(
    device: torch.device,
    interactions: Interactions,
    modalities: list[tuple[Any, Any]],
    weights: Sequence[float],
    ridge: NDArray[np.float64],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The same on a GPU: a Cholesky factorization and its inverse in float64."""
    num_items = interactions.num_items
    matrix = torch.zeros(num_items, num_items, dtype=torch.float64, device=device)
    for (feature, present), weight in zip(modalities, weights, strict=True):
        unit = as_unit(feature, present).rows.to(device, dtype)
        _check_rows(len(unit), num_items)
        for rows in row_blocks(num_items, num_items, None):
            matrix[rows] += weight * (unit[rows] @ unit.T)
    users = interactions.to_csr()
    counts = (users.T @ users).tocoo()
    place = torch.from_numpy(counts.row.astype(np.int64) * num_items + counts.col).to(device)
    count = torch.from_numpy(counts.data.astype(np.float64)).to(device)
    matrix.view(-1)[place] += count  # a pair stands there once
    matrix.diagonal().add_(torch.from_numpy(ridge).to(device))
    factor, info = torch.linalg.cholesky_ex(matrix)
    del matrix
    _check_factor(int(info))
    return torch.cholesky_inverse(factor).to(dtype)


def _check_factor(info: int) -> None:
    if info != 0:
        raise ValueError(f"'l2' is too small: the ridge matrix is singular (LAPACK info {info})")


def _check_rows(given: int, num_items: int) -> None:
    if given != num_items:
        raise ValueError(f"'x' must have one row an item ({num_items}), got {given}")


def _add_counts(
    matrix: NDArray[np.float64], interactions: Interactions, block_size: int | None
) -> None:
    """Adds the users that each two items share, in place."""
    users = interactions.to_csr()
    items = users.T.tocsr()
    for rows in _small_blocks(len(matrix), block_size):
        counts: Any = items[rows] @ users  # as many numbers as the block where all co-occur
        row = np.repeat(np.arange(rows.start, rows.stop), np.diff(counts.indptr))
        matrix[row, counts.indices] += counts.data


def feature_weights(feature_weight: float | Sequence[float], num_modalities: int) -> list[float]:
    """One weight a modality.

    Raises:
        ValueError: A weight out of range, or another number of them than of modalities.
    """
    several = isinstance(feature_weight, Sequence)
    given = [*feature_weight] if isinstance(feature_weight, Sequence) else [feature_weight]
    for weight in given:
        if not 0 <= weight < math.inf:
            raise ValueError(f"'feature_weight' must be finite and not negative (got {weight})")
    if several and len(given) != num_modalities:
        raise ValueError(
            f"'feature_weight' must be one number, or one a modality ({num_modalities}), got "
            f"{len(given)}"
        )
    return given if several else given * num_modalities


def ridge_diagonal(interactions: Interactions, l2: float, denoising: float) -> NDArray[np.float64]:
    """The ridge :math:`l + n_i p / (1 - p)` of each item, float64 ``[N]``."""
    users = interactions.to_csr().sum(axis=0, dtype=np.float64)
    return l2 + np.asarray(users).ravel() * (denoising / (1 - denoising))


def check_ridge(l2: float, denoising: float) -> None:
    """Raises a ValueError where the ridge need not make the matrix positive definite."""
    if not 0 < l2 < math.inf:
        raise ValueError(f"'l2' must be positive and finite (got {l2})")
    if not 0 <= denoising < 1:
        raise ValueError(f"'denoising' must lie in [0, 1) (got {denoising})")


def _modalities(x: Any, mask: Any) -> list[tuple[Any, Any]]:
    if x is None:
        if mask is not None:
            raise ValueError("'mask' must be left out where there are no features 'x'")
        return []
    if not isinstance(x, Sequence):
        return [(x, mask)]
    masks = [None] * len(x) if mask is None else list(mask)
    if len(masks) != len(x):
        raise ValueError(f"'mask' must hold one mask a modality ({len(x)}), got {len(masks)}")
    return list(zip(x, masks, strict=True))


def _invert(matrix: NDArray[np.float64], block_size: int | None, dtype: torch.dtype) -> Tensor:
    # The transpose is Fortran-ordered and, the matrix being symmetric, the same: no copy is made.
    factor, info = lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if info == 0:
        factor, info = lapack.dpotri(factor, lower=1, overwrite_c=1)
    _check_factor(int(info))
    upper = factor.T  # LAPACK leaves the inverse in one triangle only
    inverse = np.empty(upper.shape, np.float64 if dtype == torch.float64 else np.float32)
    for rows in _small_blocks(len(upper), block_size):
        corner = np.triu(upper[rows, rows])
        inverse[rows, rows] = corner + np.triu(corner, 1).T
        inverse[rows, rows.stop :] = upper[rows, rows.stop :]
        inverse[rows.stop :, rows] = upper[rows, rows.stop :].T
    return torch.from_numpy(inverse)


def ridge_graph(
    precision: Tensor,
    num_neighbors: int | None = RidgeConfig.num_neighbors,
    *,
    block_size: int | None = None,
) -> Data:
    r"""Makes the graph of the weights :math:`S_{ij} = -P_{ij} / P_{jj}` of a ridge precision.

    The vote goes from an item *i* of the history to a candidate *j*: the edge from *i* to *j*
    weighs :math:`S_{ij}`. Only positive entries become edges.

    Args:
        precision: Symmetric inverse ``[N, N]``, see :func:`ridge_precision`.
        num_neighbors: Largest entries kept of each row *i*, ties by the lower id. ``None`` keeps
            all positive ones.
        block_size: Rows of S computed at once; changes memory, not the result.

    Returns:
        Data with ``edge_index`` int64 ``[2, E]``, sorted by source and target, ``edge_weight``
        float32 ``[E]`` and ``num_nodes``.

    Raises:
        ValueError: ``precision`` is not square, or ``num_neighbors`` is below 1.
    """
    if precision.dim() != 2 or precision.size(0) != precision.size(1):
        raise ValueError(f"'precision' must have shape [N, N] (got {list(precision.shape)})")
    num_items = precision.size(0)
    k = num_items if num_neighbors is None else num_neighbors
    if k < 1:
        raise ValueError(f"'num_neighbors' must be at least 1 (got {num_neighbors})")
    diagonal = precision.diagonal()

    def weights(rows: slice) -> Tensor:
        block = precision[rows] / -diagonal
        block.diagonal(rows.start).zero_()
        return block

    # A block is copied some three times while its largest entries are looked for.
    largest = next(row_blocks(num_items, num_items, block_size)).stop
    size = min(largest, max(1, num_items // 8))
    source, target, weight = top_blocks(weights, num_items, num_items, k, size)
    return sorted_graph(source, target, weight, num_items)
