"""Retrievers from the folder of a model, and back: index, mapped files, pickles."""

from __future__ import annotations

import shutil
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch

from mdsrec_pyg.nn.mode import scoring_copy
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.saving.card import ModelCard
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.mapped import key_of, mapped_items

__all__ = ["from_folder", "reopened", "save_retriever"]

#: Folder of the index inside that of the model.
INDEX = "index"

R = TypeVar("R")


def from_folder(
    kind: type[R],
    folder: str | PathLike[str],
    index: FaissIndex | bool | None,
    device: str | torch.device,
    mmap: bool,
    own_parts: dict[str, Any],
) -> R:
    """See :meth:`mdsrec_pyg.Retriever.from_folder`."""
    place = Path(folder)
    model = Recommender.load(place, device, mmap=mmap, **own_parts)
    given = saved_index(place, index, mmap)
    retriever: Any = kind.__new__(kind)
    retriever._describe(model, None, given, None, None)
    try:
        retriever._serve(model, mapped_items(place, model) if mmap else None)
    except ValueError as error:
        if given is None or given is index:
            raise
        raise ValueError(
            f"{place / INDEX}: {error}; or save the Retriever again, or remove this folder"
        ) from error
    if mmap:
        chosen = given is not None if given is not index else given
        path = place.resolve()
        retriever._reopening = (kind, path, key_of(path), chosen, own_parts)
    found: R = retriever
    return found


def save_retriever(retriever: Any, folder: str | PathLike[str], card: ModelCard | None) -> None:
    """See :meth:`mdsrec_pyg.Retriever.save`."""
    model = scoring_copy(retriever.model, own_weights=False)
    model.item_counts = retriever.item_counts
    ids = None if retriever.item_ids is None else retriever.item_ids.tolist()
    place = Path(folder) / INDEX
    shutil.rmtree(place, ignore_errors=True)  # never beside a model that it does not belong to
    model.save(folder, item_ids=ids, card=card)
    if retriever.index is not None:
        retriever.index.save(place)


def saved_index(folder: Path, index: FaissIndex | bool | None, mmap: bool) -> FaissIndex | None:
    """The index that is given, or the one in the folder of a model."""
    if isinstance(index, FaissIndex):
        return index
    wanted = (folder / INDEX).is_dir() if index is None else index
    return FaissIndex.load(folder / INDEX, mmap=mmap) if wanted else None


def reopened(
    kind: type[R],
    folder: Path,
    key: str,
    index: FaissIndex | bool,
    own_parts: dict[str, Any],
) -> R:
    """A mapped retriever in another process, over the same files.

    Raises:
        ValueError: The folder holds another model by now.
    """
    if key_of(folder) != key:
        raise ValueError(f"{str(folder)!r} must hold the model that was there when it was pickled")
    return from_folder(kind, folder, index, "cpu", True, own_parts)
