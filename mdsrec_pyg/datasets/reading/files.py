"""Raw files of a source, found where they were unpacked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mdsrec_pyg.datasets._recognize import other_reader

PathLike = str | os.PathLike[str]


def find_raw_files(
    root: PathLike,
    names: Mapping[str, str],
    page: str,
    *,
    own: str,
    folder: str | None = None,
    optional: tuple[str, ...] = (),
) -> dict[str, Path]:
    """The files of a source by kind.

    Args:
        root: Where they are looked for: in it, in its folder ``raw``, and in ``folder`` in either.
        names: File name of each kind.
        page: Where the source is published, for the error.
        own: The reader that wants the files; the error names another that fits.
        folder: Folder that the published archive unpacks to.
        optional: Kinds that may be missing.

    Raises:
        ValueError: ``root`` is no folder or a file is missing; the message has its name and the
            page.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"'root' must be a folder (got {root})")
    places = [root, root / "raw"]
    if folder is not None:
        places += [place / folder for place in places]
    found: dict[str, Path] = {}
    for kind, name in names.items():
        path = next((place / name for place in places if (place / name).is_file()), None)
        if path is not None:
            found[kind] = path
        elif kind not in optional:
            also = "" if folder is None else f" or '{folder}'"
            hint = other_reader(root, own)
            raise ValueError(
                f"'root' must hold {name}, itself or in a folder 'raw'{also} (got none in {root}); "
                f"get it from {page}{hint}"
            )
    return found
