"""From a model to its folder and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import torch
from torch import nn

from mdsrec_pyg.configs import check_device
from mdsrec_pyg.nn.models.saving.card import ModelCard
from mdsrec_pyg.nn.models.saving.folder import COUNTS, SavedModel, check_item_ids
from mdsrec_pyg.nn.models.saving.tensors import collect, place
from mdsrec_pyg.seed import drawn_apart

__all__ = ["cannot_grow", "load_model", "save_model"]


def save_model(
    model: Any,
    folder: str | PathLike[str],
    item_ids: Any = None,
    card: ModelCard | None = None,
    growable: bool = False,
) -> None:
    """Writes the folder of a :class:`~mdsrec_pyg.nn.Recommender`; see its ``save``."""
    hyperparameters = _plain(model)
    ids = model.item_ids if item_ids is None else check_item_ids(item_ids, model.num_items)
    tensors, empty = collect(model, model.training_only)
    if model.item_counts is not None:
        tensors[COUNTS] = torch.tensor(model.item_counts)
    kind = type(model)
    kept = model.kept() if growable else None
    if growable and kept is None:
        raise cannot_grow(kind)
    config = {
        "class": kind.__name__,
        "module": kind.__module__,
        "hyperparameters": hyperparameters,
        "own_parts": model.own_parts,
        "empty": empty,
        **({} if kept is None else {"growing": kept[0]}),
    }
    text = (card or ModelCard()).text(kind.__name__, model.num_items)
    SavedModel(config, tensors, ids, None if kept is None else kept[1]).write(folder, text)


def cannot_grow(kind: type) -> ValueError:
    """The error for ``growable`` and a model that keeps nothing."""
    return ValueError(
        "'growable' must be False for a model that does not keep what it was built from (got a "
        f"{kind.__name__}): an MDSRec of build_mdsrec does"
    )


def _plain(model: Any) -> dict[str, Any]:
    name, given = type(model).__name__, model.hyperparameters()
    try:
        plain = json.loads(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}.hyperparameters must return what JSON can hold: {error}"
        ) from error
    if not isinstance(plain, dict):
        raise ValueError(f"{name}.hyperparameters must return a dictionary (got {given!r})")
    return plain


def load_model(
    kind: type[nn.Module],
    folder: str | PathLike[str],
    device: str | torch.device,
    own_parts: Mapping[str, Any],
    mmap: bool = False,
) -> Any:
    """The model of a folder; see ``load`` of :class:`~mdsrec_pyg.nn.Recommender`."""
    device = check_device(device)
    if mmap and device.type != "cpu":
        raise ValueError(f"mmap=True needs device='cpu', where files can be mapped (got {device})")
    saved, where = SavedModel.read(folder, mmap), str(folder)
    counts = saved.tensors.pop(COUNTS, None)
    found: Any = _class_of(kind, saved.config, where)
    described: dict[str, dict[str, str]] = saved.config["own_parts"]
    _check_own_parts(described, own_parts, where)
    with drawn_apart():  # what is drawn here is replaced below
        model = found.from_hyperparameters(saved.config["hyperparameters"], **own_parts)
    for name, part in model.own_parts.items():
        if part["class"] != described.get(name, part)["class"]:
            raise ValueError(
                f"{name!r} must make a {described[name]['class']}, as in the model saved in "
                f"{where!r} (got a {part['class']})"
            )
    place(model, saved.tensors, saved.config["empty"], model.training_only, repr(where))
    model.item_ids = saved.item_ids
    if saved.growing is not None:
        model.take_kept(saved.config["growing"], saved.growing)
    model.item_counts = None if counts is None else counts.numpy()
    return model.to(device).eval()


def _class_of(kind: type[nn.Module], config: Mapping[str, Any], where: str) -> type[nn.Module]:
    """The class by its name, among those that are imported: a folder says no module to import."""
    name, module = config["class"], config["module"]
    known = [part for part in _family(kind) if part.__name__ == name]
    # Of several with this name, that of the same module; made twice (a notebook), the newer.
    same = [part for part in known if part.__module__ == module]
    if same or known:
        return (same or known)[-1]
    top = next(part for part in reversed(kind.__mro__) if part.__name__ == "StandsAlone")
    if any(part.__name__ == name for part in _family(top)):
        raise ValueError(f"{where!r} must hold a {kind.__name__} (it holds a {name})")
    raise ValueError(
        f"{where!r} holds a {name}, which is not imported: import {module!r} first, or call "
        f"{name}.load"
    )


def _family(kind: type[nn.Module]) -> Iterator[type[nn.Module]]:
    yield kind
    for child in kind.__subclasses__():
        if not _stands_in(child):
            yield from _family(child)


def _stands_in(kind: type) -> bool:
    """Whether a class bears the name and place of a base: torch.export leaves such behind."""
    place = (kind.__module__, kind.__qualname__)
    return any((base.__module__, base.__qualname__) == place for base in kind.__mro__[1:])


def _check_own_parts(
    described: Mapping[str, Mapping[str, str]], given: Mapping[str, Any], where: str
) -> None:
    for name, part in described.items():
        if given.get(name) is None:
            raise ValueError(
                f"{name!r} must be given to load {where!r}: the model was built with one of its "
                f"own, {part['repr']}"
            )
    for name in given:
        if name not in described:
            raise ValueError(
                f"{name!r} must be left out to load {where!r}: the model has none of its own"
            )
