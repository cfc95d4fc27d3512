"""What was changed after it was written is not read."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg.io import atomic_write, load_sealed, save_sealed
from mdsrec_pyg.io.seals import open_sealed, seal


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The disk takes no larger file, as if it were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content() -> dict[str, Any]:
    x = torch.arange(600.0).view(20, 30)
    return {"x": x, "name": "a", "rows": [{"loss": 0.5}], "none": None}


def test_a_sealed_file_is_one_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_sealed(path, content())
    for read in (load_sealed(path, ""), torch.load(path, weights_only=True)):
        assert torch.equal(read["x"], content()["x"])
        assert read["rows"] == [{"loss": 0.5}]
    with atomic_write(tmp_path / "a.npz") as temporary:
        np.savez(temporary, x=np.arange(3))
        seal(temporary)
    assert np.load(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2]
    with open_sealed(tmp_path / "a.npz", "") as file:
        assert np.load(file)["x"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="an archive without a comment"):
        seal(tmp_path / "a.npz")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(ValueError, match="an archive without a comment"):
        seal(tmp_path / "text")


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_sealed(path, content())
    whole = path.read_bytes()
    places = np.random.default_rng(0).integers(0, 8 * len(whole), 200).tolist()
    places += range(8 * (len(whole) - 120), 8 * len(whole))  # the hash, and what stands before it
    for place in places:
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.pt' must be .*: train again"):
            load_sealed(path, "train again")


@pytest.mark.parametrize("size", [0, 1, 21, 100, 1000, -1, -82])
def test_a_cut_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.pt"
    save_sealed(path, content())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"a\.pt' must be whole and written by this library"):
        load_sealed(path, "")


def test_what_is_read_is_what_was_verified(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_sealed(path, content())
    with open_sealed(path, "") as file:
        save_sealed(path, {"x": torch.zeros(3)})
        assert torch.equal(torch.load(file, weights_only=True)["x"], content()["x"])


@pytest.mark.parametrize("size", [0, 600, 3000])
def test_a_full_disk_is_said_with_the_name(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.pt"
    save_sealed(path, {"x": 1})
    with files_of_at_most(size), pytest.raises(OSError, match=r"File too large.*a\.pt") as full:
        save_sealed(path, {"x": torch.rand(20_000)})
    assert full.value.errno == errno.EFBIG
    assert load_sealed(path, "") == {"x": 1}
    assert os.listdir(tmp_path) == ["a.pt"]


def test_memory_that_does_not_suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    save_sealed(path, content())

    def load(*args: Any, **options: Any) -> Any:
        return torch.empty(2**50)

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(MemoryError, match=r"a\.pt: .* bytes do not fit into memory"):
        load_sealed(path, "")
