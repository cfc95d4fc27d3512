"""What MDSRec knows of the items before it sees a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass
class MDSRecItems:
    """Result of ``MDSRec.encode_items``.

    Args:
        embedding: Item vectors of each modality, [M, N, D]; None without vectors.
        center: What the attention sees of the items' interest centers, [M, N, D]; None without.
    """

    embedding: Tensor | None = None
    center: Tensor | None = None

    @property
    def table(self) -> Tensor:
        """One vector an item, the modalities side by side, [N, M * D]; no copy."""
        assert self.embedding is not None
        return self.embedding.transpose(0, 1).flatten(1)

    @cached_property
    def mean(self) -> Tensor:
        """The mean item vector of each modality, [M, D]; computed once, without a gradient."""
        assert self.embedding is not None
        return self.embedding.detach().mean(1)


def side_by_side(tables: Sequence[Tensor]) -> Tensor:
    """Tables of the modalities [N, D] as [M, N, D], laid out so that an item's rows adjoin."""
    return torch.stack(list(tables), dim=1).transpose(0, 1)
