"""What was read, in a form that is the same for every library: counts, sums, some histories."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_USERS = 200


def describe(
    user: np.ndarray,
    item: np.ndarray,
    seconds: np.ndarray,
    user_ids: Sequence[Any] | np.ndarray,
    item_ids: Sequence[Any] | np.ndarray,
) -> dict[str, Any]:
    """Counts, a sum over all rows, and a digest of the histories of 200 users.

    Args:
        user: Code of each row's user ``[n]``. Rows that tie in time keep their order.
        item: Code of each row's item ``[n]``.
        seconds: Time of each row ``[n]``.
        user_ids: Raw id of each user code.
        item_ids: Raw id of each item code.

    Returns:
        ``users`` and ``items`` that have a row, ``interactions``, ``checksum`` of who took what and
        when, whatever the order, and ``histories``, a digest of the rows of 200 users in order.
    """
    users, items = np.unique(user), np.unique(item)
    user_hash, item_hash = _hashes(user_ids), _hashes(item_ids)
    seconds = np.asarray(seconds).astype(np.int64)
    total = user_hash[user]  # wraps around, the same way everywhere
    total *= item_hash[item] + np.uint64(1)
    total *= seconds.astype(np.uint64)
    chosen = users[np.argsort(user_hash[users], kind="stable")[:_USERS]]
    rows = np.flatnonzero(np.isin(user, chosen))
    rows = rows[np.lexsort((seconds[rows], user[rows]))]
    histories: dict[str, list[Any]] = {}
    for row in rows.tolist():
        taken = [str(item_ids[item[row]]), int(seconds[row])]
        histories.setdefault(str(user_ids[user[row]]), []).append(taken)
    text = json.dumps(histories, sort_keys=True)
    return {
        "interactions": len(user),
        "users": len(users),
        "items": len(items),
        "checksum": str(total.sum()),
        "histories": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _hashes(raw_ids: Sequence[Any] | np.ndarray) -> np.ndarray:
    count = len(raw_ids)
    return np.fromiter((zlib.crc32(str(i).encode()) for i in raw_ids), np.uint64, count)
