"""Item vectors of a saved model beside it, in a file that processes map and share."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.io.locks import claim
from mdsrec_pyg.nn.models.mdsrec_items import MDSRecItems
from mdsrec_pyg.nn.models.saving.folder import CONFIG, read_config, versions

__all__ = ["key_of", "mapped_items"]

VECTORS = "vectors.safetensors"
#: Seconds to wait for another process that writes them, and the name of its lock.
WAIT, CLAIM = 600.0, ".vectors.lock"


def key_of(folder: Path) -> str:
    """What a saved model is recognized by: the hash of its configuration and all of its files."""
    return str(read_config(folder / CONFIG)["hashes"][CONFIG])


def mapped_items(folder: Path, model: Any) -> Any:
    """Result of ``model.encode_items()``, mapped from a file in the folder of the model.

    The file is written by the first who asks, and belongs to the model as it was saved and to the
    versions of the libraries: where one of them is another, or the file is damaged, it is written
    anew. Vectors that are weights of the model need none. Those of an unknown form, and all where
    the folder cannot be written, are this process's own.

    Args:
        folder: What ``model.save`` wrote.
        model: The model, loaded from there, its weights mapped.
    """
    path, key = folder / VECTORS, json.dumps([key_of(folder), versions()])
    found, items = _read(path, key), None
    if found is not None:
        return found
    try:
        # Of many that start at once one computes: the others wait for it, and map the same file.
        with claim(folder, wait=WAIT, name=CLAIM):
            found = _read(path, key)
            if found is not None:
                return found
            items = _encoded(model)
            if _all_in(items, model):
                return items
            _write(path, key, _parts(items))
        found = _read(path, key)
        return items if found is None else found
    except (OSError, ValueError) as error:
        items = _encoded(model) if items is None else items
        if not _all_in(items, model):
            warnings.warn(
                f"{path} could not be written ({error}): the item vectors are not shared between "
                "processes",
                stacklevel=3,
            )
        return items


@torch.no_grad()
def _encoded(model: Any) -> Any:
    return model.encode_items()


def _all_in(items: Any, model: Any) -> bool:
    """Whether all tensors of a result are the model's own, which are mapped already."""
    owned = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    return all(part.data_ptr() in owned for part in _parts(items).values())


def _parts(items: Any) -> dict[str, Tensor]:
    """The tensors of a result whose form is known, by name."""
    if isinstance(items, Tensor):
        return {"items": items}
    if type(items) is MDSRecItems:
        named = {"embedding": items.embedding, "center": items.center}
        return {name: part for name, part in named.items() if part is not None}
    return {}


def _write(path: Path, key: str, parts: dict[str, Tensor]) -> None:
    """Writes tensors as they lie in memory, so that sums over them stay the same."""
    orders = {
        name: sorted(range(part.dim()), key=lambda axis, p=part: -p.stride(axis))  # type: ignore[misc]
        for name, part in parts.items()
    }
    laid = {name: part.detach().permute(orders[name]) for name, part in parts.items()}
    laid = {name: part.contiguous() for name, part in laid.items()}
    about = {"key": key, "orders": json.dumps(orders), "sha256": _digest(laid)}
    with atomic_write(path) as temporary:
        try:
            save_file(laid, temporary, metadata=about)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def _read(path: Path, key: str) -> Any:
    """What the file holds; ``None`` where there is none, or one of another model."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
        if about.get("key") != key:
            return None
        laid = load_file(path)
    except (OSError, SafetensorError):
        return None
    if _digest(laid) != about.get("sha256"):
        return None
    orders = json.loads(about["orders"])
    parts = {
        name: part.permute([orders[name].index(axis) for axis in range(part.dim())])
        for name, part in laid.items()
    }
    return parts["items"] if "items" in parts else MDSRecItems(**parts)


def _digest(parts: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode())
        digest.update(parts[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
