"""Copies of models that workers map: whoever writes to a model's folder reaches no worker."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from mdsrec_pyg.io import atomic_write, sha256
from mdsrec_pyg.nn.models.saving.folder import model_folder
from mdsrec_pyg.retrieval.mapped import key_of
from mdsrec_pyg.training.run_texts import TEXTS

__all__ = ["forget_others", "serve_from", "served", "snapshot"]

SERVED = ".served"


def snapshot(folder: Path, scratch: Path) -> Path:
    """A copy of a saved model with the texts of its run, for workers to map.

    A file that is mapped must not be written to: a cut one ends the process, a changed one changes
    the answers. The copy is made by the first worker that asks, and has hashes of what it holds as
    its name, so that all workers map the same.

    Args:
        folder: Folder of a run or of a saved model; nothing is written to it.
        scratch: Folder of the copies.

    Raises:
        ValueError: There is no model, or its configuration is damaged.
    """
    place, texts = model_folder(folder), folder / TEXTS
    hashes = [key_of(place), *([sha256(texts)] if texts.is_file() else [])]
    copy = scratch / "-".join(part[:32] for part in hashes)
    if not copy.is_dir():
        made = Path(tempfile.mkdtemp(dir=scratch, prefix=".unfinished-"))
        shutil.copytree(place, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        if texts.is_file():
            shutil.copy(texts, made)
        try:
            os.replace(made, copy)
        except OSError:  # another worker was faster
            shutil.rmtree(made, ignore_errors=True)
    return copy


def served(scratch: Path) -> Path | None:
    """The copy that workers serve; ``None`` before one of them does."""
    try:
        copy = scratch / (scratch / SERVED).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return copy if copy.is_dir() else None


def serve_from(copy: Path) -> None:
    """Notes which copy is served: a worker that starts in place of another begins with it."""
    with atomic_write(copy.parent / SERVED) as temporary:
        Path(temporary).write_text(copy.name, encoding="utf-8")


def forget_others(kept: Collection[Path]) -> None:
    """Removes copies that no worker needs any more; one that is still mapped stays so."""
    for scratch in {copy.parent for copy in kept}:
        for copy in scratch.iterdir():
            if copy not in kept and not copy.name.startswith("."):
                shutil.rmtree(copy, ignore_errors=True)
