"""What a model was built from: its options and fixed tables, so that a checkpoint meets its own."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from mdsrec_pyg.configs import Config

BLOCK = 2**22  # entries hashed or summed at once
GROUP, MOST_GROUPS = 32, 2**15  # entries that share two sums: more in a table of a million
# Measured between one and two threads: 1e-7 to 3e-6 of a group; other data differ by far more.
TOLERANCE = 1e-4


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


def describe_tables(model: nn.Module) -> dict[str, dict[str, Any]]:
    """A signature of each buffer that is not part of the state (graphs, features, ...).

    Integers and truth values have a hash of all entries. Numbers with a fraction differ in their
    last bits with the number of threads: they have two sums of each group of 32 entries (of more,
    beyond a million) instead, so that rows that change places and a row that is another are seen.
    """
    stored = model.state_dict().keys()
    return {
        name: _signature(buffer) for name, buffer in model.named_buffers() if name not in stored
    }


def _signature(table: Tensor) -> dict[str, Any]:
    found: dict[str, Any] = {"shape": list(table.shape), "dtype": str(table.dtype)}
    flat = table.detach().flatten()
    if table.is_floating_point():
        group = max(GROUP, -(-len(flat) // MOST_GROUPS))
        step = max(1, BLOCK // group) * group
        sums = [_sums(flat[i : i + step], group) for i in range(0, len(flat), step)]
        found["sums"] = torch.cat(sums) if sums else torch.zeros(0, 2)
        return found
    digest = hashlib.sha256()
    for start in range(0, len(flat), BLOCK):
        digest.update(flat[start : start + BLOCK].cpu().numpy().tobytes())
    found["sha256"] = digest.hexdigest()
    return found


def _sums(block: Tensor, group: int) -> Tensor:
    """Sum of the magnitudes and mixed sum of each group of entries ``[G, 2]``."""
    rows = nn.functional.pad(block.cpu().double(), (0, -len(block) % group)).view(-1, group)
    # It moves when entries change places, too.
    weight = torch.cos(torch.arange(1, group + 1, dtype=torch.float64))
    return torch.stack([rows.abs().sum(1), rows @ weight], 1).float()


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


def _alike(one: dict[str, Any], two: dict[str, Any]) -> bool:
    if {**one, "sums": None} != {**two, "sums": None}:
        return False
    if "sums" not in one:
        return True
    first, second = one["sums"].double(), two["sums"].double()
    size = torch.maximum(first, second)[:, :1]  # magnitudes of each group
    # Small entries may be the differences of large ones: those of a typical group count, too.
    return bool(((first - second).abs() <= TOLERANCE * (size + size.mean())).all())


def first_difference(before: str, after: str) -> tuple[str, str]:
    """The first line in which two descriptions of several lines differ."""
    one, two = before.splitlines() or [""], after.splitlines() or [""]
    for a, b in zip(one, two, strict=False):
        if a != b:
            return a.strip(), b.strip()
    return f"{len(one)} lines", f"{len(two)} lines"
