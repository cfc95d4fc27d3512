from __future__ import annotations

import math

import pytest

from mdsrec_pyg import Trainer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "'epochs' must be at least 1"),
        ({"batch_size": 0}, "'batch_size' must be at least 1"),
        ({"patience": 0}, "'patience' must be at least 1"),
        ({"eval_batch_size": 0}, "'eval_batch_size' must be at least 1"),
        ({"epochs": 5, "eval_every": 2}, "'eval_every' must divide 'epochs'"),
        ({"weight_decay": -1.0}, "'weight_decay' must not be negative"),
        ({"warmup_steps": -1}, "'warmup_steps' must not be negative"),
        ({"seed": -1}, "'seed' must not be negative"),
        ({"lr": 0.0}, "'lr' must be positive"),
        ({"lr": math.nan}, "'lr' must be finite"),
        ({"grad_clip": 0.0}, "'grad_clip' must be positive"),
        ({"average_epochs": 0.0}, "'average_epochs' must be positive"),
        ({"precision": "float16"}, "'precision' must be"),
        ({"precision": "bfloat16"}, "needs a CUDA device"),
        ({"monitor": "auc"}, "a metric is"),
    ],
)
def test_bad_options_are_errors(toy_model, options, message):
    with pytest.raises(ValueError, match=message):
        Trainer(toy_model(), device="cpu", **options)


def test_another_catalog_is_an_error(toy_model, toy_split):
    with pytest.raises(
        ValueError, match=r"'train' must have the items of the model \(got 30 and 31"
    ):
        Trainer(toy_model(num_items=31), device="cpu").fit(toy_split.train, toy_split.val)
