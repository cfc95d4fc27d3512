"""Locks of the operating system: they end with the process that holds them, however that ends.

Not the package ``filelock``: up to Python 3.10 it is to be had only in versions that open the lock
file with truncation, through links, so that ``.lock -> ~/notes`` in a folder of others would empty
the notes; and its locks say nothing of who holds them.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

LOCK, UNFINISHED = ".lock", ".writing-"
# A lock file with other contents is somebody's: it is locked, but neither written nor removed.
_OURS = b'{"pid": '
_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_LONGEST = 200  # characters of a command that are kept
_POLL = 0.1  # seconds between two looks at a lock that is waited for

_held = threading.local()
_descriptors: set[int] = set()


def _in_child() -> None:
    """A forked child shares the locks of its parent: were they left open, they would outlive it."""
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()
    _held.__dict__.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 2**20, os.SEEK_SET)  # what is locked cannot be read: not the text
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock(descriptor: int, path: Path) -> bool:
    """Locks an open file or folder; false where another process has.

    Where the file system knows no locks, it warns and says true.
    """
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
        warnings.warn(
            f"{path} cannot be locked on its file system ({error.strerror}): nothing keeps another "
            "process from writing there too",
            stacklevel=2,
        )
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether ``path`` is the open file still, not another one or none."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def remove_dead(path: Path) -> None:
    """Removes an unfinished file or folder unless the process that writes it lives."""
    if sys.platform == "win32" or not path.name.startswith(UNFINISHED):
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # there is none, or it is a link
        return
    try:
        _lock(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:  # its writer is at work, or there are no locks here
        return
    finally:
        os.close(descriptor)


@contextmanager
def claim(
    folder: str | os.PathLike[str],
    what: str | None = None,
    *,
    wait: float = 0.0,
    make: bool = False,
    name: str = LOCK,
) -> Iterator[None]:
    """Keeps other processes, and other threads, from working in a folder while the block lasts.

    The lock is the operating system's and ends with the process, ``kill -9`` included. It lies in
    the folder, or beside it where the folder does not exist yet, and holds who has it; it is never
    opened with truncation nor through a link, and is removed at the end. What killed processes have
    left unfinished in the folder is removed. Within the block the same thread may claim the folder
    again.

    Example:
        >>> with claim("runs/shop", make=True):
        ...     ...

    Args:
        folder: The folder.
        what: What is being done, for the message. (default: writing ``folder``)
        wait: Seconds to wait for another to end.
        make: Makes the folder. Folders made here are removed again if they are empty at the end.
        name: Name of the lock file.

    Raises:
        ValueError: Another process works in the folder, and who; the folder is a file; the lock is
            a link.
        OSError: The folder cannot be made or written.
    """
    folder = Path(folder)
    key, mine = str(folder.resolve() / name), _held.__dict__
    if key in mine:
        yield
        return
    check_folder(folder)
    wanted = folder if make else folder.parent
    made = [path for path in (wanted, *wanted.parents) if not path.is_dir()]
    wanted.mkdir(parents=True, exist_ok=True)
    inside, beside = folder / name, folder.parent / f".{folder.resolve().name}{name}"
    places = [inside] if folder.is_dir() else [beside]
    if folder.is_dir() and os.path.lexists(beside):  # claimed before it was there
        places = [beside, inside]
    until, taken = time.monotonic() + wait, []
    try:
        for path in places:
            taken.append((path, _take(path, what or f"{folder} is being written", until)))
        mine[key] = True
        if folder.is_dir():
            sweep(folder)
        yield
    finally:
        mine.pop(key, None)
        for path, descriptor in reversed(taken):
            _give_back(path, descriptor)
        with suppress(OSError):  # one is not empty
            for path in made:
                path.rmdir()


def sweep(folder: Path) -> None:
    """Removes what killed processes have left unfinished in a folder."""
    with suppress(OSError):
        for name in [entry.name for entry in os.scandir(folder)]:
            remove_dead(folder / name)


def check_folder(folder: Path) -> None:
    """Raises a ValueError where there cannot be such a folder."""
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise ValueError(f"{str(folder)!r} must be a folder ({str(path)!r} is a file)")
        if path.is_symlink():
            raise ValueError(
                f"{str(folder)!r} must be a folder ({str(path)!r} is a link to "
                f"{os.readlink(path)!r}, which does not exist)"
            )


def _take(path: Path, what: str, until: float) -> int:
    while True:
        descriptor = _open(path)
        if not lock(descriptor, path):
            holder = _holder(descriptor)
            os.close(descriptor)
            if time.monotonic() >= until:
                raise ValueError(
                    f"{what} by another process: {holder} has locked {str(path)!r}; wait until it "
                    "has ended, or use another folder"
                )
            time.sleep(_POLL)
        elif not is_at(descriptor, path):  # removed by the one who had it
            os.close(descriptor)
        else:
            _descriptors.add(descriptor)
            _sign(descriptor)
            return descriptor


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    if path.is_symlink():  # O_NOFOLLOW is not known everywhere
        raise ValueError(
            f"{str(path)!r} must be a lock file (it is a link to {os.readlink(path)!r}): remove it"
        )
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{str(path)!r} must be a lock file (it is no file): remove it")
    return descriptor


def _is_ours(descriptor: int) -> bool:
    os.lseek(descriptor, 0, os.SEEK_SET)
    start = os.read(descriptor, len(_OURS))
    return os.fstat(descriptor).st_nlink == 1 and start in (b"", _OURS)


def _sign(descriptor: int) -> None:
    """Writes who has the lock, where there is room for it."""
    command = " ".join(sys.argv) if sys.argv else ""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    entry = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
    text = json.dumps({**entry, "command": command[:_LONGEST]}).encode()
    with suppress(OSError):
        if _is_ours(descriptor):
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.ftruncate(descriptor, os.write(descriptor, text))


def _holder(descriptor: int) -> str:
    """Who has the lock, as far as the file says it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        entry: dict[str, Any] = json.loads(os.read(descriptor, 4096))
        found = [str(entry[name]) for name in ("pid", "host", "since", "command")]
    except (OSError, ValueError, KeyError, TypeError):
        return "it does not say who"
    pid, host, since, command = ("".join(filter(str.isprintable, text)) for text in found)
    return f"process {pid} on {host} since {since} ({command})"


def _give_back(path: Path, descriptor: int) -> None:
    if descriptor not in _descriptors:  # of the parent, in a forked child
        return
    _descriptors.discard(descriptor)
    with suppress(OSError):
        if _is_ours(descriptor) and is_at(descriptor, path):
            path.unlink()
    os.close(descriptor)
