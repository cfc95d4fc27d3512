"""Seeds and states of the random number generators."""

from __future__ import annotations

import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from mdsrec_pyg.seed import preserved_random_state, random_state, seed_everything, set_random_state
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


def test_two_threads_that_work_from_a_seed_are_warned() -> None:
    cpu = torch.device("cpu")

    def nested() -> None:
        with preserved_random_state(cpu), preserved_random_state(cpu):
            pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nested()
        with preserved_random_state(cpu):
            nested()
            with ThreadPoolExecutor(1) as pool:
                other = pool.submit(nested)
            with pytest.raises(UserWarning, match="another thread of this process works from"):
                other.result()
        nested()
