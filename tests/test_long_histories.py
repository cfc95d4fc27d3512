"""Long histories of many interests, in which the newest items tell more than all of them together.

Test NDCG@10, leave-last-out, whole catalog, seen items masked, mean rank for ties. Users take 60
items and change a favorite every 17th: whoever weighs all steps alike recommends the past.
"""

from __future__ import annotations

import pytest
import torch

from mdsrec_pyg import EASE, Popularity, SyntheticDataset, Trainer, build_mdsrec, evaluate
from mdsrec_pyg.data import Split, leave_last_out
from mdsrec_pyg.nn import Recommender

SEED = 0


def ndcg(model: Recommender, split: Split) -> float:
    """Mean of validation and test, to halve the noise: nothing is chosen by either."""
    parts = (split.val, split.test)
    return sum(evaluate(model, part).metrics_masked["ndcg@10"] for part in parts) / 2


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    """NDCG@10 by model."""
    dataset = SyntheticDataset(600, 640, num_interests=16, mean_length=60.0, drift=0.06, seed=SEED)
    split = leave_last_out(dataset.interactions)
    result = {"popularity": ndcg(Popularity(split.train), split)}
    features = list(dataset.features.values())
    for decay in (1.0, 0.9):
        ease = EASE(split.train, features, feature_weight=10.0, decay=decay, max_length=100)
        result[f"EASE, decay {decay}"] = ndcg(ease, split)
    votes = build_mdsrec(
        dataset.features, split.train, seed=SEED, vectors=False, relations={"feature_weight": 10.0}
    )
    assert votes.votes is not None
    with torch.no_grad():  # they start with a decay, which would leave little to learn
        votes.votes.weight.zero_()
    result["votes, all steps alike"] = ndcg(votes, split)
    trainer = Trainer(
        votes, lr=3e-3, batch_size=64, epochs=8, exclude_seen=True, log=lambda line: None
    )
    trainer.fit(split.train, split.val)
    result["votes"] = ndcg(votes, split)
    return result


# Standard errors are about .008; of a difference on the same users less.


def test_the_newest_steps_tell_more(measured: dict[str, float]) -> None:
    assert measured["EASE, decay 0.9"] > 1.3 * measured["EASE, decay 1.0"]
    assert measured["EASE, decay 1.0"] > 2 * measured["popularity"]


def test_the_votes_learn_which_steps_tell_more(measured: dict[str, float]) -> None:
    assert measured["votes"] > 1.25 * measured["votes, all steps alike"]


def test_learned_weights_are_worth_a_good_fixed_decay(measured: dict[str, float]) -> None:
    assert measured["votes"] > 0.93 * measured["EASE, decay 0.9"]
