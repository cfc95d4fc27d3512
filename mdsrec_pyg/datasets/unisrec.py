"""Folders of UniSRec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.given_split import SPLIT_LABELS
from mdsrec_pyg.datasets._recognize import naming_other_reader
from mdsrec_pyg.datasets._sequences import StepReader, whole_sequences
from mdsrec_pyg.datasets._toolkits import feature_rows, find_name, largest_catalog
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.collect import as_integers
from mdsrec_pyg.datasets.reading.fields import Identifier, IntegerId
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.lines import Problems
from mdsrec_pyg.datasets.reading.rows import Form, read_rows
from mdsrec_pyg.datasets.reading.table import read_table

__all__ = ["UniSRecDataset"]

PAGE = "https://github.com/RUCAIBox/UniSRec (dataset/README.md there)"
FEATURES = {"text": "feat1CLS"}


class UniSRecDataset(RecommendationDataset):
    """A downstream data set in the form of UniSRec, which MISSRec, VQ-Rec and others share.

    =========================== ====================================================================
    ``<name>.train.inter``,     tabs; ``user_id:token``, ``item_id_list:token_seq``,
    ``.valid.inter``,           ``item_id:token``: a history, cut to its 50 newest items, and the
    ``.test.inter``             item after it; training has each step of a user's sequence,
                                validation and test one row a user
    ``<name>.feat1CLS``         float32 without a header, ``[N, 768]``, row i belongs to item i;
                                optional
    ``<name>.item2index``,      tabs, no line of names: raw id and number; optional: without them
    ``<name>.user2index``       the numbers are the raw ids
    ``<name>.text``             tabs; ``item_id:token`` (the raw id), ``text:token_seq``; optional
    =========================== ====================================================================

    The sequences are put together again from the steps. There are no times; the order counts.
    Leave-last-out gives the split of the files where those are UniSRec's own.

    Source: https://github.com/RUCAIBox/UniSRec, whose ``dataset/preprocessing/process_amazon.py``
    writes these files; Hou et al., Towards Universal Sequence Representation Learning for
    Recommender Systems (KDD 2022). Terms: those of the data behind it (Amazon Reviews: research).

    Args:
        root: Folder with the files, or with a folder ``raw`` that has them.
        name: Name of the data set, as in ``<name>.train.inter``. Default: that of the only such
            file.
        features: Suffix of the file of each modality; those that are missing are left out. An
            empty mapping: no features.
        num_features: Width F of each feature.
        zero_rows: ``'keep'`` feature rows that are all zeros, or take such items for ``'missing'``
            the modality; ``report`` has their number.
        keep_split: Keep which file a row is from as ``labels``, for
            :func:`~mdsrec_pyg.data.given_split`.
        repeats: What becomes of repeated pairs of a user and an item: ``'keep'`` all, or only the
            ``'first'`` or the ``'last'``.
        k_core: Users and items with fewer interactions are dropped until none is left to drop;
            ``None``: nobody is (the published sets are 5-cores).
        require: Modalities or ``'text'`` without which an item is dropped.

    Raises:
        ValueError: A file is missing or not as above, or rows contradict each other. The message
            has file and line.
    """

    def __init__(
        self,
        root: PathLike,
        name: str | None = None,
        *,
        features: Mapping[str, str] = FEATURES,
        num_features: int = 768,
        zero_rows: str = "keep",
        keep_split: bool = False,
        repeats: str = "keep",
        k_core: int | None = None,
        require: Sequence[str] = (),
    ) -> None:
        if num_features < 1:
            raise ValueError(f"'num_features' must be at least 1 (got {num_features})")
        name = find_name(root, name, ".train.inter", own="UniSRecDataset")
        parts = ["train.inter", "valid.inter", "test.inter"]
        others = ["text", "item2index", "user2index", *features.values()]
        suffixes = {suffix: f"{name}.{suffix}" for suffix in [*parts, *others]}
        self.raw_file_names = list(suffixes.values())
        self.raw_paths = find_raw_files(
            root, suffixes, PAGE, optional=tuple(others), own="UniSRecDataset"
        )
        raw = self._interactions([self.raw_paths[part] for part in parts], keep_split)
        rows, notes = {}, []
        for modality, suffix in features.items():
            if suffix not in self.raw_paths:
                notes.append(f"{name}.{suffix} is missing: no {modality}")
                continue
            array = _read_floats(self.raw_paths[suffix], len(raw.item_ids), num_features)
            path = self.raw_paths[suffix]
            rows[modality], note = feature_rows(path, array, raw.item_ids, zero_rows)
            notes.append(note)
        text = _read_text(self.raw_paths["text"], raw) if "text" in self.raw_paths else None
        made = prepare(
            raw,
            RawItems(raw.item_ids, text, features=rows, source=raw.source, notes=tuple(notes)),
            name=name,
            repeats=repeats,
            k_core=k_core,
            require=require,
            options={
                "features": dict(features),
                "num_features": num_features,
                "zero_rows": zero_rows,
                "keep_split": keep_split,
            },
        )
        super().__init__(**made.parts())

    def _interactions(self, paths: list[Path], keep_split: bool) -> RawInteractions:
        reader = StepReader()
        for path in paths:
            with naming_other_reader(path, "UniSRecDataset"):
                reader.read(path)
        steps, user_tokens, item_tokens = reader.finish()
        user, item, part = whole_sequences(*steps)
        users, user_ids = self._raw_ids("user2index", user, user_tokens, paths[0])
        items, item_ids = self._raw_ids("item2index", item, item_tokens, paths[0])
        labels = np.array(SPLIT_LABELS)[part] if keep_split else None
        source = str(paths[0])
        raw = RawInteractions(users, items, None, user_ids, item_ids, source, labels=labels)
        return raw.told(*reader.notes)

    def _raw_ids(
        self, kind: str, code: NDArray[np.int64], tokens: NDArray[Any], path: Path
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The number in the file of each row, and the raw id of each number."""
        code, number = as_integers(code, tokens)
        if number.dtype == object or number.min() < 0:
            text: list[str] = number.astype(str).tolist()
            plain = [token.isascii() and token.isdigit() for token in text]
            # Plain numbers throughout: the longest is beyond 64 bits.
            wrong = max(text, key=len) if all(plain) else text[plain.index(False)]
            raise ValueError(
                f"{path}: expected the numbers of {kind} as ids, 0 and up, got {wrong[:60]!r}"
            )
        if kind not in self.raw_paths:
            most = largest_catalog(len(code))
            if number.max() >= most:
                raise ValueError(
                    f"{path}: expected numbers from 0 to {most - 1} without {kind}, got "
                    f"{number.max()}"
                )
            return number[code], np.arange(number.max() + 1)
        ids = _read_index(self.raw_paths[kind])
        if number.max() >= len(ids):
            raise ValueError(
                f"{path}: expected numbers from 0 to {len(ids) - 1}, those in "
                f"{self.raw_paths[kind]}, got {number.max()}"
            )
        return number[code], ids


