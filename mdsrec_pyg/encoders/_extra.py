"""Optional libraries, imported when they are used, and what models are made of."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from mdsrec_pyg.configs import check_device

DTYPES = ("float32", "float16", "bfloat16")


def require(name: str, *attributes: str, extra: str = "encode") -> ModuleType:
    """Imports a library of an extra; the error says how to install it, or what breaks it.

    ``attributes`` are names in it that are needed: transformers imports its parts on first use.
    """
    try:
        module = importlib.import_module(name)
        for attribute in attributes:
            getattr(module, attribute)
        return module
    except Exception as error:
        top = name.partition(".")[0]
        if importlib.util.find_spec(top) is None:
            raise ImportError(
                f"{top} is needed here and not installed: pip install -e '.[{extra}]' "
                f"(or pip install 'mdsrec_pyg[{extra}]')"
            ) from error
        raise ImportError(f"{top} is installed but does not import ({error}){_why()}") from error


def _why() -> str:
    """The usual reason: transformers and timm import torchvision, and it must fit torch's build."""
    if importlib.util.find_spec("torchvision") is None:
        return ": it needs torchvision, of the same index and release as torch"
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        return (
            f": torchvision is installed and does not fit torch {torch.__version__} ({error}); "
            "install the one of the same index, or uninstall it if timm is not needed"
        )
    return ""


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or else the GPU if there is one."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return check_device(device)


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The precision asked for, or else half on a GPU and single on a CPU."""
    if dtype is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise ValueError(f"'dtype' must be one of {', '.join(DTYPES)} (got {dtype!r})")
    return getattr(torch, name)


def local_folder(model: str | os.PathLike[str]) -> Path | None:
    """The folder that ``model`` is a path of, if any."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.is_absolute() or str(model).startswith((".", "~")):
        raise ValueError(f"'model' must be an existing folder or a name on the hub (got {model})")
    return None


def model_version(model: str | os.PathLike[str], config: Any = None) -> str:
    """What changes whenever the weights do: the files of a folder, the commit of a hub model."""
    folder = local_folder(model)
    if folder is None:
        return str(getattr(config, "_commit_hash", None))
    return files_version(folder, sorted(path for path in folder.rglob("*") if path.is_file()))


def files_version(root: Path, files: list[Path]) -> str:
    """Hash of the names, sizes and times of files: their content would have to be read."""
    digest = hashlib.sha256()
    for path in files:
        stat = path.stat()
        digest.update(
            f"{os.path.relpath(path, root)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode()
        )
    return digest.hexdigest()


@contextmanager
def loading(model: str | os.PathLike[str]) -> Iterator[None]:
    """Around all that reads a model's files: what their readers raise names the model.

    Raises:
        ValueError: A file of the model is damaged, or it is none.
    """
    try:
        yield
    except (ImportError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    # Readers of JSON, tokenizers and tensors raise what they like, mostly without a name.
    except Exception as error:
        ours = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        if ours and (str(model) in str(error) or str(error).startswith("'")):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(f"'model' could not be loaded from {model} ({reason})") from error


def load_model(model: str | os.PathLike[str], revision: str | None) -> tuple[Any, bool]:
    """A model of transformers, and whether its checkpoint has the weights of a pooler.

    transformers fills what a checkpoint lacks with random numbers. For a pooler, which classifiers
    are saved without, that is usual, and its output must not be taken; for any other part it is
    an error.
    """
    loaded, info = require("transformers", "AutoModel").AutoModel.from_pretrained(
        model, revision=revision, output_loading_info=True
    )
    missing = sorted(info["missing_keys"])
    pooler = [name for name in missing if "pooler" in name.split(".")]
    if len(missing) > len(pooler):
        lacking = [name for name in missing if name not in pooler]
        raise ValueError(
            f"'model' must hold the weights of all of {type(loaded).__name__} (got {model}, which "
            f"lacks {len(lacking)}, such as {lacking[0]})"
        )
    return loaded, not pooler


def pooled(output: Any) -> torch.Tensor:
    """Features ``[B, F]`` of what ``get_text_features`` or ``get_image_features`` returns."""
    # A tensor up to transformers 4, an output with the projection as pooler_output from 5 on.
    features: torch.Tensor = getattr(output, "pooler_output", output)
    return features
