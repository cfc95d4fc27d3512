"""MDSRec as one of its modalities alone sees it."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mdsrec_pyg.nn.mode import scoring_copy
from mdsrec_pyg.nn.votes.edge_table import EdgeTable

__all__ = ["check_modality", "one_modality"]

M = TypeVar("M", bound=nn.Module)


class OneWeight(nn.Module):
    """Weights of a fusion, zero but for one modality.

    Args:
        fusion: Weighs user vectors ``[*, M, D]`` by ``[*, M]``.
        modality: The one that keeps its weight.
    """

    def __init__(self, fusion: nn.Module, modality: int) -> None:
        super().__init__()
        self.fusion, self.modality = fusion, modality

    def forward(self, users: Tensor) -> Tensor:
        """Weights ``[*, M]``."""
        weights: Tensor = self.fusion(users)
        kept = torch.zeros_like(weights)
        kept[..., self.modality] = weights[..., self.modality]
        return kept


def check_modality(model: Any, modality: str) -> int:
    """Place of a modality among those of the model.

    Raises:
        ValueError: The model has no modalities, or none of this name.
    """
    names = getattr(model, "modalities", None)
    parts = [getattr(model, name, None) for name in ("votes", "fusion")]
    if not names or not any(isinstance(part, nn.Module) for part in parts):
        raise ValueError(
            f"'modality' needs a model of several modalities, such as MDSRec (got "
            f"{modality!r} and {type(model).__name__})"
        )
    if modality not in names:
        raise ValueError(
            f"'modality' must be one of {', '.join(map(repr, names))} (got {modality!r})"
        )
    return int(list(names).index(modality))


def one_modality(model: M, modality: str) -> M:
    r"""The model with the votes and the vectors of one modality only, as another object.

    What the other modalities add to a score is taken away; what this one adds stays as it is: its
    votes go through the same :class:`~mdsrec_pyg.nn.VoteFusion`, beside none of the others, and
    its vectors keep their weight :math:`w_{u,m}`. The history bias stays. All tensors are shared
    with the model, and so is what its ``encode_items`` returns.

    Args:
        model: An MDSRec.
        modality: Name of the modality.

    Raises:
        ValueError: The model has no modalities, or none of this name.
    """
    place = check_modality(model, modality)
    own: Any = scoring_copy(model, own_weights=False)
    own.only_modality = place
    if isinstance(getattr(own, "votes", None), nn.Module):
        tables = own.votes.tables
        own.votes.tables = nn.ModuleList(
            table if m == place else _no_edges(table) for m, table in enumerate(tables)
        )
    if isinstance(getattr(own, "fusion", None), nn.Module):
        own.fusion = OneWeight(own.fusion, place)
    found: M = own.eval()
    return found


def _no_edges(table: Any) -> EdgeTable:
    """A table of as many voters without an edge; it takes no memory."""
    size = len(table.target)
    empty = EdgeTable(table.target[:1, :1], torch.zeros_like(table.weight[:1, :1]))
    empty.target, empty.weight = empty.target.expand(size, 1), empty.weight.expand(size, 1)
    return empty
