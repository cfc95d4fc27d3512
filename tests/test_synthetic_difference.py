"""Modalities that disagree: what taking them apart is worth, and what is left without one.

Test Recall@10 on ``SyntheticDataset`` with its defaults, leave-last-out, whole catalog, seen items
masked, mean rank for ties; half of the 2,000 users follow the image, half the text.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mdsrec_pyg import (
    SASRec,
    SyntheticDataset,
    Trainer,
    build_mdsrec,
    evaluate,
    leave_last_out,
    seed_everything,
)
from mdsrec_pyg.data import FeatureScaler, Split
from mdsrec_pyg.evaluation import per_user_metric
from mdsrec_pyg.nn import SequentialRecommender

SEED = 0
IMAGE, TEXT = 0, 1


def recalls(
    model: SequentialRecommender, split: Split, epochs: int, lr: float
) -> NDArray[np.float64]:
    """Recall@10 of each test user after training."""
    trainer = Trainer(
        model, lr=lr, batch_size=128, epochs=epochs, patience=4, seed=SEED, log=lambda line: None
    )
    trainer.fit(split.train, split.val)
    return per_user_metric(evaluate(model, split.test).ranks_masked, "recall@10")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    """Recall@10 of the models for those who follow one modality, with and without its features."""
    result = {}
    for name in ("intact", "shuffled"):
        shuffle = "text" if name == "shuffled" else None
        dataset = SyntheticDataset(seed=SEED, shuffle_modality=shuffle)
        split = leave_last_out(dataset.interactions)
        seed_everything(SEED)
        mdsrec = build_mdsrec(dataset.features, split.train, seed=SEED)
        values = {f"MDSRec {name}": recalls(mdsrec, split, epochs=8, lr=1e-3)}
        if name == "intact":
            known = split.train.item_counts() > 0
            scaled = [
                FeatureScaler().fit_transform(feature, known).x
                for feature in dataset.features.values()
            ]
            # Its best epoch on validation is about the tenth at this step.
            sasrecf = SASRec(dataset.num_items, scaled)
            values["SASRecF intact"] = recalls(sasrecf, split, epochs=25, lr=3e-3)
        for model, recall in values.items():
            for kind, modality in (("image", IMAGE), ("text", TEXT)):
                followers = dataset.user_modality[split.test.user_id] == modality
                result[f"{model}, {kind}"] = float(recall[followers].mean())
    return result


# The standard error of each difference below is about .015, by users and by seeds alike.


@pytest.mark.parametrize("kind", ["image", "text"])
def test_mdsrec_is_clearly_better_than_sasrecf(measured: dict[str, float], kind: str) -> None:
    assert measured[f"MDSRec intact, {kind}"] > measured[f"SASRecF intact, {kind}"] + 0.05


def test_shuffled_features_take_the_advantage_away(measured: dict[str, float]) -> None:
    assert measured["MDSRec shuffled, text"] < measured["SASRecF intact, text"]
    assert measured["MDSRec shuffled, text"] < measured["MDSRec intact, text"] - 0.08


def test_the_other_modality_is_not_harmed(measured: dict[str, float]) -> None:
    assert measured["MDSRec shuffled, image"] > measured["MDSRec intact, image"] - 0.03
