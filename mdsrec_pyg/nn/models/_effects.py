"""Warns of options that something else leaves without effect."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

ENCODER = ("num_layers", "num_heads", "dropout", "center_mode")
VECTORS = (
    *ENCODER,
    *("conv", "num_conv_layers", "center_form", "add_id", "add_features", "add_centers"),
    *("encoder", "temperature", "fusion", "vector_weight", "num_negatives"),
)
VOTES = ("vote_interests", "vote_dropout", "vote_positions", "vector_weight")


def without_effect(options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The options of MDSRec that do nothing beside these others, by what switches them off."""
    found: dict[str, tuple[str, ...]] = {}
    if not options["vectors"]:
        found["vectors=False"] = VECTORS
    if options["relations"] is None:
        found["relations=None"] = VOTES
    elif not options["vote_interests"]:
        found["vote_interests=False"] = ("vote_dropout",)
    if options["centers"] is None:
        found["centers=None"] = ("center_form", "center_mode")
    if options["encoder"] is not None:
        found["an 'encoder' of your own"] = ENCODER
    if isinstance(options["fusion"], nn.Module) or options["fusion"] == "mean":
        found["this 'fusion'"] = ("temperature",)
    return found


def warn_without_effect(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Warns of each option that is not at its default and has no effect.

    Args:
        function: Brings the defaults.
        options: What it was called with, by name; further options under ``kwargs``.
    """
    parameters = inspect.signature(function).parameters
    given = {**options, **options.get("kwargs", {})}
    default = {name: parameter.default for name, parameter in parameters.items()}
    for cause, names in without_effect(given).items():
        idle = [name for name in names if given.get(name) != default.get(name)]
        if idle:
            warnings.warn(f"{idle} have no effect with {cause}", stacklevel=3)
