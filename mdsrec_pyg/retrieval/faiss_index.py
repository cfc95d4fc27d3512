"""Approximate maximum inner product search over item vectors with FAISS (extra ``ann``)."""

from __future__ import annotations

import json
import math
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.evaluation.scores import DivergedError
from mdsrec_pyg.io import atomic_folder, settle, sha256
from mdsrec_pyg.io.seals import open_sealed, seal

__all__ = ["FaissIndex"]

#: Files of a saved index.
VECTORS, ABOUT = "index.faiss", "index.npz"
#: From here on the default index looks at a part of the catalog only.
SMALL = 20_000
#: Most vectors that an index is fitted to: k-means gains nothing from more and takes minutes.
MAX_TRAINING = 2**18


class FaissIndex:
    """Looks up the items whose vectors have the largest inner products with a user's.

    An index of `FAISS <https://arxiv.org/abs/2401.08281>`_ on the CPU; install it with
    ``pip install 'mdsrec_pyg[ann]'``.

    Args:
        num_candidates: Items looked up a user. More cost time and miss fewer. (default: ``200``)
        factory: FAISS's description of the index, such as ``'HNSW32,Flat'``. (default: ``'Flat'``,
            which is exact, below 20,000 items, above ``'IVF<lists>,Flat'`` with about four times
            the square root of the number of items as lists)
        search: FAISS's search parameters, such as ``'nprobe=64'`` (lists looked at) or
            ``'efSearch=200'``. (default: ``'nprobe=<a sixteenth of the lists>'`` for the default
            index, FAISS's own for a ``factory`` of yours)

    An index can be copied, pickled and saved, and searched by any number of threads at once.

    Raises:
        ValueError: ``num_candidates`` is below 1; in :meth:`build`: FAISS rejects ``factory`` or
            ``search``, the vectors are not finite, or the index is built over others, such as
            those of the same model before more training.
        ImportError: FAISS is not installed.
    """

    def __init__(
        self, num_candidates: int = 200, *, factory: str | None = None, search: str | None = None
    ) -> None:
        if num_candidates < 1:
            raise ValueError(f"'num_candidates' must be at least 1 (got {num_candidates})")
        self.num_candidates = num_candidates
        self.factory = factory
        self.search_parameters = search
        self.index: Any = None
        self._faiss = import_faiss()
        self._lock = Lock()
        self._fingerprint: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def __getstate__(self) -> dict[str, Any]:
        """All but the module and the lock; the index as FAISS writes it to a file."""
        state = vars(self) | {"_faiss": None, "_lock": None}
        if self.index is not None:
            state["index"] = self._faiss.serialize_index(self.index)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The same index again."""
        vars(self).update(state, _faiss=import_faiss(), _lock=Lock())
        if self.index is not None:
            self.index = self._faiss.deserialize_index(self.index)

    def save(self, folder: str | PathLike[str]) -> None:
        """Writes the built index: ``index.faiss``, as FAISS does, and what belongs to it.

        Args:
            folder: Made if missing; an index in it is replaced. It appears whole or not at all.

        Raises:
            ValueError: The index is not built.
            OSError: A file cannot be written.
        """
        if self.index is None:
            raise ValueError("'index' must be built to be saved: a Retriever builds it")
        with atomic_folder(folder, ABOUT) as temporary:
            try:
                self._faiss.write_index(self.index, str(temporary / VECTORS))
            except RuntimeError as error:  # FAISS's own, of a full disk too
                raise OSError(f"{VECTORS}: {str(error).splitlines()[0]}") from error
            options = [self.num_candidates, self.factory, self.search_parameters]
            np.savez(
                temporary / ABOUT,
                options=json.dumps(options),
                sha256=sha256(temporary / VECTORS),
                fingerprint=self._fingerprint,
            )
            seal(temporary / ABOUT)

    @classmethod
    def load(cls, folder: str | PathLike[str], *, mmap: bool = False) -> FaissIndex:
        """Reads an index; :meth:`build`, by a Retriever, checks that it belongs to its vectors.

        Args:
            folder: What :meth:`save` wrote.
            mmap: Maps the file into memory instead of reading it, so that processes share it.

        Raises:
            ValueError: There is no index, or a file of it was changed or cut.
            ImportError: FAISS is not installed.
        """
        path = Path(folder)
        settle(path)
        for name in (ABOUT, VECTORS):
            if not (path / name).is_file():
                raise ValueError(f"'folder' must hold a saved index (there is no {path / name})")
        advice = "save the index again, or remove its folder"
        with open_sealed(path / ABOUT, advice) as file, np.load(file) as about:
            content = {name: about[name] for name in ("options", "sha256", "fingerprint")}
        if sha256(path / VECTORS) != str(content["sha256"]):
            raise ValueError(
                f"{str(path / VECTORS)!r} must be as it was saved (it was changed or cut since): "
                f"{advice}"
            )
        num_candidates, factory, search = json.loads(str(content["options"]))
        index = cls(num_candidates, factory=factory, search=search)
        flag = getattr(index._faiss, "IO_FLAG_MMAP_IFC", 0) if mmap else 0
        index.index = index._faiss.read_index(str(path / VECTORS), flag)
        index._fingerprint = content["fingerprint"]
        return index

    def build(self, table: Tensor) -> None:
        """Fits the index to the item vectors and adds them; checks them where that is done already.

        Args:
            table: Item vectors ``[N, C]``.
        """
        vectors = table.detach().float().cpu().contiguous().numpy()
        with self._lock:  # two retrievers may be made at once
            if self.index is None:
                self.index = self._fitted(vectors)
                self._fingerprint = _fingerprint(vectors)
            else:
                self._check(vectors)

    def _check(self, vectors: NDArray[np.float32]) -> None:
        """Raises a ValueError where the index is built over other vectors."""
        given = [self.index.ntotal, self.index.d]
        if given != list(vectors.shape):
            raise ValueError(
                f"'index' must be built over the item vectors of the model, {list(vectors.shape)} "
                f"(got {given})"
            )
        # A product of thousands of terms is rounded by about 1e-6 of the lengths.
        allowed = 1e-4 * np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12
        other = (np.abs(_fingerprint(vectors) - self._fingerprint) > allowed).any(1)
        if other.any():
            raise ValueError(
                "'index' must be built over the item vectors of the model (got those of another "
                f"model, or of this one before more training: {int(other.sum()):,} of "
                f"{len(other):,} items have another vector): give the new Retriever a new "
                "FaissIndex"
            )

    def _fitted(self, vectors: NDArray[np.float32]) -> Any:
        num_items, channels = vectors.shape
        if not np.isfinite(vectors).all():
            raise DivergedError(
                "'table' must hold finite item vectors (got NaN or infinity, first for item "
                f"{int((~np.isfinite(vectors)).any(1).argmax())}): the model has diverged"
            )
        factory, search = self.factory, self.search_parameters
        if factory is None:
            lists = 4 * math.isqrt(num_items)
            factory = "Flat" if num_items < SMALL else f"IVF{lists},Flat"
            if search is None and num_items >= SMALL:
                search = f"nprobe={max(1, lists // 16)}"
        self._set_threads()
        try:
            metric = self._faiss.METRIC_INNER_PRODUCT
            index = self._faiss.index_factory(channels, factory, metric)
            index.train(_sample(vectors))
            index.add(vectors)
            if search is not None:
                self._faiss.ParameterSpace().set_index_parameters(index, search)
        except RuntimeError as error:
            raise ValueError(
                f"'factory' and 'search' must be what FAISS accepts for {num_items:,} items (got "
                f"{factory!r} and {search!r}): {error}"
            ) from error
        return index

    def search(self, users: Tensor, num_candidates: int) -> Tensor:
        """Items with (nearly) the largest inner products.

        Args:
            users: User vectors ``[B, C]``.
            num_candidates: Items looked up a user, n.

        Returns:
            Items, Long tensor ``[B, n]``, best first, on the device of ``users``; -1 where FAISS
            found no more.
        """
        self._set_threads()
        _, found = self.index.search(users.float().cpu().contiguous().numpy(), num_candidates)
        return torch.from_numpy(found).to(users.device)

    @property
    def nbytes(self) -> int:
        """Bytes of the built index as FAISS writes it to a file."""
        return int(self._faiss.serialize_index(self.index).nbytes)

    def _set_threads(self) -> None:
        # Imported before torch, FAISS has an OpenMP of its own, which takes all cores whatever
        # torch was told; imported after it, it shares torch's.
        self._faiss.omp_set_num_threads(torch.get_num_threads())


def _sample(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most ``MAX_TRAINING`` rows, drawn at random, always the same ones."""
    if len(vectors) <= MAX_TRAINING:
        return vectors
    rows = np.random.default_rng(0).choice(len(vectors), MAX_TRAINING, replace=False)
    return vectors[np.sort(rows)]


def _fingerprint(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every vector by four numbers, its places along directions drawn at random ``[N, 4]``.

    They are what the content is recognized by: an index such as PQ does not keep the vectors.
    """
    directions = np.random.default_rng(0).standard_normal((vectors.shape[1], 4))
    directions /= np.linalg.norm(directions, axis=0)
    return vectors @ directions.astype(np.float32)


def import_faiss() -> Any:
    """The module ``faiss``; an error that says how to get it."""
    try:
        import faiss  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ImportError(
            "FaissIndex needs FAISS, which is not installed: pip install 'mdsrec_pyg[ann]'"
        ) from error
    return faiss
