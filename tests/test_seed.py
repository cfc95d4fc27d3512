"""Seeds and states of the random number generators."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mdsrec_pyg.seed import random_state, seed_everything, set_random_state
from mdsrec_pyg.training.checkpoint import load_checkpoint, save_checkpoint


def test_random_states_come_back(tmp_path):
    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(()).item()

    seed_everything(1)
    first = draw()
    random.gauss(0, 1)  # leaves a second number in store
    cpu = torch.device("cpu")
    save_checkpoint(tmp_path / "a.pt", {"random": random_state(cpu)})
    second = (*draw(), random.gauss(0, 1))
    seed_everything(1)
    assert draw() == first
    set_random_state(load_checkpoint(tmp_path / "a.pt")["random"], cpu)
    assert (*draw(), random.gauss(0, 1)) == second
    with pytest.raises(ValueError, match="'seed' must be from 0"):
        seed_everything(-1)
