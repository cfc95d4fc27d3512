"""The text of an item, out of the fields of its page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["ITEM_TEXT_FIELDS", "clean_text", "item_text"]

# In the order in which a reader, or a model that cuts long texts off, should see them.
ITEM_TEXT_FIELDS = ("title", "brand", "categories", "features", "description")

SCRIPT = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)", re.DOTALL | re.IGNORECASE)
# A tag starts with a letter: "a < b" and "<3" are text.
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<![a-zA-Z][^<>]*>")
# Where the collection of 2018 has a piece of a page's program in the place of a text.
PROGRAM = re.compile(r"\bvar aPageStart\b|\(new Date\(\)\)\.getTime\(\)")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\ufeff\ud800-\udfff]+")


def item_text(fields: Mapping[str, Any], max_length: int | None = None) -> str:
    """One line of text of the fields of an item.

    ``title. brand. categories. features. description``, each cleaned (:func:`clean_text`); empty
    parts and repeated parts are left out. This is the one place where
    the order is decided.

    Example:
        >>> item_text({"title": "Tea &amp; Cup ", "brand": "Nord", "categories": ["Tea", "Tea"]})
        'Tea & Cup. Nord. Tea'

    Args:
        fields: ``title``, ``brand``, ``categories``, ``features`` and ``description``, each a
            string or lists of strings, nested or not; missing or of another type: nothing.
        max_length: Most characters; longer texts end at the last whole word before. ``None``: all.

    Raises:
        ValueError: ``max_length`` is below 1.
    """
    if max_length is not None and max_length < 1:
        raise ValueError(f"'max_length' must be at least 1 or None (got {max_length})")
    parts: dict[str, None] = {}  # ordered, each once
    for name in ITEM_TEXT_FIELDS:
        values = dict.fromkeys(filter(None, map(clean_text, _strings(fields.get(name)))))
        if name == "categories":
            parts[", ".join(values)] = None
        else:
            parts |= values
    text = ""
    for part in filter(None, parts):
        text += f"{'' if text.endswith(('.', '!', '?')) else '.'} {part}" if text else part
    if max_length is None or len(text) <= max_length:
        return text
    cut = text[: max_length + 1]
    return cut[: cut.rfind(" ")] if " " in cut else cut[:max_length]


def clean_text(text: str) -> str:
    """Text without markup, entities, programs and control characters, whitespace collapsed."""
    if PROGRAM.search(text):
        return ""
    # Twice: "&amp;quot;" is common. Tags also come as entities.
    text = html.unescape(html.unescape(text))
    text = TAG.sub(" ", SCRIPT.sub(" ", text))
    return " ".join(CONTROL.sub(" ", text).split())


def _strings(value: Any, depth: int = 3) -> Iterable[str]:
    """The strings in lists, in lists of lists at most (with one to spare)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)) and depth:
        for part in value:
            yield from _strings(part, depth - 1)
