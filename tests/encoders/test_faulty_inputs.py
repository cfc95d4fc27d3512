"""One bad input costs one item; numbers are stored in a precision that holds them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import FolderDataset
from mdsrec_pyg.encoders import encode_images, encode_texts

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")


def texts(folder: Path, values: list[str]) -> Path:
    table = {"item": range(len(values)), "raw_id": [f"B{i}" for i in range(len(values))]}
    pd.DataFrame({**table, "text": values}).to_parquet(folder / "items.parquet")
    return folder


def encode(folder: Path, model: Any, **options: Any) -> tuple[Any, list[bool], list[str]]:
    encoding = encode_texts(folder, model, log=None, **options)
    mask = np.load(folder / "text_mask.npy").tolist()
    return np.load(folder / "text.npy"), mask, [reason for _, _, reason in encoding.missing]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *((1e-9, "float32"), (2.0**-15, "float32"), (65505.0, "float32"), (1e30, "float32")),
        *((2.0**-14, "float16"), (65504.0, "float16"), (0.0, "float16"), (0.5, "float16")),
    ],
)
@pytest.mark.parametrize("block_size", [1, 2])
def test_what_an_encoder_returns_is_stored(
    tmp_path: Path, value: float, kind: str, block_size: int
) -> None:
    x = np.array([[value, 0.0], [1.0, 0.25]], np.float32)
    folder = texts(tmp_path, ["bb", "a"])
    stored, mask, _ = encode(folder, lambda t: x[[2 - len(v) for v in t]], block_size=block_size)
    assert stored.dtype == kind
    assert stored.tolist() == x.tolist()
    assert mask == [True, True]


def test_a_text_that_the_model_fails_on_is_left_out(tmp_path: Path) -> None:
    calls: list[int] = []

    def model(batch: list[str]) -> torch.Tensor:
        calls.append(len(batch))
        if "bad" in batch:
            raise IndexError("index out of range in self")
        x = torch.tensor([[float(len(text))] for text in batch])
        return torch.where(x == 5, torch.nan, x)

    x, mask, reasons = encode(texts(tmp_path, ["a", "bad", "bb", "notes"]), model)
    assert x.tolist() == [[1], [0], [2], [0]]
    assert mask == [True, False, True, False]
    assert reasons[0] == "the model failed: IndexError, index out of range in self"
    assert reasons[1].startswith("features beyond float32: nan in column 0 (dtype='float32' or")
    assert calls == [4, 1, 1, 1, 1]


def test_a_model_that_fails_on_everything_ends_soon(tmp_path: Path) -> None:
    calls: list[int] = []

    def model(batch: list[str]) -> np.ndarray:
        calls.append(len(batch))
        raise RuntimeError("device-side assert triggered")

    with pytest.raises(ValueError, match=r"failed on 32 texts in a row: device-side assert"):
        encode(texts(tmp_path, ["a"] * 100), model, batch_size=8)
    assert len(calls) == 4 * 9


def test_a_batch_that_fails_though_its_items_pass_is_an_error(tmp_path: Path) -> None:
    def model(batch: list[str]) -> np.ndarray:
        if len(batch) > 1:
            raise RuntimeError("not enough memory: you tried to allocate 9 bytes")
        return np.ones((1, 1))

    with pytest.raises(RuntimeError, match="not enough memory"):
        encode(texts(tmp_path, ["a", "b"]), model)


@pytest.mark.parametrize("error", [MemoryError("none"), OSError(28, "No space left on device")])
def test_memory_and_disk_are_nobodys_fault(tmp_path: Path, error: Exception) -> None:
    def model(batch: list[str]) -> np.ndarray:
        raise error

    with pytest.raises(type(error)):
        encode(texts(tmp_path, ["a", "b"]), model)


def test_an_image_that_cannot_be_prepared_is_left_out(shop: Path, pictures: Path) -> None:
    class Picky:
        def prepare(self, image: Any) -> float:
            if image.getpixel((0, 0))[0]:
                raise ZeroDivisionError("red")
            return 1.0

        def __call__(self, images: list[float]) -> np.ndarray:
            return np.array(images)[:, None]

    encoding = encode_images(shop, pictures, Picky(), log=None)
    assert np.load(shop / "image_mask.npy").tolist() == [False, False, False, False, True]
    assert encoding.missing[0] == (0, "B0", "not prepared: ZeroDivisionError, red")


def test_paths_stay_inside_the_folder(tmp_path: Path, mean_color: Any) -> None:
    outside, folder = tmp_path / "private", tmp_path / "shop" / "images"
    outside.mkdir()
    folder.mkdir(parents=True)
    for path in (outside / "x.png", folder / "in.png"):
        Image.new("RGB", (8, 8), (255, 0, 0)).save(path)
    (folder / "link.png").symlink_to(outside / "x.png")
    (folder / "up").symlink_to(outside)
    (folder / "near.png").symlink_to("in.png")
    paths = ["../../private/x.png", str(outside / "x.png"), "link.png", "up/x.png", "a\0b"]
    paths += ["near.png", "n" * 300, "in.png", str(folder / "in.png"), "../images/in.png"]
    names = [f"r{i}" for i in range(len(paths))]
    table = {"item": range(len(paths)), "raw_id": names, "path": paths}
    pd.DataFrame(table).to_parquet(folder.parent / "items.parquet")
    (folder / "table.csv").write_text(
        "raw_id,path\n"
        + "".join(f"{a},{b}\n" for a, b in zip(names, paths, strict=True) if "\0" not in b)
    )
    for images, name in ((folder, "path"), (folder / "table.csv", "raw_id")):
        encoding = encode_images(folder.parent, images, mean_color(), name=name, log=None)
        mask = np.load(folder.parent / "image_mask.npy").tolist()
        assert mask == [False] * 5 + [True, False, True, True, True]
        reasons = [reason for _, _, reason in encoding.missing]
        assert reasons[:4] == [f"leads out of the folder: {folder / path}" for path in paths[:4]]
    (folder / "r0.png").symlink_to(outside / "x.png")
    (folder / "r1.png").symlink_to("in.png")
    encoding = encode_images(folder.parent, folder, mean_color(), log=None)
    assert encoding.missing[0][2] == f"leads out of the folder: {folder / 'r0.png'}"
    assert np.load(folder.parent / "image_mask.npy")[:2].tolist() == [False, True]
    given = {"r0": outside / "x.png"}  # by whoever calls: wherever it leads
    encode_images(folder.parent, given, mean_color(), log=None)
    assert np.load(folder.parent / "image_mask.npy")[0]


def test_an_item_of_two_images_has_none(shop: Path, pictures: Path, mean_color: Any) -> None:
    for name in ("B0.bmp", "other.png", "other.bmp"):
        Image.new("RGB", (8, 8)).save(pictures / name)
    encoding = encode_images(shop, pictures, mean_color(), log=None)
    both = f"several images: {pictures / 'B0.bmp'} and {pictures / 'B0.png'}"
    assert encoding.missing[0] == (0, "B0", both)
    assert np.load(shop / "image_mask.npy").tolist() == [False] * 4 + [True]


def test_a_lock_that_is_a_link_is_neither_followed_nor_emptied(
    shop: Path, letters: Any, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (shop / ".text-shards").mkdir()
    lock = shop / ".text-shards" / "lock"
    lock.symlink_to(precious)
    with pytest.raises(ValueError, match=r"must be a lock file \(it is a link to"):
        encode_texts(shop, letters(), log=None)
    assert precious.read_text() == "kept"
    lock.unlink()
    encode_texts(shop, letters(), log=None)


MEMORY = """
import sys
import numpy as np
from mdsrec_pyg.encoders import encode_images

