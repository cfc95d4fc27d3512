"""Feature files: every form of array, and files that are not what they say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdsrec_pyg.datasets.reading.arrays import read_feature

X = np.arange(1, 13, dtype=np.float32).reshape(6, 2)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def read(folder: Path, content: bytes, mask: bytes | None = None) -> Any:
    (folder / "image.npy").write_bytes(content)
    if mask is not None:
        (folder / "image_mask.npy").write_bytes(mask)
    return read_feature(folder, "image", 6)[0].x.numpy()


def with_header(text: str) -> bytes:
    content = npy(X)
    return content[:10] + text.encode().ljust(117) + b"\n" + content[128:]


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_precisions_byte_orders_and_layouts_give_the_same(
    tmp_path: Path, kind: str, order: Any
) -> None:
    np.testing.assert_array_equal(read(tmp_path, npy(X.astype(kind, order=order))), X)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            npy(X) + b"\0" * 4,
            r"expected 176 bytes, float32 of shape \(6, 2\).*got 180: cut off, ov",
        ),
        (npy(X) + npy(X), "expected 176 bytes.*got 352"),
        (npy(X)[:-1], "mmap length is greater than file size"),
        (b"", "expected an array of numbers in .npy form"),
        (b"PK\x03\x04" + npy(X), "the magic string is not correct"),
        (npy(X[:0]), r"got shape \(0, 2\)"),
        (npy(X[:, :0]), r"got shape \(6, 0\)"),
        (npy(X.ravel()[:6]), r"got shape \(6,\)"),
        (npy(X[..., None]), r"got shape \(6, 2, 1\)"),
        (npy(X.astype(bool)), "got bool"),
        (npy(X.astype(complex)), "got complex128"),
        (npy(X.astype("U3")), "got <U3"),
        (npy(np.zeros(6, [("a", "f4")])), "got .*'a'"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2**63, 2)}"), "BinOp"),
        (
            with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**63}, 2)}}"),
            "large",
        ),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-6, 2)}"), "negative"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (5, 2)}"), "expected 168"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (6, 2"), "image.npy"),
    ],
)
def test_what_is_no_feature_file_is_refused_by_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, content)
    assert str(tmp_path / "image.npy") in str(error.value)


def test_a_mask_of_other_bytes_than_0_and_1_is_refused(tmp_path: Path) -> None:
    mask = bytearray(npy(np.ones(6, bool)))
    mask[-2] = 7
    with pytest.raises(ValueError, match=r"image_mask\.npy, item 4: expected a byte 0 or 1, got 7"):
        read(tmp_path, npy(X), bytes(mask))


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes replaced, inserted, removed, or the end cut off."""
    data, place = bytearray(content), int(rng.integers(len(content)))
    kind, some = int(rng.integers(4)), rng.bytes(int(rng.integers(1, 8)))
    if kind == 0:
        data[place : place + len(some)] = some
    elif kind == 1:
        data[place:place] = some
    elif kind == 2:
        del data[place : place + len(some)]
    else:
        del data[place:]
    return bytes(data)


@pytest.mark.parametrize("which", ["image.npy", "image_mask.npy"])
def test_mutated_files_are_read_right_or_refused_by_name(tmp_path: Path, which: str) -> None:
    rng, contents = np.random.default_rng(0), [npy(X), npy(np.ones(6, bool))]
    position, refused = ["image.npy", "image_mask.npy"].index(which), 0
    for _ in range(150):
        changed = contents.copy()
        changed[position] = mutated(contents[position], rng)
        try:
            x, message = read(tmp_path, *changed), ""
        except ValueError as error:
            x, message = X, str(error)
            refused += 1
        assert which in message or not message
        # Where the header says the same, only numbers changed, which nothing can tell.
        same = changed[position][:128] == contents[position][:128]
        assert x.shape == X.shape if same else (x == X).all()
    assert refused > 125
