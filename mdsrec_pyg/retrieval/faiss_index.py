"""Approximate maximum inner product search over item vectors with FAISS (extra ``ann``)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["FaissIndex"]

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

    Raises:
        ValueError: ``num_candidates`` is below 1; in :meth:`build`: FAISS rejects ``factory`` or
            ``search``, or the index is built over a table of another shape.
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

    def build(self, table: Tensor) -> None:
        """Fits the index to the item vectors and adds them; nothing where that is done already.

        Args:
            table: Item vectors ``[N, C]``.
        """
        num_items, channels = table.shape
        if self.index is not None:
            if (self.index.ntotal, self.index.d) != (num_items, channels):
                raise ValueError(
                    f"'index' must be built over the item vectors of the model, "
                    f"{[num_items, channels]} (got {[self.index.ntotal, self.index.d]})"
                )
            return
        factory, search = self.factory, self.search_parameters
        if factory is None:
            lists = 4 * math.isqrt(num_items)
            factory = "Flat" if num_items < SMALL else f"IVF{lists},Flat"
            if search is None and num_items >= SMALL:
                search = f"nprobe={max(1, lists // 16)}"
        vectors = table.detach().float().cpu().contiguous().numpy()
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
        self.index = index

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


def import_faiss() -> Any:
    """The module ``faiss``; an error that says how to get it."""
    try:
        import faiss  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ImportError(
            "FaissIndex needs FAISS, which is not installed: pip install 'mdsrec_pyg[ann]'"
        ) from error
    return faiss
