"""Retrievers from the folder of a model, and back: index, mapped files, pickles."""

from __future__ import annotations

import shutil
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.nn.mode import scoring_copy
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.saving.card import ModelCard
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.mapped import key_of, mapped_items

__all__ = ["InFolder"]

#: Folder of the index inside that of the model.
INDEX = "index"

R = TypeVar("R", bound="InFolder")


class InFolder:
    """Saving and loading of a retriever, its own base class for no reason but length."""

    model: Recommender
    item_ids: pd.Index | None
    item_counts: NDArray[Any] | None
    index: FaissIndex | None
    _reopening: tuple[Any, ...] | None

    def _describe(
        self,
        model: Recommender,
        item_ids: ArrayLike | None,
        index: FaissIndex | None,
        item_counts: ArrayLike | None,
        device: str | torch.device | None,
    ) -> None:
        """Takes everything but the model."""
        raise NotImplementedError

    def _serve(self, scoring: Recommender, items: Any) -> None:
        """Takes the model, and what it knows of items."""
        raise NotImplementedError

    @classmethod
    def from_folder(
        cls: type[R],
        folder: str | PathLike[str],
        *,
        index: FaissIndex | bool | None = None,
        device: str | torch.device = "cpu",
        mmap: bool = False,
        **own_parts: Any,
    ) -> R:
        """A retriever over a saved model; it needs no data set.

        Args:
            folder: What ``model.save`` or :meth:`save` wrote, such as ``runs/NAME/model``.
            index: See above. ``None``: the one that :meth:`save` wrote there, if it did; ``True``:
                that one, and an error where there is none; ``False``: none.
            device: Where to compute.
            mmap: Maps weights, tables, item vectors and a saved index into memory instead of
                reading them: processes that serve the same folder share one copy. The item vectors
                are computed by the first of them, which writes them beside the model
                (``vectors.safetensors``). A pickle is then the path, and the other process maps the
                same files. On the CPU only.
            **own_parts: See :meth:`~mdsrec_pyg.nn.Recommender.load`.

        Raises:
            ValueError: See :meth:`~mdsrec_pyg.nn.Recommender.load` and
                :meth:`~mdsrec_pyg.FaissIndex.load`, or the saved index was built over the vectors
                of another model.
        """
        place = Path(folder)
        model = Recommender.load(place, device, mmap=mmap, **own_parts)
        given = saved_index(place, index, mmap)
        retriever = cls.__new__(cls)
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
            retriever._reopening = (cls, path, key_of(path), chosen, own_parts)
        return retriever

    def save(self, folder: str | PathLike[str], *, card: ModelCard | None = None) -> None:
        """Writes model, raw ids, item counts and index; :meth:`from_folder` reads them again.

        Args:
            folder: Made if missing; a model in it is replaced, and its index with it.
            card: See :meth:`~mdsrec_pyg.nn.Recommender.save`.
        """
        model = scoring_copy(self.model, own_weights=False)
        model.item_counts = self.item_counts
        ids = None if self.item_ids is None else self.item_ids.tolist()
        place = Path(folder) / INDEX
        shutil.rmtree(place, ignore_errors=True)  # never beside a model that it does not belong to
        model.save(folder, item_ids=ids, card=card)
        if self.index is not None:
            self.index.save(place)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A mapped retriever is opened again: its copies and pickles hold no tensor."""
        if self._reopening is None:
            return super().__reduce_ex__(protocol)
        return reopened, self._reopening


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
    return kind.from_folder(folder, index=index, mmap=True, **own_parts)
