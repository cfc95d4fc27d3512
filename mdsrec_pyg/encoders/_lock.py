"""One process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mdsrec_pyg.io import claim


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file ``path`` and with it its folder, see :func:`~mdsrec_pyg.io.claim`.

    Raises:
        ValueError: Another process holds it.
    """
    with claim(path.parent, f"{what} is being done", name=path.name, make=True):
        yield
