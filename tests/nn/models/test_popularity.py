from __future__ import annotations

import math

import torch

from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn import Popularity


def test_scores_are_logarithms_of_counts() -> None:
    train = Interactions.from_arrays([0, 0, 1, 1, 1], [2, 0, 2, 2, 1], num_items=4)
    model = Popularity(train)
    scores = model.score(SequenceBatch.from_histories([[2], [0, 1]], 5))
    want = torch.tensor([math.log(2), math.log(2), math.log(4), 0.0])
    torch.testing.assert_close(scores, want.expand(2, 4))
    biased = Popularity(train, history_bias=-3.0, max_length=1)
    batch = SequenceBatch.from_histories([[2], [0, 1]], biased.max_length)
    own = torch.tensor([[0.0, 0.0, -3.0, 0.0], [-3.0, -3.0, 0.0, 0.0]])  # 0 is not read, but taken
    torch.testing.assert_close(biased.score(batch), want + own)
    assert not model.supports_training
    assert model.num_items == 4
