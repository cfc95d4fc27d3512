"""The texts of the items beside a trained model: written with their hash, verified when read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg.io import read_json, write_json
from mdsrec_pyg.showing import json_text

__all__ = ["TEXTS", "read_texts", "write_texts"]

#: Name of the file in the folder of a run.
TEXTS = "texts.json"


def write_texts(folder: Path, texts: Sequence[str]) -> None:
    """Writes ``texts.json``: the text of each item, in the model's order, and their SHA-256.

    Args:
        folder: The run's folder.
        texts: One an item.
    """
    kept = [str(text) for text in texts]
    write_json(folder / TEXTS, {"sha256": _hash(kept), "texts": kept})


def read_texts(folder: Path, num_items: int) -> list[str] | None:
    """The text of each item; ``None`` where the run has none.

    Args:
        folder: The run's folder.
        num_items: Items of its model.

    Raises:
        ValueError: The file is damaged, was changed, or is that of other items.
    """
    path = folder / TEXTS
    if not path.is_file():
        return None
    content: dict[str, Any] = read_json(path, dict, "the texts of the items and their hash")
    texts = content.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{path}: expected 'texts', one an item (got {str(texts)[:80]!r})")
    if content.get("sha256") != _hash(texts):
        raise ValueError(
            f"{path}: expected the texts as they were written (they do not have the hash that "
            "stands there): remove the file, or repeat the training's command, which writes it"
        )
    if len(texts) != num_items:
        raise ValueError(
            f"{path}: expected a text of each of the {num_items:,} items (got {len(texts):,})"
        )
    return texts


def _hash(texts: list[str]) -> str:
    return hashlib.sha256(json_text(texts).encode()).hexdigest()