def _read_floats(path: Path, num_items: int, num_features: int) -> NDArray[np.float32]:
    """A file of float32 numbers, left on disk."""
    size = path.stat().st_size
    if size != 4 * num_items * num_features:
        raise ValueError(
            f"{path}: expected {4 * num_items * num_features:,} bytes, {num_features} float32 for "
            f"each of the {num_items:,} items, got {size:,} ({size / (4 * num_features):,.6g} "
            "rows; 'num_features' is the width of a row)"
        )
    return np.memmap(path, "<f4", "r", shape=(num_items, num_features))


def _read_index(path: Path) -> NDArray[Any]:
    """Raw ids in the order of their numbers."""
    raw: list[str] = []
    numbers: list[int] = []
    fields = [Identifier("raw id"), IntegerId("number")]
    form, problems = Form("\t", ("raw id", "number")), Problems("raise", optional=False)
    for columns in read_rows(path, form, fields, problems):
        raw += columns["raw id"].to_pylist()
        numbers += map(int, columns["number"].to_pylist())
    ids = np.full(len(raw), None, object)
    seen: set[str] = set()
    for line, (name, number) in enumerate(zip(raw, numbers, strict=True), 1):
        if number >= len(ids) or ids[number] is not None or name in seen:
            raise ValueError(
                f"{path}, line {line}: expected each of 0..{len(ids) - 1} once and raw ids that "
                f"all differ, got {name!r} and {number}"
            )
        ids[number] = name
        seen.add(name)
    return ids


def _read_text(path: Path, raw: RawInteractions) -> list[str]:
    """Text of each item, by raw id."""
    table = read_table(path, ["item_id:token", "text:token_seq"])
    ids = table.columns["item_id:token"].to_pylist()
    known: dict[str, str] = {}
    for row, text in enumerate(table.columns["text:token_seq"].to_pylist()):
        if ids[row] in known:
            raise table.error(row, "item_id:token", "an id that no other row has")
        known[ids[row]] = text.strip()
    texts = [known.get(str(name), "") for name in raw.item_ids.tolist()]
    if not any(texts):
        raise ValueError(
            f"{path}: expected texts of the items of {raw.source}, got none, such as {ids[0]!r} "
            f"where the items are {str(raw.item_ids[0])!r}"
        )
    return texts
