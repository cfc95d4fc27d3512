"""A small data set on disk, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.cli.main import main


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    """Runs a command in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDSREC_DEBUG", raising=False)

    def run(*words: object) -> Done:
        capsys.readouterr()
        code = main([str(word) for word in words])
        text = capsys.readouterr()
        return Done(code, text.out, text.err)

    return run


SMALL = ("--num-centers", 4, "--model.channels", 8, "--trainer.epochs", 1)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose items are called 000, 001, ...: ids are text."""
    folder = tmp_path_factory.mktemp("data") / "shop"
    dataset = SyntheticDataset(120, 124, seed=0)
    dataset.item_ids = pd.Series([f"{i:03d}" for i in range(124)]).to_numpy(object)
    dataset.save(folder)
    return folder


@pytest.fixture(scope="session")
def trained(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on it."""
    directory = tmp_path_factory.mktemp("runs") / "shop"
    words = ["train", "--data", shop, "--directory", directory, "--json", *SMALL]
    assert main([str(word) for word in words]) == 0
    return directory
