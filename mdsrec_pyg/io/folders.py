"""Folders appear, and are replaced, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mdsrec_pyg.io.files import flush, flush_folder, named_errors
from mdsrec_pyg.io.locks import UNFINISHED, check_folder, claim, is_at, lock, remove_dead

# A finished folder inside of the one whose files it replaces.
COMMIT = ".commit-"
_WAIT = 60.0  # seconds for another process to move its files


@contextmanager
def atomic_folder(folder: str | os.PathLike[str], key: str) -> Iterator[Path]:
    """Yields a temporary folder whose files are in ``folder`` when the block ends.

    If the block raises or the process is killed, ``folder`` stays as it was, or absent. A new
    ``folder`` appears with all its files at once. In one that exists, files of the same names are
    replaced: first the temporary folder becomes ``.commit-<key>`` inside of ``folder``, and from
    then on the new files count. Then they are moved one after the other while ``key`` is away;
    where that was interrupted, :func:`settle` ends it. What killed processes have left is removed.

    Args:
        folder: The folder to be written.
        key: The written file without which no reader takes ``folder`` for complete.

    Raises:
        ValueError: ``folder`` is a file or a link to nothing, or another process writes it.
        OSError: It cannot be written, a full disk for one.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"'folder' must not be a file (got {folder})")
    check_folder(folder)
    exists = folder.is_dir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A neighbor of what it becomes: a rename works within one file system only.
    place, name = (folder, key) if exists else (folder.parent, folder.resolve().name)
    temporary, descriptor = _begin(place, name)
    try:
        with named_errors(folder):
            yield temporary
            for path in temporary.iterdir():
                flush(path)
            flush_folder(temporary)
            with claim(folder, wait=_WAIT):
                _put(temporary, folder, key)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _put(temporary: Path, folder: Path, key: str) -> None:
    """The temporary folder takes its place."""
    if folder.is_dir():  # perhaps since a moment ago only
        finish_all(folder)
        commit = folder / f"{COMMIT}{key}"
        os.replace(temporary, commit)
        _finish(commit)
    else:
        os.replace(temporary, folder)
        flush_folder(folder.parent)


def _begin(place: Path, name: str) -> tuple[Path, int | None]:
    """An empty folder, and the open folder whose lock says that its writer lives."""
    temporary = place / f"{UNFINISHED}{name}"
    remove_dead(temporary)
    while True:
        with suppress(FileExistsError):  # another process writes the same folder
            temporary.mkdir()
            try:
                descriptor = os.open(temporary, os.O_RDONLY)
                lock(descriptor, temporary)
            except OSError:  # folders cannot be opened, or not be locked, everywhere
                return temporary, None
            if is_at(descriptor, temporary):
                return temporary, descriptor
            os.close(descriptor)
        temporary = place / f"{UNFINISHED}{secrets.token_hex(4)}-{name}"


def settle(folder: str | os.PathLike[str]) -> None:
    """Ends what :func:`atomic_folder` was killed in, or waits for it; readers call it first.

    Args:
        folder: A folder that was written by :func:`atomic_folder`; one that does not exist will do.

    Raises:
        ValueError: Another process has been at it for a minute.
        OSError: The files are to be moved, but the folder cannot be written.
    """
    folder = Path(folder)
    if _commits(folder):
        with claim(folder, wait=_WAIT):
            finish_all(folder)


def _commits(folder: Path) -> list[Path]:
    try:
        found = [entry for entry in os.scandir(folder) if entry.name.startswith(COMMIT)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(Path(entry) for entry in found if entry.is_dir(follow_symlinks=False))


def finish_all(folder: Path) -> None:
    """Moves the files of folders that were finished and not moved; the folder must be claimed."""
    for commit in _commits(folder):
        _finish(commit)


def _finish(commit: Path) -> None:
    """Moves the files of a finished folder to where they belong, its key last."""
    folder, key = commit.parent, commit.name.removeprefix(COMMIT)
    if (commit / key).exists():
        (folder / key).unlink(missing_ok=True)
    for path in sorted(commit.iterdir(), key=lambda path: path.name == key):
        os.replace(path, folder / path.name)
    flush_folder(folder)
    commit.rmdir()
