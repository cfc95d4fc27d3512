"""Raw ids to numbers, a piece of a column at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# Rows that wait as text. Each time they are numbered, all ids known so far are hashed once more.
FLUSH = 1_000_000


class IdEncoder:
    """Numbers the text of a column in the order of its first row.

    What is kept is a number a row and each text once, however long the column is.
    """

    def __init__(self) -> None:
        self.known: Any = pa.array([], pa.large_string())
        self.waiting: list[Any] = []
        self.num_waiting = 0
        self.codes: list[NDArray[np.int32]] = []

    def add(self, values: Any) -> None:
        """The next rows, an Arrow array of text without nulls."""
        self.waiting.append(values)
        self.num_waiting += len(values)
        if self.num_waiting >= FLUSH:
            self._flush()

    def finish(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The number of each row, int64, and the text of each number."""
        self._flush()
        ids = np.empty(len(self.known), object)
        ids[:] = self.known.to_pylist()
        code = np.concatenate(self.codes) if self.codes else np.empty(0, np.int32)
        return code.astype(np.int64), ids

    def _flush(self) -> None:
        if not self.num_waiting:
            return
        rows = pa.chunked_array(self.waiting).cast(pa.large_string()).combine_chunks()
        self.waiting, self.num_waiting = [], 0
        encoded = rows.dictionary_encode()
        found = pc.index_in(encoded.dictionary, value_set=self.known)
        new = pc.is_null(found).to_numpy(zero_copy_only=False)
        number = pc.fill_null(found, 0).to_numpy(zero_copy_only=False).copy()
        number[new] = len(self.known) + np.arange(new.sum())
        self.known = pa.concat_arrays([self.known, encoded.dictionary.filter(pa.array(new))])
        self.codes.append(number[encoded.indices.to_numpy(zero_copy_only=False)])
