"""The folder of an exported program: written whole, verified when it is read."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mdsrec_pyg.export.check import Histories, largest_difference
from mdsrec_pyg.export.formats import NEEDED, OPSET, PROGRAMS, load, write
from mdsrec_pyg.export.program import Program
from mdsrec_pyg.io import atomic_folder, read_json, settle, sha256
from mdsrec_pyg.version import __version__

__all__ = ["ITEMS", "SETTINGS", "ExportedModel", "write_export"]

VERSION = 1
SETTINGS, ITEMS = "export.json", "items.json"
#: Largest difference of a score that is taken for rounding, where scores are of order 1.
TOLERANCE = 1e-4
#: What an export may consist of besides its settings.
_NAMES = (*PROGRAMS.values(), f"{PROGRAMS['onnx']}.data", ITEMS)


def write_export(
    program: Program,
    folder: str | PathLike[str],
    format: str,
    *,
    about: Mapping[str, Any],
    item_ids: Sequence[Any] | None,
    histories: Histories,
) -> dict[str, Any]:
    """Writes a program, checks what was written, and only then lets the folder appear.

    Args:
        program: What is exported.
        folder: Made if missing; an export in it is replaced.
        format: ``'onnx'`` or ``'torch'``.
        about: What else the settings say: the model's name and size.
        item_ids: Raw id of each item; ``None``: items are called by their indices.
        histories: What is asked for the check, with the model's own scores.

    Returns:
        The settings as they stand in :data:`SETTINGS`.

    Raises:
        ValueError: The program as written answers otherwise than the model, or the folder holds
            files of the same names that are no export's, such as a saved model's.
        OSError: The folder cannot be written.
    """
    _check_place(Path(folder))
    with atomic_folder(folder, SETTINGS) as temporary:
        write(program, format, temporary)
        answer = load(temporary / PROGRAMS[format], format)
        difference = largest_difference(answer, program, histories)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"the exported {about['model']} must score as the model does, to {TOLERANCE:g} of "
                f"the largest score (got a difference of {difference:.3g}): its scores depend on "
                "something that is not in the program"
            )
        if item_ids is not None:
            text = json.dumps(list(item_ids), ensure_ascii=False, allow_nan=False)
            (temporary / ITEMS).write_text(text + "\n", encoding="utf-8")
        settings = {
            "version": VERSION,
            "format": format,
            "program": PROGRAMS[format],
            **about,
            "k": program.k,
            "exclude_seen": program.exclude_seen,
            "item_ids": None if item_ids is None else ITEMS,
            "opset": OPSET if format == "onnx" else None,
            "checked": {"histories": len(histories.scores), "difference": difference},
            "versions": versions(format),
            "hashes": {path.name: sha256(path) for path in sorted(temporary.iterdir())},
        }
        text = json.dumps(settings, indent=2, allow_nan=False, ensure_ascii=False)
        (temporary / SETTINGS).write_text(text + "\n", encoding="utf-8")
    for name in _NAMES:  # of an earlier export
        if name not in settings["hashes"]:
            (Path(folder) / name).unlink(missing_ok=True)
    return settings


def _check_place(folder: Path) -> None:
    """Raises a ValueError where files of something else would be replaced."""
    settle(folder)
    other = [name for name in _NAMES if (folder / name).exists()]
    if other and not (folder / SETTINGS).is_file():
        raise ValueError(
            f"'folder' must not hold files that are no export's (got {folder}, which has "
            f"{other[0]!r}): give another folder"
        )


def versions(format: str) -> dict[str, str]:
    """Of this library and of what wrote the program."""
    packages = {name: version(name) for name in NEEDED[format]}
    own = {"mdsrec_pyg": __version__, "torch": torch.__version__}
    return {**own, **packages, "python": platform.python_version()}


class ExportedModel:
    """An exported program, verified and ready to be asked.

    In an environment without this library a few lines of NumPy and ONNX Runtime do the same, see
    the guide.

    Example:
        >>> exported = ExportedModel("shop-onnx")
        >>> item, score = exported(item_id, mask)  # [B, L] each -> [B, k] each

    Args:
        folder: What ``model.export`` wrote.
        threads: Of ONNX Runtime. (default: its own choice)

    Attributes:
        settings: What stands in ``export.json``.
        item_ids: Raw id of each item; ``None``: items are called by their indices.

    Raises:
        ValueError: No export, one of another version, or a file that is missing, was changed or
            cut; it names the file.
        ImportError: ONNX Runtime is not installed.
    """

    def __init__(self, folder: str | PathLike[str], *, threads: int | None = None) -> None:
        path = Path(folder)
        settle(path)
        self.settings = verified(path)
        named = self.settings["item_ids"]
        self.item_ids: list[Any] | None = None
        if named is not None:
            self.item_ids = read_json(path / named, list, "raw ids of items")
        self._answer = load(path / self.settings["program"], self.settings["format"], threads)

    def __call__(
        self, item_id: NDArray[np.int64], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best items of histories and their scores, ``[B, k]`` each.

        Args:
            item_id: Item indices ``[B, L]``, left-padded, newest last.
            mask: True where an item stands ``[B, L]``.
        """
        return self._answer(item_id, mask)


def verified(path: Path) -> dict[str, Any]:
    """The settings of an export, whose files are as they were written.

    Raises:
        ValueError: See :class:`ExportedModel`.
    """
    if not (path / SETTINGS).is_file():
        raise ValueError(f"'folder' must hold an export (there is no {path / SETTINGS})")
    settings: dict[str, Any] = read_json(path / SETTINGS, dict, "settings of an export")
    if settings.get("version") != VERSION:
        raise ValueError(
            f"{path / SETTINGS}: expected an export of version {VERSION} (got "
            f"{settings.get('version')!r})"
        )
    program, named = PROGRAMS.get(str(settings.get("format"))), settings.get("item_ids", "")
    hashes = settings.get("hashes")
    # A file that has no hash, or lies elsewhere, is none of an export.
    known = {program, f"{program}.data", ITEMS}
    if (
        not isinstance(hashes, dict)
        or settings.get("program") != program
        or not {program, *([] if named is None else [str(named)])} <= set(hashes) <= known
    ):
        raise ValueError(
            f"{path / SETTINGS}: expected format, program, item_ids and the hashes of these files "
            "as they were exported (they were changed since)"
        )
    for name, wanted in hashes.items():
        if not (path / name).is_file():
            raise ValueError(f"the export in {path} must have a file {name!r}")
        if sha256(path / name) != wanted:
            raise ValueError(
                f"{path / name} must be as it was exported (it was changed or cut since)"
            )
    return settings
