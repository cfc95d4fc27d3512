"""Scores that come apart into inner products and a sparse rest, so that an index can help."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch

__all__ = ["DecomposedScores", "is_decomposed"]


@runtime_checkable
class DecomposedScores(Protocol):
    r"""A model whose scores are inner products plus a part that few items have.

    .. math::
        s(u, j) = s_{\text{sparse}}(u, j) + \beta \, \mathbf{h}_u^{\top} \mathbf{e}_j

    Any model that answers this can be searched by an index: the candidates are what the index finds
    by :math:`\mathbf{h}_u` and all items with a sparse part.

    Attributes:
        num_items: N.
        dense_weight: :math:`\beta`; ``None`` where the scores are something else.
    """

    num_items: int

    @property
    def dense_weight(self) -> float | None:
        r""":math:`\beta`."""

    def encode_users(self, batch: SequenceBatch, items: Any, newest_only: bool) -> Tensor:
        """User vectors [B, T, C]."""

    def item_table(self, items: Any) -> Tensor:
        """Item vectors [N, C]."""

    def sparse_scores(self, batch: SequenceBatch, items: Any) -> tuple[Tensor, Tensor]:
        """Keys ``row * N + item`` of all items with a sparse part, sorted, and the parts [P]."""


def is_decomposed(model: torch.nn.Module) -> bool:
    """Whether a model's scores come apart: it says so, and no subclass has changed them since."""
    if not isinstance(model, DecomposedScores) or model.dense_weight is None:
        return False
    order = type(model).__mro__

    def place(name: str) -> int:
        return next(i for i, kind in enumerate(order) if name in vars(kind))

    scores = [place(name) for name in ("score", "step_scores") if hasattr(model, name)]
    return place("sparse_scores") <= min(scores)
