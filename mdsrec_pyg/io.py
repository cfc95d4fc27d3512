"""Files appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_write"]


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
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
