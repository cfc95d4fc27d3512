"""Folders that are damaged or in use: one line that names the file, and a status that is not 0."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdsrec_pyg.io import claim
from tests.cli.conftest import SMALL
from tests.test_io_seals import files_of_at_most


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Another works in the folder: a thread, which is told apart as a process is."""
    ready, end = threading.Event(), threading.Event()

    def hold() -> None:
        with claim(folder):
            ready.set()
            end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(60)
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be damaged."""
    return shutil.copytree(trained, tmp_path / "copy")


def one_line(done: Any, *words: str) -> None:
    assert done.code == 1
    assert len(done.err.splitlines()) == 1, done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"data":', '{"data": null}'])
def test_settings_that_are_none_are_named_by_every_command(
    call: Any, run: Path, shop: Path, text: str
) -> None:
    (run / "settings.json").write_text(text)
    said = f"{run / 'settings.json'}: expected the settings of a run"
    one_line(call("evaluate", run), said)
    one_line(call("recommend", run, "--user", "user-1"), said)
    one_line(call("train", "--data", shop, "--directory", run, *SMALL), said)


def test_ranks_of_which_a_bit_was_flipped_are_not_compared(
    call: Any, trained: Path, run: Path
) -> None:
    path = run / "ranks.parquet"
    whole = path.read_bytes()
    assert call("evaluate", trained, "--against", run).code == 0
    for place in np.random.default_rng(0).integers(0, 8 * len(whole) // 2, 5):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        one_line(call("evaluate", trained, "--against", run), f"{path} must be the ranks of a run")


def test_texts_of_other_items_are_named(call: Any, run: Path) -> None:
    options = ("recommend", run, "--user", "user-1")
    for text in ("[", '["a"]', "[1, 2]", "{}"):
        (run / "texts.json").write_text(text)
        one_line(call(*options), f"{run / 'texts.json'}: expected ")


def test_texts_of_which_a_bit_was_flipped_are_not_shown(call: Any, run: Path) -> None:
    path, options = run / "texts.json", ("recommend", run, "--user", "user-1")
    whole = path.read_bytes()
    assert call(*options).code == 0
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 40):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        one_line(call(*options), f"{path}: expected ")


def test_a_folder_that_is_a_file_is_refused_before_any_work(
    call: Any, shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for folder in ("file", "file/run"):
        done = call("train", "--data", shop, "--directory", folder, *SMALL)
        one_line(done, f"'{folder}' must be a folder ('file' is a file)")
        assert done.out == ""


def test_a_folder_in_use_is_refused_and_who_uses_it_is_said(
    call: Any, shop: Path, run: Path, tmp_path: Path
) -> None:
    with held(run):
        done = call("train", "--data", shop, "--directory", run, *SMALL)
    one_line(done, f"{run} is being written by another process: process ", f"'{run / '.lock'}'")
    with held(tmp_path / "new"):
        done = call("prepare", "recbole", tmp_path, "--out", "new")
    one_line(done, "new is being prepared by another process: process ")


def test_a_full_disk_ends_in_one_line_and_the_same_command_goes_on(
    call: Callable[..., Any], shop: Path, tmp_path: Path
) -> None:
    command = ("train", "--data", shop, "--directory", "run", *SMALL)
    for size in (20_000, 90_000):
        with files_of_at_most(size):
            done = call(*command)
        one_line(done, "File too large", "nothing is written: 'run/")
    assert call(*command).code == 0
    assert not list((tmp_path / "run").rglob(".*"))
    assert call("evaluate", "run").code == 0
