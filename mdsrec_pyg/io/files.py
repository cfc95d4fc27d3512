"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mdsrec_pyg.io.locks import UNFINISHED, is_at, lock, remove_dead
from mdsrec_pyg.showing import json_text


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` that replaces ``path`` when the block ends.

    If the block raises, the temporary file is removed and an existing ``path`` stays as it was; if
    the process is killed, the next one that writes ``path`` removes it. The content is on the disk
    before it replaces ``path``. The temporary name keeps the suffix of ``path``, for writers that
    look at it or append it.

    Example:
        >>> with atomic_write("metrics.json") as temporary:
        ...     temporary.write_text("{}")

    Args:
        path: The file to be written. Its folder must exist.

    Raises:
        ValueError: The folder of ``path`` does not exist, or ``path`` is a folder or a link to
            nothing.
        OSError: The file cannot be written, a full disk for one; it names ``path``.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"'path' must lie in an existing folder (got {path})")
    if path.is_dir():
        raise ValueError(f"'path' must name a file (got the folder {path})")
    if path.is_symlink() and not path.exists():
        raise ValueError(
            f"'path' must not be a link to nothing (got {path}, a link to {os.readlink(path)})"
        )
    with named_errors(path):
        mode = path.stat().st_mode & 0o777 if path.exists() else None
        temporary, descriptor = _begin(path, 0o666 if mode is None else mode | 0o600)
        try:
            yield temporary
            flush(temporary)
            if mode is not None:
                temporary.chmod(mode)
            os.replace(temporary, path)
            flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)


def _begin(path: Path, mode: int) -> tuple[Path, int]:
    """An empty file beside ``path``, and the open file whose lock says that its writer lives."""
    temporary = path.with_name(f"{UNFINISHED}{path.name}")
    remove_dead(temporary)
    while True:
        with suppress(FileExistsError):  # another process writes the same file
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
            lock(descriptor, temporary)
            if is_at(descriptor, temporary):
                return temporary, descriptor
            os.close(descriptor)
        temporary = path.with_name(f"{UNFINISHED}{secrets.token_hex(4)}-{path.name}")


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Gives an error of the disk the name of the file or folder that could not be written."""
    try:
        yield
    except OSError as error:
        own = str(error.filename or "")
        if own and not any(part.startswith(UNFINISHED) for part in Path(own).parts):
            raise  # of another file
        number = error.errno or errno.EIO
        reason = os.strerror(number) if error.errno else str(error)
        raise OSError(number, f"{reason}; nothing is written", str(path)) from error


def flush(path: Path) -> None:
    """Brings the content of a file to the disk.

    Raises:
        OSError: It does not arrive there.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # cannot be flushed
            raise
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Brings the names of a folder to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes :func:`~mdsrec_pyg.showing.json_text` and a newline, by :func:`atomic_write`.

    Args:
        path: The file to be written. Its folder must exist.
        content: What JSON can hold.

    Raises:
        TypeError: ``content`` is something else; an existing ``path`` stays as it was.
        ValueError: The folder of ``path`` does not exist, or ``path`` is a folder.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(json_text(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str], kind: type[Any], what: str) -> Any:
    """Reads JSON.

    Args:
        path: The file.
        kind: ``dict`` or ``list``, what it must hold.
        what: What it is expected to be, for the message.

    Raises:
        ValueError: The file is no JSON in UTF-8, or holds something else; it names the file.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one
        found = "an empty file" if not data.strip() else str(error)
        raise ValueError(f"{path}: expected {what}, JSON in UTF-8 (got {found})") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path}: expected {what} (got {str(content)[:80]!r})")
    return content
