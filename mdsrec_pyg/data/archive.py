"""Archives of arrays, read whole and without trust."""

from __future__ import annotations

import errno
import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_archive"]


def read_archive(path: str | os.PathLike[str], what: str) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file by name; such as ``numpy.savez`` writes, not compressed.

    Args:
        path: The file.
        what: What it should be, for the error: ``'a saved FeatureScaler'``.

    Raises:
        ValueError: It is no such archive, or it is damaged; the message names the file.
        OSError: It is not there, or the disk cannot be read.
    """
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with content, zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > os.path.getsize(path):  # a few kB of zeros could become gigabytes
                raise ValueError("compressed arrays, while ours are stored as they are")
            return {name: content[name] for name in content.files}
    # Zip, zlib and the headers, which are Python literals, fail in more ways than they announce.
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: expected {what} ({reason})") from error
