"""The folder of a saved model: tensors and plain JSON, written whole, verified when it is read."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch_geometric
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mdsrec_pyg.io import atomic_folder, read_json, settle, sha256
from mdsrec_pyg.version import __version__

__all__ = [
    "CARD",
    "CONFIG",
    "COUNTS",
    "FORMAT",
    "ITEMS",
    "MODEL",
    "WEIGHTS",
    "SavedModel",
    "check_item_counts",
    "check_item_ids",
    "model_folder",
]

FORMAT = 1
WEIGHTS, CONFIG, ITEMS, CARD = "model.safetensors", "config.json", "items.json", "README.md"
GROWING = "growing.safetensors"
#: Name of the folder in which a run keeps its model.
MODEL = "model"
#: Name of the item counts among the tensors: no module can have such a name.
COUNTS = ".item_counts"


@dataclass
class SavedModel:
    """What the folder of a model holds.

    Args:
        config: Contents of ``config.json``: ``class``, ``hyperparameters``, ``own_parts`` and so
            on; format, versions and hashes are added when it is written.
        tensors: Parameters and buffers by name.
        item_ids: Raw id of each item; ``None``: items are called by their indices.
        growing: What the model was built from, by name; ``None``: not kept.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    item_ids: pd.Index | None = None
    growing: dict[str, Tensor] | None = None

    def write(self, folder: str | PathLike[str], card: str) -> None:
        """Writes the folder; ``config.json`` comes last and holds a hash of every other file.

        The model card is for people: it has no hash, and may be edited.

        Args:
            folder: Made if missing; a model in it is replaced.
            card: Text of ``README.md``.
        """
        strides = {
            name: list(tensor.stride())
            for name, tensor in self.tensors.items()
            if tensor.numel() and not tensor.is_contiguous()
        }
        with atomic_folder(folder, CONFIG) as temporary:
            _save_tensors(temporary / WEIGHTS, self.tensors)
            if self.growing is not None:
                _save_tensors(temporary / GROWING, self.growing)
            if self.item_ids is not None:
                ids = json.dumps(self.item_ids.tolist(), ensure_ascii=False)
                (temporary / ITEMS).write_text(ids + "\n", encoding="utf-8")
            hashes = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
            content = {
                "format": FORMAT,
                **self.config,
                "strides": strides,
                "versions": versions(),
                "hashes": hashes,
            }
            content["hashes"] = {CONFIG: _own_hash(content), **hashes}
            text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
            (temporary / CONFIG).write_text(text + "\n", encoding="utf-8")
            (temporary / CARD).write_text(card, encoding="utf-8")
            # safetensors lets nobody but the owner read its file: as the others, instead.
            for path in temporary.glob("*.safetensors"):
                path.chmod((temporary / CONFIG).stat().st_mode & 0o777)
        for name, kept in ((ITEMS, self.item_ids), (GROWING, self.growing)):
            if kept is None:  # those of a model that lay there before
                (Path(folder) / name).unlink(missing_ok=True)

    @classmethod
    def read(cls, folder: str | PathLike[str], mmap: bool = False) -> SavedModel:
        """Reads the folder; no code in it is run, as it holds none.

        Args:
            folder: The folder.
            mmap: Leaves the tensors in the file, mapped, where they are laid out as in memory.

        Raises:
            ValueError: No saved model, one of another format, or a file that is missing, was
                changed or cut, or belongs to another model; it names the file.
        """
        path = Path(folder)
        settle(path)
        config = read_config(path / CONFIG)
        check_files(path, config)
        tensors = _load_tensors(path / WEIGHTS)
        growing = None
        if GROWING in config["hashes"]:
            found = _load_tensors(path / GROWING)
            growing = {name: _own_memory(tensor, None) for name, tensor in found.items()}
        item_ids = None
        if ITEMS in config["hashes"]:
            item_ids = _ids(json.loads((path / ITEMS).read_text(encoding="utf-8")))
        strides = config.get("strides", {})
        own = {name for name in tensors if not mmap or name in strides}
        tensors |= {name: _own_memory(tensors[name], strides.get(name)) for name in own}
        if read_config(path / CONFIG) != config:  # it is away while the others are replaced
            raise ValueError(f"{str(path)!r} must not be written while it is read")
        return cls(config, tensors, item_ids, growing)


