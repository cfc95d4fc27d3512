"""Files and folders appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["atomic_folder", "atomic_write", "write_json"]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` that replaces ``path`` when the block ends.

    If the block raises, the temporary file is removed and an existing ``path`` stays as it was.
    The temporary name keeps the suffix of ``path``, for writers that look at it or append it.

    Example:
        >>> with atomic_write("metrics.json") as temporary:
        ...     temporary.write_text("{}")

    Args:
        path: The file to be written. Its folder must exist.

    Raises:
        ValueError: The folder of ``path`` does not exist, or ``path`` is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"'path' must lie in an existing folder (got {path})")
    if path.is_dir():
        raise ValueError(f"'path' must name a file (got the folder {path})")
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp allows the owner only; the file gets what a plain open() would have given it.
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes JSON, indented and ending in a newline, by :func:`atomic_write`.

    Args:
        path: The file to be written. Its folder must exist.
        content: What JSON can hold.

    Raises:
        TypeError: ``content`` is something else; an existing ``path`` stays as it was.
        ValueError: The folder of ``path`` does not exist, or ``path`` is a folder.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def atomic_folder(folder: str | os.PathLike[str], key: str) -> Iterator[Path]:
    """Yields a temporary folder whose files are in ``folder`` when the block ends.

    If the block raises, ``folder`` stays as it was, or absent. A new ``folder`` appears with all
    its files at once. In one that exists, files of the same names are replaced one after the other,
    while ``key`` is away: interrupted between two of them, the folder has no ``key``.

    Args:
        folder: The folder to be written.
        key: The written file without which no reader takes ``folder`` for complete.

    Raises:
        ValueError: ``folder`` is a file.
    """
    folder = Path(folder)
    exists = folder.is_dir()
    if folder.exists() and not exists:
        raise ValueError(f"'folder' must not be a file (got {folder})")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A neighbor of what it becomes: a rename works within one file system only.
    temporary = Path(tempfile.mkdtemp(dir=folder if exists else folder.parent, prefix=".writing-"))
    try:
        yield temporary
        if not exists:
            temporary.chmod(0o777 & ~_umask())
            os.replace(temporary, folder)
            return
        (folder / key).unlink(missing_ok=True)
        for path in sorted(temporary.iterdir(), key=lambda path: path.name == key):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
