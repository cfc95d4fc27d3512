"""One process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file ``path``; it goes with the process, however that ends.

    Raises:
        ValueError: Another process holds it, or it is a link.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A link in an unpacked folder could lead anywhere, and what is there must not be emptied.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ValueError(f"{path} must be a file of its own (it is a link)") from error
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{what} is being done by another process ({path} is locked)"
            ) from None
        yield
