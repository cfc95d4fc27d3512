"""Warns of options that something else leaves without effect."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from mdsrec_pyg.nn.models.config import MDSRecConfig

ENCODER = ("num_layers", "num_heads", "dropout", "block", "center_mode")
VECTORS = (
    *ENCODER,
    *("num_conv_layers", "center_form", "add_id", "add_features", "add_centers"),
    *("temperature", "fusion", "vector_weight", "num_negatives", "num_components"),
)
VOTES = ("vote_hidden", "vote_positions", "vector_weight")


@dataclass(frozen=True)
class OwnParts:
    """Modules of the caller's own, which take the place of MDSRec's.

    Args:
        conv: A layer, or a callable that makes one.
        encoder: Makes a sequence encoder.
        fusion: Weighs the modalities.
    """

    conv: Any = None
    encoder: Callable[[], nn.Module] | None = None
    fusion: nn.Module | None = None

    def __post_init__(self) -> None:
        """Checks the kinds."""
        makes = callable(self.encoder) and not isinstance(self.encoder, nn.Module)
        rules = {
            "conv": (callable(self.conv), "a MessagePassing or a callable that makes one"),
            "encoder": (makes, "a callable that makes a module"),
            "fusion": (isinstance(self.fusion, nn.Module), "a module"),
        }
        for name, (fits, rule) in rules.items():
            value = getattr(self, name)
            if value is not None and not fits:
                raise ValueError(f"{name!r} must be {rule} (got {value!r})")


def without_effect(
    config: MDSRecConfig, own: OwnParts, centers: bool, relations: bool, features: bool = True
) -> dict[str, tuple[str, ...]]:
    """The options of MDSRec that do nothing beside the others, by what switches them off."""
    found: dict[str, tuple[str, ...]] = {}
    if not config.vectors:
        found["vectors=False"] = VECTORS
    if not relations:
        found["relations=None"] = VOTES
    if not centers:
        found["centers=None"] = ("center_form", "center_mode", "add_centers")
    if not features:
        found["graphs without features"] = ("add_features", "num_components")
    if own.encoder is not None:
        found["an 'encoder' of your own"] = ENCODER
    if own.fusion is not None:
        found["a 'fusion' of your own"] = ("temperature", "fusion")
    elif config.fusion == "mean":
        found["fusion='mean'"] = ("temperature",)
    if not config.add_features:
        found["add_features=False"] = ("num_components",)
    return found


def warn_without_effect(
    config: MDSRecConfig, own: OwnParts, centers: bool, relations: bool, features: bool
) -> None:
    """Warns of each option that is not at its default and has no effect.

    Args:
        config: The options.
        own: Modules of the caller's own.
        centers: Whether there are interest centers.
        relations: Whether there are learned relations.
        features: Whether the graphs carry features.
    """
    default = {field.name: field.default for field in fields(config)}
    for cause, names in without_effect(config, own, centers, relations, features).items():
        idle = [name for name in names if getattr(config, name) != default[name]]
        if cause == "vectors=False":
            idle += [part.name for part in fields(own) if getattr(own, part.name) is not None]
        if idle:
            warnings.warn(f"{idle} have no effect with {cause}", stacklevel=3)
