"""Folders of MMRec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mdsrec_pyg.datasets._labels import split_labels
from mdsrec_pyg.datasets._recognize import naming_other_reader
from mdsrec_pyg.datasets._toolkits import feature_rows, find_name, numbers, read_mapping, seconds
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.arrays import load_array
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.table import read_table, unused_columns

__all__ = ["MMRecDataset"]

PAGE = "https://github.com/enoche/MMRec (data/README.md there)"
FEATURES = {"image": "image_feat.npy", "text": "text_feat.npy"}
MAPPINGS = {"items": "i_id_mapping.csv", "users": "u_id_mapping.csv"}
# What x_label says.
LABELS = {"0": "train", "1": "val", "2": "test"}


class MMRecDataset(RecommendationDataset):
    """A data set in the form of MMRec, such as its Baby, Sports and Clothing.

    ======================= ========================================================================
    ``<name>.inter``        tabs; columns ``userID``, ``itemID`` (both ``0..``), and optionally
                            ``timestamp`` (seconds) and ``x_label`` (0: training, 1: validation, 2:
                            test)
    ``image_feat.npy``,     ``[N, F]``, row i belongs to ``itemID`` i; optional
    ``text_feat.npy``
    ``i_id_mapping.csv``    tabs; raw id (``asin``) and ``itemID`` of each item; optional: without
                            it the numbers are the raw ids
    ``u_id_mapping.csv``    tabs; raw id (``user_id``) and ``userID`` of each user; optional
    ======================= ========================================================================

    Source: https://github.com/enoche/MMRec, whose notebooks in ``preprocessing`` write these files;
    Zhou, MMRec: Simplifying Multimodal Recommendation (MMAsia workshops 2023). Terms: those of the
    data behind it (Amazon Reviews: research).

    The split of the published files was drawn at random within each user, not in time:
    ``given_split(..., order='label')`` reads it as it was meant, for rankings of all that comes
    "later" given the training items. For next items use a split of ours.

    Args:
        root: Folder with the files, or with a folder ``raw`` that has them.
        name: Name of the data set, as in ``<name>.inter``. Default: that of the only such file.
        features: File of each modality; those that are missing are left out. An empty mapping: no
            features.
        zero_rows: ``'keep'`` feature rows that are all zeros, or take such items for ``'missing'``
            the modality; ``report`` has their number.
        keep_split: Keep ``x_label`` as ``labels``, for :func:`~mdsrec_pyg.data.given_split`.
        repeats: What becomes of repeated pairs of a user and an item: ``'keep'`` all, or only the
            ``'first'`` or the ``'last'`` in time.
        k_core: Users and items with fewer interactions are dropped until none is left to drop;
            ``None``: nobody is (the published sets are 5-cores).
        require: Modalities without which an item is dropped.
        keep_cold: Keep items without an interaction in the catalog, as MMRec does.

    Raises:
        ValueError: A file is missing or not as above. The message has file, line and column.
    """

    def __init__(
        self,
        root: PathLike,
        name: str | None = None,
        *,
        features: Mapping[str, str] = FEATURES,
        zero_rows: str = "keep",
        keep_split: bool = False,
        repeats: str = "keep",
        k_core: int | None = None,
        require: Sequence[str] = (),
        keep_cold: bool = False,
    ) -> None:
        name = find_name(root, name, ".inter", own="MMRecDataset")
        self.raw_file_names = [f"{name}.inter", *features.values(), *MAPPINGS.values()]
        files = {"interactions": f"{name}.inter", **MAPPINGS}
        files |= {f"feature {modality}": file for modality, file in features.items()}
        optional = tuple(kind for kind in files if kind != "interactions")
        self.raw_paths = find_raw_files(root, files, PAGE, optional=optional, own="MMRecDataset")
        raw = self._interactions(keep_split)
        rows, notes = {}, []
        for modality in features:
            path = self.raw_paths.get(f"feature {modality}")
            if path is None:
                notes.append(f"{features[modality]} is missing: no {modality}")
                continue
            rows[modality], note = feature_rows(path, load_array(path), raw.item_ids, zero_rows)
            notes.append(note)
        folder = self.raw_paths["interactions"].parent
        for path in sorted(folder.glob("*_feat.npy")):
            if path.name not in features.values():
                notes.append(f"{path.name} is not read: 'features' does not name it")
        items = RawItems(raw.item_ids, features=rows, source=raw.source, notes=tuple(notes))
        made = prepare(
            raw,
            items,
            name=name,
            repeats=repeats,
            k_core=k_core,
            require=require,
            keep_cold=keep_cold,
            options={
                "features": dict(features),
                "zero_rows": zero_rows,
                "keep_split": keep_split,
            },
        )
        super().__init__(**made.parts())

    def _interactions(self, keep_split: bool) -> RawInteractions:
        path = self.raw_paths["interactions"]
        ids = {
            kind: read_mapping(self.raw_paths[kind], None, column)
            for kind, column in (("users", "userID"), ("items", "itemID"))
            if kind in self.raw_paths
        }
        required = ["userID", "itemID", *(["x_label"] if keep_split else [])]
        with naming_other_reader(path, "MMRecDataset"):
            table = read_table(path, required, ["timestamp"])
        labels = None
        if keep_split:
            labels = split_labels(table, "x_label", LABELS)
            if labels is None:
                raise table.error(0, "x_label", "0, 1 or 2")
        codes = {}
        for kind, column in (("users", "userID"), ("items", "itemID")):
            size = len(ids[kind]) if kind in ids else None
            codes[kind] = numbers(table, column, size)
            ids.setdefault(kind, np.arange(codes[kind].max() + 1))
        return RawInteractions(
            codes["users"],
            codes["items"],
            seconds(table, "timestamp"),
            ids["users"],
            ids["items"],
            source=str(path),
            labels=labels,
            notes=tuple(unused_columns(table)),
        )
