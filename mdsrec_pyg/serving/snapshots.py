"""Copies of models that workers map: whoever writes to a model's folder reaches no worker."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from mdsrec_pyg.nn.models.saving.folder import CONFIG, read_config
from mdsrec_pyg.retrieval import Retriever

__all__ = ["forget_others", "mapped_retriever"]


def mapped_retriever(folder: Path, scratch: Path) -> tuple[Retriever, str]:
    """A retriever over a copy of a saved model, mapped; and the name of the copy.

    A file that is mapped must not be written to: a cut one ends the process, a changed one changes
    the answers. The copy is made by the first worker that asks, and has the model's hash as its
    name, so that all workers map the same.

    Args:
        folder: The saved model; nothing is written to it.
        scratch: Folder of the copies.

    Raises:
        ValueError: A file of the model is missing, damaged or of another model.
    """
    name = str(read_config(folder / CONFIG)["hashes"][CONFIG])
    copy = scratch / name
    if not copy.is_dir():
        made = Path(tempfile.mkdtemp(dir=scratch, prefix=".unfinished-"))
        shutil.copytree(folder, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        try:
            os.replace(made, copy)
        except OSError:  # another worker was faster
            shutil.rmtree(made, ignore_errors=True)
    try:
        return Retriever.from_folder(copy, mmap=True), name
    except ValueError:
        shutil.rmtree(copy, ignore_errors=True)  # it is mended under the same name, if at all
        raise


def forget_others(scratch: Path, kept: Collection[str]) -> None:
    """Removes copies that no worker needs any more; one that is still mapped stays so."""
    for copy in scratch.iterdir():
        if copy.name not in kept and not copy.name.startswith("."):
            shutil.rmtree(copy, ignore_errors=True)
