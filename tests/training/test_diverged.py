"""A model whose scores are no numbers: one error, whoever looks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mdsrec_pyg import Trainer
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.evaluation import evaluate


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_that_diverge_in_validation_are_the_error_that_fit_documents(
    toy_model, toy_split, value
) -> None:
    model = toy_model()
    score = model.score

    def spoiled(batch: SequenceBatch, items: Tensor | None = None) -> Tensor:
        return score(batch, items) * value * 0

    model.score = spoiled
    trainer: Any = Trainer(model, epochs=1, progress=False, device="cpu", log=lambda line: None)
    with pytest.raises(FloatingPointError, match=r"got NaN, first for user .*'val'.* diverged"):
        trainer.fit(toy_split.train, toy_split.val)
    with pytest.raises(ValueError, match="got NaN, first for user"):
        evaluate(model, toy_split.test)
