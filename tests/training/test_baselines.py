from __future__ import annotations

from typing import Any

import torch

from mdsrec_pyg import EASE, Popularity, SASRec, SyntheticDataset, evaluate, leave_last_out
from mdsrec_pyg.graphs import RidgeConfig
from mdsrec_pyg.training import TrainerConfig, fit_baselines

DATASET = SyntheticDataset(60, 80, num_interests=4, channels=6)
SPLIT = leave_last_out(DATASET.interactions)
ONE_EPOCH = TrainerConfig(epochs=1, seed=3)


def test_each_baseline_is_fitted_and_the_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    lines: list[str] = []
    options: dict[str, Any] = {"l2": 7.0, "feature_weight": 3.0, "denoising": 0.2}
    ridge = RidgeConfig(**options)
    fit = fit_baselines(DATASET.features, SPLIT, config=ONE_EPOCH, ridge=ridge, log=lines.append)
    assert torch.equal(torch.rand(2), expected)
    assert {name: type(model) for name, model in fit.items()} == {
        "popularity": Popularity,
        "SASRec": SASRec,
        "EASE with features": EASE,
    }
    assert len(lines) == 1
    same = EASE(SPLIT.train, [*DATASET.features.values()], **options)
    assert torch.equal(fit["EASE with features"].get_buffer("weight"), same.weight)


def test_without_features_it_is_plain_ease() -> None:
    fit = fit_baselines({}, SPLIT, config=ONE_EPOCH, log=lambda line: None)
    assert list(fit) == ["popularity", "SASRec", "EASE"]
    assert torch.equal(fit["EASE"].get_buffer("weight"), EASE(SPLIT.train).weight)


def test_seen_items_are_treated_as_validation_prefers() -> None:
    fit = fit_baselines(DATASET.features, SPLIT, config=ONE_EPOCH, log=lambda line: None)
    for name in ("popularity", "EASE with features"):
        model = fit[name]
        assert isinstance(model, (EASE, Popularity))
        chosen, values = model.history_bias, {}
        for model.history_bias in (0.0, -1e3):
            values[model.history_bias] = evaluate(model, SPLIT.val).metrics["ndcg@10"]
        assert values[0.0] != values[-1e3]
        assert values[chosen] == max(values.values())


def test_ease_is_left_out_where_memory_is_short() -> None:
    lines: list[str] = []
    short = RidgeConfig(memory_limit=0)
    fit = fit_baselines(DATASET.features, SPLIT, config=ONE_EPOCH, ridge=short, log=lines.append)
    assert list(fit) == ["popularity", "SASRec"]
    assert "memory_limit=0" in lines[-1]
