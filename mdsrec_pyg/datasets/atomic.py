"""RecBole's atomic files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mdsrec_pyg.datasets._clean import clean_interactions
from mdsrec_pyg.datasets._prepared import is_prepared
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.reading.delimited import TABS, column_names
from mdsrec_pyg.datasets.reading.table import (
    identifiers,
    read_table,
    release_memory,
    unused_columns,
)
from mdsrec_pyg.datasets.reading.times import timestamps

__all__ = ["read_atomic"]


def read_atomic(
    path: str | os.PathLike[str],
    *,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    duplicates: str = "keep",
    min_interactions: int = 3,
) -> RecommendationDataset:
    """Reads a RecBole ``.inter`` file: interactions without features, rows in any order.

    The file is tab-separated and its header carries types, such as ``user_id:token``,
    ``item_id:token`` and ``timestamp:float``
    (https://recbole.io/docs/user_guide/data/atomic_files.html). Although typed ``float``, times
    may also be ISO dates, as they are in some published files. Rows of a user are sorted by time,
    ties in the order of the file; without a time column the order of the file counts.

    Args:
        path: The file.
        user: Name of the user column, type ``token``.
        item: Name of the item column, type ``token``. Items that are integers are numbered in
            ascending order, others in the order of their first row; all stay in the catalog.
        time: Name of the time column, type ``float``, seconds since 1970. It may be missing.
        duplicates: ``'keep'`` or ``'drop'`` further interactions of a user with the same item.
        min_interactions: Users with fewer interactions are dropped; ``report`` counts what was
            dropped, and a warning says so.

    Raises:
        ValueError: Something in the file is not as above; the message names line and column.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"'path' must be a file (got {path})")
    header = column_names(path, TABS)
    if is_prepared(header, item):
        raise ValueError(
            f"{path}, line 1: expected one interaction a row, got histories "
            f"('{item}_list:token_seq'): RecBoleDataset reads them"
        )
    columns = {
        name: typed_column(path, header, name, kind, required)
        for name, kind, required in (
            (user, "token", True),
            (item, "token", True),
            (time, "float", False),
        )
    }
    ids = [columns[user], columns[item]]
    table = read_table(path, ids, [columns[time]], ids)
    users, user_ids = identifiers(table, columns[user], text_as_integers=True)
    items, item_ids = identifiers(table, columns[item], text_as_integers=True)
    seconds = timestamps(table, columns[time])
    said = unused_columns(table)
    del table  # the text of millions of rows
    release_memory()
    interactions, left, report, _ = clean_interactions(
        str(path),
        users,
        items,
        seconds,
        len(item_ids),
        duplicates=duplicates,
        min_interactions=min_interactions,
    )
    return RecommendationDataset(
        name=path.stem,
        interactions=interactions,
        user_ids=user_ids[left],
        item_ids=item_ids,
        report=[*report, *said],
    )


def typed_column(path: Path, header: Sequence[str], name: str, kind: str, required: bool) -> str:
    """The header's column ``name:kind``."""
    for column in header:
        if column.split(":")[0] == name and column != f"{name}:{kind}":
            raise ValueError(f"{path}, line 1: expected '{name}:{kind}', got '{column}'")
    if required and f"{name}:{kind}" not in header:
        raise ValueError(
            f"{path}, line 1: expected a column '{name}:{kind}', got {', '.join(map(repr, header))}"
        )
    return f"{name}:{kind}"