def model(images):
    return np.ones((len(images), 1))

folder = sys.argv[1]
def high():
    return next(int(s.split()[1]) for s in open("/proc/self/status") if s.startswith("VmHWM"))
options = {"log": None, "progress": False, "max_pixels": 4_000_000}
encode_images(folder, {"B0": folder + "/images/B0.png"}, model, "warm", **options)
before = high()
found = encode_images(folder, folder + "/images", model, **options)
assert len(found.missing) == 1, found.missing
print(high() - before, found.missing[0][2])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's high-water mark")
def test_images_of_many_pixels_take_bounded_memory(tmp_path: Path) -> None:
    texts(tmp_path, ["a"] * 25)
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (2000, 2000)).save(images / "B0.png")
    for item in range(1, 24):
        os.link(images / "B0.png", images / f"B{item}.png")
    Image.new("1", (2001, 2000)).save(images / "B24.png")
    options: dict[str, Any] = {"capture_output": True, "text": True}
    run = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], **options)
    assert not run.returncode, run.stderr
    grown, reason = run.stdout.split(maxsplit=1)
    assert reason.strip() == "too large: 2001 x 2000 pixels, at most 4,000,000 are read"
    # All of them are 384 MB as Pillow holds them; the promise is 28 x 4 million, and then there is
    # what the allocator keeps of four threads.
    assert int(grown) * 1024 < 200_000_000


@pytest.mark.parametrize(("max_pixels", "most"), [(64, 1), (128, 2), (200, 3), (10_000, 4)])
def test_so_many_pixels_are_decoded_at_a_time(tmp_path: Path, max_pixels: int, most: int) -> None:
    class Counting:
        active, seen, lock = 0, 0, threading.Lock()

        def prepare(self, image: Any) -> float:
            with self.lock:
                self.active += 1
                self.seen = max(self.seen, self.active)
            time.sleep(0.02)  # the others come in
            with self.lock:
                self.active -= 1
            return 1.0

        def __call__(self, images: list[Any]) -> np.ndarray:
            return np.ones((len(images), 1))

    texts(tmp_path, ["a"] * 12)
    (tmp_path / "images").mkdir()
    for item in range(12):
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"B{item}.png")
    model = Counting()
    encode_images(tmp_path, tmp_path / "images", model, max_pixels=max_pixels, log=None)
    assert model.seen == most


def test_a_batch_of_large_images_is_cut(shop: Path, tmp_path: Path, mean_color: Any) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for item, side in enumerate((8, 8, 9, 4, 4)):
        Image.new("RGB", (side, side)).save(images / f"B{item}.png")
    for max_pixels, batch_size, sizes in ((81, 5, [1, 1, 1, 2]), (10_000, 3, [3, 2])):
        model = mean_color(None)
        options: dict[str, Any] = {"max_pixels": max_pixels, "batch_size": batch_size}
        assert not encode_images(shop, images, model, log=None, **options).missing
        assert model.sizes == sizes
    assert len(encode_images(shop, images, model, max_pixels=80, log=None).missing) == 1
    with pytest.raises(ValueError, match="'max_pixels' must be at least 1"):
        encode_images(shop, images, model, max_pixels=0)


def test_a_data_set_says_what_is_all_zeros(tmp_path: Path) -> None:
    folder = texts(tmp_path, ["a", "bb"])
    encode(folder, lambda batch: np.array([[len(text) - 1.0] for text in batch]))
    (folder / "interactions.tsv").write_text("user\titem\nx\t0\nx\t1\nx\t1\n")
    assert "1 item has a text that is all zeros" in FolderDataset(folder).report
