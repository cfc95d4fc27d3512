from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import EASE

N = 24


def dense_weights(
    world, weight: float | list[float] = 0.0, l2: float = 3.0, denoising: float = 0.0
) -> np.ndarray:
    """B = P / (-diag P), zero diagonal (Steck 2019, eq. 8), with the kernels of the features."""
    weights = weight if isinstance(weight, list) else [weight] * len(world.features)
    x = np.zeros((20, N))
    x[world.train.user_id, world.train.item_id] = 1
    a = x.T @ x + l2 * np.eye(N)
    a += denoising / (1 - denoising) * np.diag(x.sum(0))  # EDLAE (Steck 2020)
    for feature, own in zip(world.features.values(), weights, strict=True):
        f = feature.x.double().numpy()
        unit = f / np.linalg.norm(f, axis=1, keepdims=True).clip(1e-12)
        unit *= feature.mask.numpy()[:, None]
        a += own * unit @ unit.T
    p = np.linalg.inv(a)
    b = p / -np.diag(p)
    np.fill_diagonal(b, 0)
    return b


def dense_scores(world, b: np.ndarray, decay: float = 1.0, bias: float = 0.0) -> Tensor:
    scores = np.zeros((len(world.batch), N))
    for row in range(len(world.batch)):
        history = world.batch.item_id[row][world.batch.mask[row]].tolist()
        for back, item in enumerate(reversed(history)):
            scores[row] += decay**back * b[item]
        scores[row, sorted(set(history))] += bias
    return torch.from_numpy(scores).float()


@pytest.mark.parametrize("weight", [None, 2.0, 20.0])
@pytest.mark.parametrize("l2", [3.0, 30.0])
def test_scores_equal_the_dense_formula(world, weight: float | None, l2: float) -> None:
    if weight is None:
        model = EASE(world.train, l2=l2)
    else:
        model = EASE(world.train, list(world.features.values()), l2=l2, feature_weight=weight)
    b = dense_weights(world, weight or 0.0, l2)
    torch.testing.assert_close(
        model.score(world.batch), dense_scores(world, b), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("weight", [2.0, [2.0, 0.0], [0.5, 7.0]])
@pytest.mark.parametrize("denoising", [0.0, 0.33])
def test_denoising_and_a_weight_a_modality(
    world, weight: float | list[float], denoising: float, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"l2": 3.0, "feature_weight": weight, "denoising": denoising}
    model = EASE(world.train, list(world.features.values()), **options)
    want = dense_scores(world, dense_weights(world, weight, 3.0, denoising))
    torch.testing.assert_close(model.score(world.batch), want, rtol=1e-4, atol=1e-5)
    assert options.items() <= model.hyperparameters().items()
    model.save(tmp_path / "ease")
    loaded = EASE.load(tmp_path / "ease")
    assert loaded.hyperparameters() == model.hyperparameters()
    assert torch.equal(loaded.score(world.batch), model.score(world.batch))


def test_a_folder_from_before_there_was_denoising_is_read(world) -> None:
    model = EASE(world.train, l2=3.0)
    old = {name: value for name, value in model.hyperparameters().items() if name != "denoising"}
    assert EASE.from_hyperparameters(old).denoising == 0.0
    assert EASE.from_hyperparameters({**old, "denoising": 0.2}).denoising == 0.2


@pytest.mark.parametrize(("decay", "bias"), [(0.5, 0.0), (1.0, -2.0), (0.7, 3.0)])
def test_decay_and_history_bias(world, decay: float, bias: float) -> None:
    model = EASE(world.train, l2=3.0, decay=decay, history_bias=bias)
    want = dense_scores(world, dense_weights(world), decay, bias)
    torch.testing.assert_close(model.score(world.batch), want, rtol=1e-4, atol=1e-5)


def test_padding_does_not_vote(world) -> None:
    model = EASE(world.train, l2=3.0, history_bias=5.0)
    short = SequenceBatch.from_histories([[3, 4]], 9)
    padded = SequenceBatch(
        torch.tensor([[7, 7, 3, 4]]), torch.tensor([[False, False, True, True]]), short.user_id
    )
    assert torch.equal(model.score(padded), model.score(short))


def test_the_history_bias_reaches_items_whose_vote_has_decayed_to_nothing(world) -> None:
    model = EASE(world.train, l2=3.0, decay=1e-20, history_bias=5.0)
    scores = model.score(SequenceBatch.from_histories([[9, 1, 2, 3]], 9))
    assert scores[0, 9] > 4


def test_it_needs_no_training(world) -> None:
    model = EASE(world.train, max_length=7)
    assert not model.supports_training
    assert model.max_length == 7
    assert not list(model.parameters())
    assert not model.weight.diagonal().any()


@pytest.mark.parametrize("decay", [0.0, 1.1])
def test_a_decay_out_of_range_is_an_error(world, decay: float) -> None:
    with pytest.raises(ValueError, match=r"'decay' must lie in \(0, 1\]"):
        EASE(world.train, decay=decay)
