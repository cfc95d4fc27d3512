"""Checkpoint files: whole or not at all, verified, read without running code from them."""

from __future__ import annotations

import io
import pickle
import re
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.io import load_sealed, save_sealed
from mdsrec_pyg.nn.mode import uncompiled
from mdsrec_pyg.training.signature import built_from, check_built_from

#: Those of format 1 had no hash; they are refused, as nobody could say whether they are whole.
FORMAT = 2
_ADVICE = (
    "take it from a copy, or train again in another folder (weights of an older version: "
    "torch.load(path, weights_only=True)['model'])"
)


def save_checkpoint(path: str | PathLike[str], content: dict[str, Any]) -> None:
    """Writes a checkpoint with its hash by :func:`~mdsrec_pyg.io.save_sealed`.

    Args:
        path: The file; its folder must exist.
        content: Tensors and plain Python values.

    Raises:
        OSError: The file cannot be written, a full disk for one; an earlier one stays as it was.
    """
    save_sealed(path, {"format": FORMAT, **content})


def check_readable(name: str, state: Any) -> None:
    """Raises a ValueError where :func:`load_checkpoint` could not read a state again.

    Args:
        name: Whose state it is.
        state: What is going to be a part of a checkpoint.
    """
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except (pickle.PickleError, AttributeError, TypeError, RuntimeError) as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"got a {found[1]}" if found else str(error)
        raise ValueError(
            f"the state of {name!r} must be tensors and plain Python values, or the checkpoint "
            f"could not be read again ({reason})"
        ) from error


def load_checkpoint(
    path: str | PathLike[str], device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """Reads what :func:`save_checkpoint` wrote, verified; code in it is never run.

    Args:
        path: The file.
        device: Where the tensors go.

    Raises:
        ValueError: If there is no such file, it was changed or cut, or it is no checkpoint of this
            version of the library.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {str(path)!r}")
    content: dict[str, Any] = load_sealed(path, _ADVICE, device)
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ValueError(f"{str(path)!r} must be a checkpoint of format {FORMAT} (got {found})")
    return content


def load_weights(model: torch.nn.Module, path: str | PathLike[str]) -> dict[str, Any]:
    """Loads the weights of ``best.pt`` or ``last.pt`` into a model built like the trained one.

    Args:
        model: Gets the weights; it stays on its device.
        path: The checkpoint.

    Returns:
        The rest of the checkpoint: ``epoch``, ``settings`` and so on.

    Raises:
        ValueError: If the file is no checkpoint, its weights do not fit the model, or the model is
            built with other options or from other data (features, graphs, training part).
    """
    content, model = load_checkpoint(path), uncompiled(model)
    weights = content.pop("model")
    check_weights(model, weights, path)
    check_built_from(content.get("built_from", {}), built_from(model), repr(str(path)))
    model.load_state_dict(weights)
    return content


def check_weights(
    model: torch.nn.Module, weights: dict[str, Tensor], path: str | PathLike[str]
) -> None:
    """Raises an error that names the first entry in which ``weights`` does not fit ``model``."""
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    read = {name: tuple(value.shape) for name, value in weights.items()}
    for name in (*own, *read):
        if own.get(name) != read.get(name):
            raise ValueError(
                f"'model' must be built like the one in {str(path)!r}: {name!r} has shape "
                f"{own.get(name, 'none')} in the model and {read.get(name, 'none')} in the file"
            )
