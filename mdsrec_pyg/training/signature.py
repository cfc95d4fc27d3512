"""What a model was built from: its options and fixed tables, so that a checkpoint meets its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mdsrec_pyg.configs import Config

BLOCK = 2**22  # entries summed at once, in float64
# Rounding differs between numbers of threads and devices by some 1e-7; other data by far more.
TOLERANCE = 1e-5


def built_from(model: nn.Module) -> dict[str, Any]:
    """Options (a line each) and a signature of every table that is not stored with the weights."""
    return {"options": describe_options(model), "tables": describe_tables(model)}


def describe_options(model: nn.Module) -> str:
    """Classes and plain attributes of all submodules, one ``path.name = value`` a line."""
    lines = []
    for path, module in model.named_modules():
        lines.append(f"{path or 'model'} is a {type(module).__name__}")
        for name, value in sorted(vars(module).items()):
            if isinstance(value, Config):
                options = value.to_dict().items()
                lines += [
                    f"{path}.{name}.{key} = {option!r}".removeprefix(".") for key, option in options
                ]
            elif not name.startswith("_") and name != "training" and _plain(value):
                lines.append(f"{path}.{name} = {value!r}".removeprefix("."))
    return "\n".join(lines)


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(part) for part in value)
    return value is None or isinstance(value, (bool, int, float, str))


def describe_tables(model: nn.Module) -> dict[str, list[float]]:
    """Size and two sums of each buffer that is not part of the state (graphs, features, ...)."""
    stored = model.state_dict().keys()
    return {
        name: _signature(buffer) for name, buffer in model.named_buffers() if name not in stored
    }


def _signature(table: Tensor) -> list[float]:
    flat = table.detach().flatten()
    size = mixed = 0.0
    for start in range(0, len(flat), BLOCK):
        part = flat[start : start + BLOCK].cpu().double()
        position = torch.arange(start, start + len(part), dtype=torch.float64)
        size += float(part.abs().sum())
        mixed += float(part @ torch.cos(position))  # moves when entries change places
    return [float(len(flat)), size, mixed]


def check_built_from(saved: dict[str, Any], now: dict[str, Any], source: str) -> None:
    """Raises an error that names the first option or table in which two models differ.

    Args:
        saved: :func:`built_from` of the model that was trained; what it lacks is not compared.
        now: The same of the model at hand.
        source: Where ``saved`` comes from, for the message.
    """
    if "options" in saved and saved["options"] != now["options"]:
        before, after = first_difference(saved["options"], now["options"])
        raise ValueError(
            f"'model' must be built like the one in {source} (it had {before!r}, got {after!r})"
        )
    before, after = saved.get("tables", now["tables"]), now["tables"]
    for name in (*before, *after):
        if name not in before or name not in after or not _alike(before[name], after[name]):
            raise ValueError(
                f"'model' must be built from the data and options of the one in {source}: its "
                f"table {name!r} differs"
            )


def _alike(one: list[float], two: list[float]) -> bool:
    if one[0] != two[0]:
        return False
    tolerance = TOLERANCE * max(one[1], two[1])
    return all(abs(a - b) <= tolerance for a, b in zip(one[1:], two[1:], strict=True))


def first_difference(before: str, after: str) -> tuple[str, str]:
    """The first line in which two descriptions of several lines differ."""
    one, two = before.splitlines() or [""], after.splitlines() or [""]
    for a, b in zip(one, two, strict=False):
        if a != b:
            return a.strip(), b.strip()
    return f"{len(one)} lines", f"{len(two)} lines"
