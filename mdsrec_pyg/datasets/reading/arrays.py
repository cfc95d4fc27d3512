"""Feature files of a modality."""

from __future__ import annotations

import errno
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.showing import counted

# Values converted at a time: 16 MB of float32.
BLOCK = 4_000_000


# Forms that features are kept in elsewhere, and that are not read.
OTHER_FORMS = (".npz", ".pt", ".pth", ".safetensors", ".h5", ".hdf5", ".pkl", ".pickle")


def unread_features(root: Path) -> list[str]:
    """What a folder holds that looks like features and is none, in a sentence for a report."""
    files = (path for path in root.iterdir() if not path.name.startswith("."))
    names = sorted(path.name for path in files if path.suffix.lower() in OTHER_FORMS)
    if not names:
        return []
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return [f"not read: {', '.join(names[:3])}{more} (features are .npy files)"]


def read_feature(root: Path, name: str, num_items: int) -> tuple[ModalFeature, list[str]]:
    """Reads ``<name>.npy`` and ``<name>_mask.npy``; also says how many items lack it."""
    mask_path = root / f"{name}_mask.npy"
    mask = np.ones(num_items, bool)
    if mask_path.exists():
        mask = np.array(load_array(mask_path))
        if mask.dtype != np.bool_ or mask.shape != (num_items,):
            raise ValueError(
                f"{mask_path}: expected bool of shape ({num_items},), one value an item, got "
                f"{mask.dtype} of shape {mask.shape}"
            )
        odd = mask.view(np.uint8) > 1  # NumPy and PyTorch disagree on what these mean
        if odd.any():
            row = int(odd.argmax())
            raise ValueError(
                f"{mask_path}, item {row}: expected a byte 0 or 1, got {mask.view(np.uint8)[row]}"
            )
    path = root / f"{name}.npy"
    array = load_array(path)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ValueError(f"{path}: expected float16, float32 or float64, got {array.dtype}")
    if array.ndim != 2 or array.shape[0] != num_items or array.shape[1] < 1:
        raise ValueError(
            f"{path}: expected shape ({num_items}, F), a row for each of the {num_items} items of "
            f"the items file, got shape {array.shape}"
        )
    x, ignored, zero = _convert(path, array, mask)
    absent = int((~mask).sum())
    notes = [f"{counted(absent, 'item')} {'has' if absent == 1 else 'have'} no {name}"]
    if ignored:
        notes.append(f"{ignored:,} of these have a row that is not zero in {path.name}: ignored")
    if zero:
        notes.append(
            f"{counted(zero, 'item')} {'has' if zero == 1 else 'have'} a {name} that is all zeros"
        )
    return ModalFeature(torch.from_numpy(x), torch.from_numpy(mask)), notes


def load_array(path: Path) -> NDArray[Any]:
    """An array of a ``.npy`` file, left on disk; the file must be as long as its header says."""
    if not path.is_file():
        raise ValueError(f"expected a file {path}, got none")
    try:
        with np.errstate(over="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's about headers of Python 2
            # Not np.load: it takes zip files and pickles for arrays, too.
            array = np.lib.format.open_memmap(path, mode="r")
    # A header is a Python literal: where it is damaged, NumPy raises nearly anything.
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise OSError(error.errno, error.strerror, str(path)) from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: expected an array of numbers in .npy form ({reason})") from error
    size, expected = path.stat().st_size, array.offset + math.prod(array.shape) * array.itemsize
    if size != expected:
        raise ValueError(
            f"{path}: expected {expected:,} bytes, {array.dtype} of shape {array.shape} by its "
            f"header, got {size:,}: cut off, overwritten or written twice"
        )
    return array


def _convert(
    path: Path, array: NDArray[Any], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], int, int]:
    """The array in float32, blocks at a time; numbers of ignored and of all-zero rows."""
    x = np.empty(array.shape, np.float32)
    ignored = zero = 0
    step = max(1, BLOCK // array.shape[1])
    for start in range(0, len(array), step):
        given, present = array[start : start + step], mask[start : start + step]
        with np.errstate(over="ignore"):  # reported below, with its place
            block = given.astype(np.float32)
        bad = ~np.isfinite(block) & present[:, None]
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"{path}, row {start + row} (item {start + row}), column {column}: expected a "
                f"finite float32 number, got {given[row, column]}"
            )
        filled = (block != 0).any(1)
        ignored += int((filled & ~present).sum())
        zero += int((~filled & present).sum())
        x[start : start + step] = block
    return x, ignored, zero
