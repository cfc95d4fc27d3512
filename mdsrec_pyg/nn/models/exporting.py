"""From a model to a program that needs none of this library."""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch
from torch import nn

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.export.check import Histories, padded, random_histories
from mdsrec_pyg.export.folder import write_export
from mdsrec_pyg.export.formats import NotExportableError, check_format
from mdsrec_pyg.export.program import Program
from mdsrec_pyg.nn.mode import scoring_copy, uncompiled
from mdsrec_pyg.nn.models.dense import OwnScores

__all__ = ["export_model"]


def export_model(
    model: Any, folder: str | PathLike[str], format: str, k: int, exclude_seen: bool
) -> dict[str, Any]:
    """Writes a model as a program; see :meth:`mdsrec_pyg.nn.Recommender.export`."""
    check_format(format)
    twin = scoring_copy(uncompiled(model), torch.device("cpu"), own_weights=False)
    name = type(twin).__name__
    with torch.no_grad():
        items = twin.encode_items()
        form = form_of(type(twin))(twin, items)
        program = Program(form, twin.num_items, k, exclude_seen).eval()
        histories = _histories(twin, items, isinstance(form, OwnScores))
    ids = None if twin.item_ids is None else twin.item_ids.tolist()
    about = {"model": name, "num_items": twin.num_items, "max_length": twin.max_length}
    try:
        return write_export(program, folder, format, about=about, item_ids=ids, histories=histories)
    except NotExportableError as error:
        raise ValueError(f"{_culprit(twin)}: {error}") from error


def form_of(kind: type[Any]) -> type[nn.Module]:
    """What a model is exported as: its ``export_form``, unless it scores otherwise since."""

    def place(method: str) -> int:
        found = (i for i, part in enumerate(kind.__mro__) if method in vars(part))
        return next(found, len(kind.__mro__))

    form: type[nn.Module] = kind.export_form
    own = min(place("score"), place("step_scores"))
    return form if place("export_form") <= own else OwnScores


def _histories(model: Any, items: Any, newest_only: bool) -> Histories:
    """Some that are longer than what the model reads, where it knows of older items."""
    longest = model.max_length if newest_only else model.max_length + 3
    asked = random_histories(model.num_items, longest)
    batch = SequenceBatch.from_histories(asked, model.max_length)
    return Histories(*padded(asked), model.score(batch, items).numpy())


def _culprit(model: Any) -> str:
    """What cannot be exported: a module of the caller's own, or the model."""
    for name, part in model.own_parts.items():
        if name != "conv" and not _can_be_traced(model, name):  # layers are in the item vectors
            return (
                f"'{name}' must be a module that torch.export can trace, for a model to be "
                f"exported (got {part['class']})"
            )
    return f"{type(model).__name__} cannot be exported"


def _can_be_traced(model: Any, name: str) -> bool:
    """Whether a part alone can be exported."""
    channels, length = model.config.channels, model.max_length
    batch = torch.export.Dim("batch", min=1)
    x = torch.zeros(3, length, channels)
    if name == "encoder":
        part, inputs = model.encoder[0], [x, torch.ones(3, length, dtype=torch.bool)]
        inputs += [] if model.center is None else [x]
    else:
        part, inputs = model.fusion, [torch.zeros(3, 1, len(model.modalities), channels)]
    try:
        torch.export.export(part, tuple(inputs), dynamic_shapes=tuple({0: batch} for _ in inputs))
    except Exception:  # whichever: the part is what cannot be traced
        return False
    return True