def model_folder(folder: str | PathLike[str]) -> Path:
    """The saved model of a folder, which is one itself or that of a run.

    Raises:
        ValueError: There is none.
    """
    path = Path(folder)
    for place in (path, path / MODEL):
        settle(place)
        if (place / CONFIG).is_file():
            return place
    raise ValueError(f"'folder' must hold a saved model or a run that has ended (got {path})")


def check_files(path: Path, config: Mapping[str, Any]) -> None:
    """Checks the files of a saved model against the hashes in its configuration.

    Raises:
        ValueError: One is missing, was changed or cut, or belongs to another model.
    """
    for name in (WEIGHTS, ITEMS, GROWING):
        wanted = config["hashes"].get(name)
        if wanted is None and name != WEIGHTS:
            continue
        if not (path / name).is_file():
            raise ValueError(f"the saved model in {str(path)!r} must have a file {name!r}")
        if sha256(path / name) != wanted:
            raise ValueError(
                f"{str(path / name)!r} must be as it was saved (it was changed or cut since, "
                f"or belongs to another model than {CONFIG!r})"
            )


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # of the disk: the tensors are plain
        raise OSError(f"{path.name}: {error}") from error


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{str(path)!r} is no safetensors file: {error}") from error


def read_config(path: Path) -> dict[str, Any]:
    """The contents of ``config.json``, verified."""
    if not path.is_file():
        inside = path.parent / MODEL
        hint = f"; {str(inside)!r} holds one" if (inside / CONFIG).is_file() else ""
        raise ValueError(f"'folder' must hold a saved model (there is no {str(path)!r}){hint}")
    config: dict[str, Any] = read_json(path, dict, "the configuration of a saved model")
    found = config.get("format")
    if found != FORMAT:
        raise ValueError(f"{str(path)!r} must be of format {FORMAT} (got {found!r})")
    hashes = config.get("hashes")
    if not isinstance(hashes, dict) or hashes.get(CONFIG) != _own_hash(config):
        raise ValueError(f"{str(path)!r} must be as it was saved (it was changed since)")
    return config


def _own_hash(config: Mapping[str, Any]) -> str:
    """Hash of the configuration itself, all but its own entry."""
    hashes = {name: value for name, value in config["hashes"].items() if name != CONFIG}
    text = json.dumps({**config, "hashes": hashes}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _own_memory(tensor: Tensor, stride: list[int] | None) -> Tensor:
    """A copy, as the file stays mapped otherwise; laid out as it was, or sums would differ."""
    if stride is None:
        return tensor.clone()
    return torch.empty_strided(tuple(tensor.shape), stride, dtype=tensor.dtype).copy_(tensor)


def versions() -> dict[str, str]:
    """Of this library and of what decides its numbers."""
    return {
        "mdsrec_pyg": __version__,
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
        "python": platform.python_version(),
    }


def check_item_ids(item_ids: Any, num_items: int) -> pd.Index:
    """Raw ids of a catalog as they are stored: text stays text, integers stay integers.

    Raises:
        ValueError: Not one distinct id an item, or an id that is neither text nor an integer.
    """
    index = _ids(item_ids.tolist() if hasattr(item_ids, "tolist") else list(item_ids))
    if len(index) != num_items or not index.is_unique:
        raise ValueError(
            f"'item_ids' must hold {num_items} distinct ids, one for each item of the model (got "
            f"{len(index)}, {index.nunique()} distinct)"
        )
    for place, value in enumerate(index.tolist()):
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ValueError(
                f"'item_ids' must be text or integers (got {value!r}, a {type(value).__name__}, "
                f"for item {place})"
            )
    return index


def check_item_counts(item_counts: ArrayLike, num_items: int) -> NDArray[Any]:
    """Popularity of each item as numbers ``[num_items]`` that nobody can write to.

    Raises:
        ValueError: Not one number from 0 for each item.
    """
    counts = np.array(item_counts)
    numbers = counts.dtype.kind in "iuf"
    if counts.shape != (num_items,) or not numbers or not (counts >= 0).all():
        raise ValueError(
            f"'item_counts' must hold {num_items} numbers from 0, the training interactions of "
            f"each item (got shape {counts.shape})"
        )
    counts = counts.astype(np.float64 if counts.dtype.kind == "f" else np.int64)
    counts.setflags(write=False)
    return counts


def _ids(values: list[Any]) -> pd.Index:
    # Without a type of its own, pandas would read text and integers together as it likes.
    integers = all(type(value) is int for value in values)
    index = pd.Index(values, tupleize_cols=False)
    return index if integers else pd.Index(values, dtype=object, tupleize_cols=False)
