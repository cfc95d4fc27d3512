"""Files as they are or compressed, told apart by their first bytes, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

#: First bytes of a form, and the suffixes that go with it.
MAGIC = {
    "gzip": (b"\x1f\x8b", ".gz"),
    "bzip2": (b"BZh", ".bz2"),
    "xz": (b"\xfd7zXZ\x00", ".xz"),
    "zstd": (b"\x28\xb5\x2f\xfd", ".zst"),
    "zip": (b"PK\x03\x04", ".zip"),
}
#: What the decompressors raise of damaged data.
DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowInvalid)


def form_of(path: Path) -> str | None:
    """``'gzip'``, ``'bzip2'``, ``'xz'``, ``'zstd'``, ``'zip'``, or ``None`` for a plain file.

    Raises:
        ValueError: There is no such file.
    """
    if not path.is_file():
        raise ValueError(f"expected a file {path}, got none")
    with path.open("rb") as stream:
        start = stream.read(6)
    return next((name for name, (magic, _) in MAGIC.items() if start.startswith(magic)), None)


def plain_suffix(path: Path) -> str:
    """The suffix of a file without that of its compression: ``.tsv`` of ``x.tsv.gz``."""
    suffixes = [suffix for _, suffix in MAGIC.values()]
    return Path(path.stem).suffix if path.suffix.lower() in suffixes else path.suffix


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file for reading, decompressed if it is gzip, bzip2, xz, zstd or zip.

    Raises:
        ValueError: There is no such file, or a zip archive holds more or less than one.
    """
    form = form_of(path)
    if form == "gzip":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if form == "bzip2":
        return cast(IO[bytes], bz2.open(path, "rb"))
    if form == "xz":
        return cast(IO[bytes], lzma.open(path, "rb"))
    if form == "zstd":
        stream: Any = pa.input_stream(str(path), compression="zstd")
        return io.BufferedReader(stream)  # knows lines, too
    if form == "zip":
        return _only_member(path)
    return path.open("rb")


def damage(form: str | None, error: Exception) -> str:
    """What is wrong with a compressed file, for a message."""
    form = form or "compressed"
    if isinstance(error, EOFError):
        return f"expected the rest of a {form} file, got its end: the file is cut off"
    return f"expected a {form} file, got damaged data ({error})"


def _only_member(path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(path)
        files = [info for info in archive.infolist() if not info.is_dir()]
        if len(files) != 1:
            names = ", ".join(repr(info.filename) for info in files[:4])
            raise ValueError(
                f"{path}: expected a zip archive of one file, got {len(files)} ({names or 'none'})"
            )
        return archive.open(files[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{path}: expected a zip archive that can be read ({error})") from error
