"""A small model and small data, shared by the tests of training and evaluation."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.data.splits import Split, leave_last_out


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where a browser is known to be, its tests must not skip."""
    parser.addoption("--require-browser", action="store_true", help="fail without chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is skipped without a GPU, so that one with a GPU can be given all of it."""
    for item in items:
        for mark in item.iter_markers("skipif"):
            if re.search(r"needs (a GPU|CUDA)", str(mark.kwargs.get("reason", ""))):
                item.add_marker("gpu")


class ToyModel(nn.Module):
    """What trainer and evaluation ask of a model: here the mean of embeddings, with dropout."""

    supports_training = True

    def __init__(self, num_items: int = 30, channels: int = 8, dropout: float = 0.3) -> None:
        super().__init__()
        self.num_items, self.max_length = num_items, 4
        self.item = nn.Embedding(num_items, channels)
        self.dropout = nn.Dropout(dropout)
        self.scale = nn.Parameter(torch.ones(()))

    def encode_items(self) -> Tensor:
        return self.item.weight * self.scale

    def users(self, batch: SequenceBatch, items: Tensor) -> Tensor:
        mask = batch.mask.unsqueeze(-1).to(items.dtype)  # [B, L, 1]
        history = (self.dropout(items[batch.item_id]) * mask).cumsum(1)
        return history / mask.cumsum(1).clamp(min=1)

    def score(self, batch: SequenceBatch, items: Tensor | None = None) -> Tensor:
        items = self.encode_items() if items is None else items
        return self.users(batch, items)[:, -1] @ items.t()

    def loss(self, batch: SequenceBatch) -> Tensor:
        items = self.encode_items()
        assert batch.target is not None
        assert batch.target_mask is not None
        logits = self.users(batch, items)[batch.target_mask] @ items.t()
        return nn.functional.cross_entropy(logits, batch.target[batch.target_mask])

    def check_training(self, train: Interactions) -> None:
        """Any interactions will do."""

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        return [
            {"params": [self.item.weight], "lr": lr, "weight_decay": weight_decay},
            {"params": [self.scale], "lr": 5 * lr, "weight_decay": 0.0},
        ]


@pytest.fixture
def run_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs a script of a folder with arguments; what it printed."""

    def call(folder: Path, name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(folder / name), run_name="__main__")
        except SystemExit as stop:
            if stop.code:  # the line that it ended with, or the status where it said nothing
                raise SystemExit(capsys.readouterr().err or stop.code) from stop
        return capsys.readouterr().out

    return call


@pytest.fixture
def toy_model() -> Callable[..., ToyModel]:
    """Makes toy models with the same first weights each."""

    def make(**kwargs: Any) -> ToyModel:
        torch.manual_seed(0)
        return ToyModel(**kwargs)

    return make


@pytest.fixture(scope="session")
def toy_split() -> Split:
    """40 users with 6 to 12 of 30 items, who mostly go on to the item with the next number."""
    rng = np.random.default_rng(0)
    histories = []
    for _ in range(40):
        jumps = np.where(rng.random(rng.integers(6, 13)) < 0.8, 1, rng.integers(1, 30))
        histories.append(np.cumsum(jumps) % 30)
    user = np.repeat(np.arange(40), [len(history) for history in histories])
    time = np.concatenate([np.arange(len(history)) // 2 for history in histories])
    return leave_last_out(
        Interactions.from_arrays(user, np.concatenate(histories), time, num_items=30)
    )
