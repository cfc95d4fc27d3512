"""Files that are verified when they are read: a hash of all of it in the comment of the archive.

What torch (``.pt``) and NumPy (``.npz``) write are ZIP archives, which may end in a comment. It
holds the SHA-256 of everything before it. A sealed file is an ordinary file of its kind: other
programs read it as before. A folder of files keeps the hashes in its JSON instead, see
:func:`sha256`.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mdsrec_pyg.io.files import atomic_write

_BLOCK = 2**20
_MARK = b"mdsrec_pyg sha256 "
_COMMENT = len(_MARK) + 64
_END = 22  # bytes of the record that ends an archive without a comment; the last two: its length


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in blocks."""
    with Path(path).open("rb") as file:
        return _digest(file, os.fstat(file.fileno()).st_size).hexdigest()


def _digest(file: BinaryIO, size: int) -> Any:
    """Hash of the first bytes of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while size and (block := file.read(min(_BLOCK, size))):
        digest.update(block)
        size -= len(block)
    return digest


def seal(path: str | os.PathLike[str]) -> None:
    """Writes the hash of an archive into its comment; call it while the file is temporary.

    Example:
        >>> with atomic_write("scaling.npz") as temporary:
        ...     np.savez(temporary, mean=mean)
        ...     seal(temporary)

    Args:
        path: A ``.pt`` or ``.npz`` file, just written.

    Raises:
        ValueError: The file is no archive, or it has a comment already.
    """
    with Path(path).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END))
        end = file.read()
        if end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
            raise ValueError(f"{str(path)!r} must be an archive without a comment to be sealed")
        digest = _digest(file, size - 2)
        file.seek(size - 2)
        file.write(_COMMENT.to_bytes(2, "little") + _MARK + digest.hexdigest().encode())


@contextmanager
def open_sealed(path: str | os.PathLike[str], advice: str) -> Iterator[BinaryIO]:
    """Opens a file that :func:`seal` has sealed, verified.

    What is read afterwards is what was verified, even if the file is replaced meanwhile.

    Args:
        path: The file.
        advice: What to do where it is damaged, for the message.

    Raises:
        ValueError: The file has no hash, was changed or was cut; it names the file.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _COMMENT - 2))
        length, mark, found = file.read(2), file.read(len(_MARK)), file.read()
        if mark != _MARK or len(found) != 64:
            problem = "it is empty" if not size else "it has no hash at its end"
            raise ValueError(
                f"{str(path)!r} must be whole and written by this library ({problem}; it was cut, "
                f"or comes from another program or an older version): {advice}"
            )
        digest = _digest(file, size - _COMMENT - 2).hexdigest().encode()
        if found != digest or length != _COMMENT.to_bytes(2, "little"):
            raise ValueError(
                f"{str(path)!r} must be as it was written (its content does not have the hash "
                f"that it was written with: it is damaged or was changed): {advice}"
            )
        file.seek(0)
        yield file


def save_sealed(path: str | os.PathLike[str], content: Any) -> None:
    """Writes tensors and plain values by :func:`torch.save`, sealed, whole or not at all.

    Args:
        path: The file; its folder must exist.
        content: What :func:`load_sealed` can read again.

    Raises:
        OSError: The file cannot be written, a full disk for one; it names ``path``.
    """
    import torch

    with atomic_write(path) as temporary:
        try:
            with temporary.open("wb") as file:
                torch.save(content, file)
        except RuntimeError as error:
            # torch hides the error of the disk behind one of its own.
            below = error.__context__
            if isinstance(below, OSError):
                raise below from error
            if "inline_container" in str(error):
                raise OSError(errno.EIO, str(error).splitlines()[0]) from error
            raise
        seal(temporary)


def load_sealed(path: str | os.PathLike[str], advice: str, device: str | Any = "cpu") -> Any:
    """Reads what :func:`save_sealed` wrote; code in it is never run.

    Args:
        path: The file.
        advice: What to do where it is damaged, for the message.
        device: Where the tensors go.

    Raises:
        ValueError: The file was changed or cut, or holds something else.
        MemoryError: It does not fit.
    """
    import torch

    with open_sealed(path, advice) as file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except MemoryError:
            raise
        # Verified: what goes wrong now was written so. What torch raises then is not documented.
        except Exception as error:
            if "allocate" in str(error):
                size = os.fstat(file.fileno()).st_size
                raise MemoryError(f"{path}: {size:,} bytes do not fit into memory") from error
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{str(path)!r} cannot be read ({first}): {advice}") from error
