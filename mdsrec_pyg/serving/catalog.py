"""Items and users as people see them: cards, pictures, search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.image_files import find_images, of_item

__all__ = ["Card", "Catalog", "KnownUsers", "Searchable"]

#: An item as ``{"item": raw id, "text": ..., "image": ...}``.
Card = dict[str, Any]

#: What files begin with that are pictures and nothing else: SVG is a document that may run scripts.
_BEGINNINGS = {
    rb"\xff\xd8\xff": "image/jpeg",
    rb"\x89PNG\r\n\x1a\n": "image/png",
    rb"GIF8[79]a": "image/gif",
    rb"RIFF....WEBP": "image/webp",
    rb"....ftypavi[fs]": "image/avif",
    rb"BM": "image/bmp",
}


def image_type(path: Path) -> str | None:
    """The media type of a picture by its first bytes; ``None`` for what is none."""
    try:
        with path.open("rb") as file:
            first = file.read(16)
    except OSError:
        return None
    found = (kind for begin, kind in _BEGINNINGS.items() if re.match(begin, first, re.DOTALL))
    return next(found, None)


class Searchable:
    """Texts that are searched for a part of them, upper and lower case alike.

    Args:
        ids: What is found when it is searched for as a whole, first.
        texts: Further text of each.
    """

    def __init__(self, ids: Sequence[str], texts: Sequence[str] | None = None) -> None:
        self.place = {name: row for row, name in enumerate(ids)}
        lines = ids if texts is None else map("\n".join, zip(ids, texts, strict=True))
        self._folded = pa.array([line.casefold() for line in lines], pa.large_string())

    def find(self, query: str, limit: int) -> tuple[list[int], int]:
        """The first rows that hold ``query``, and how many do; the one of that id first."""
        if not query:
            return list(range(min(limit, len(self._folded)))), len(self._folded)
        found = pc.match_substring(self._folded, query.casefold())
        rows: list[int] = pc.indices_nonzero(found).slice(0, limit + 1).to_pylist()
        total = int(pc.sum(found).as_py() or 0)
        own = self.place.get(query)
        if own is not None:
            rows = [own, *(row for row in rows if row != own)]
        return rows[:limit], total


class Catalog:
    """The items of a model, for people.

    Args:
        item_ids: Raw id of each item ``[N]``.
        texts: Text of each item ``[N]``.
        images: A folder of pictures called after the raw ids, or a table of them, as
            :func:`~mdsrec_pyg.encoders.find_images` reads them. One that lies outside of the
            folder, as a link or a table may say, is not served.
    """

    def __init__(
        self,
        item_ids: Sequence[Any],
        texts: Sequence[str] | None = None,
        images: str | Path | None = None,
    ) -> None:
        self.item_ids = [str(item) for item in item_ids]
        self.texts = None if texts is None else list(texts)
        self._search = Searchable(self.item_ids, self.texts)
        self._images = {} if images is None else _images(Path(images), self.item_ids)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    def __contains__(self, item: Any) -> bool:
        """Whether there is an item of this raw id."""
        return str(item) in self._search.place

    @property
    def has_images(self) -> bool:
        """Whether any item has a picture."""
        return bool(self._images)

    def row(self, item: Any) -> int | None:
        """Index of an item, ``None`` where there is none."""
        return self._search.place.get(str(item))

    def card(self, item: Any) -> Card:
        """An item as people see it; an unknown one has neither text nor picture."""
        name, row = str(item), self.row(item)
        text = None if self.texts is None or row is None else self.texts[row]
        image = f"/images/{quote(name, safe='')}" if name in self._images else None
        return {"item": name, "text": text, "image": image}

    def search(self, query: str, limit: int) -> tuple[list[Card], int]:
        """The first items whose raw id or text holds ``query``, and how many do."""
        rows, total = self._search.find(query, limit)
        return [self.card(self.item_ids[row]) for row in rows], total

    def image(self, item: str) -> tuple[Path, str] | None:
        """File and media type of an item's picture; looked up, never made of what is asked."""
        path = self._images.get(item)
        if path is None or not path.is_file():  # a pipe would be waited for
            return None
        kind = image_type(path)
        return None if kind is None else (path, kind)


def _images(source: Path, item_ids: Sequence[str]) -> dict[str, Path]:
    """The pictures of the items that there are, each within the folder."""
    root = (source if source.is_dir() else source.parent).resolve()
    found = find_images(source, repeated={})
    whole = {item: path.resolve() for item in item_ids if (path := of_item(found, item))}
    return {item: path for item, path in whole.items() if path.is_relative_to(root)}


class KnownUsers:
    """Histories of the users that are known by name.

    Args:
        users: Name of each user ``[U]``.
        ptr: The items of user u are ``item[ptr[u]:ptr[u + 1]]`` ``[U + 1]``.
        item: Number of each item of the histories in ``names``.
        names: Raw ids.
    """

    def __init__(
        self,
        users: Sequence[Any],
        ptr: NDArray[np.int64],
        item: NDArray[np.int64],
        names: Sequence[Any],
    ) -> None:
        self.users = [str(user) for user in users]
        self.names = [str(name) for name in names]
        self._ptr, self._item = ptr, item
        self._search = Searchable(self.users)

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> KnownUsers:
        """Of the columns ``user``, ``item`` and perhaps ``timestamp``."""
        code, users = pd.factorize(table["user"])
        item, names = pd.factorize(table["item"])
        keys = [code] if "timestamp" not in table else [table["timestamp"].to_numpy(), code]
        order = np.lexsort(keys)  # stable: rows of one time stay as they are
        ptr = np.append(0, np.cumsum(np.bincount(code, minlength=len(users))))
        return cls(users.tolist(), ptr, item[order], names.tolist())

    def __len__(self) -> int:
        """Number of users."""
        return len(self.users)

    def history(self, user: Any) -> list[str] | None:
        """The items of a user, oldest first; ``None`` for an unknown one."""
        row = self._search.place.get(str(user))
        if row is None:
            return None
        part = self._item[self._ptr[row] : self._ptr[row + 1]]
        return [self.names[item] for item in part.tolist()]

    def search(self, query: str, limit: int) -> tuple[list[dict[str, Any]], int]:
        """The first users whose name holds ``query`` with the number of their items; how many."""
        rows, total = self._search.find(query, limit)
        size = np.diff(self._ptr)
        return [{"user": self.users[row], "items": int(size[row])} for row in rows], total
