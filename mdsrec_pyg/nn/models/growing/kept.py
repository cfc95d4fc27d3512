"""What a model was built from: all that taking further items or newer interactions needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs.config import ProductConfig
from mdsrec_pyg.nn.votes.config import RelationsConfig

__all__ = ["BuiltFrom"]


@dataclass(frozen=True, eq=False)
class BuiltFrom:
    r"""What the graphs of a model were built from.

    In memory the features and the interactions are those that ``build_mdsrec`` was given, no
    copies. On disk they take :math:`4 \sum_m N F_m` bytes for the features, 4 an interaction and 8
    a user; users are numbered, and times are left out.

    Args:
        features: Features of each modality as they are, ``[N, F]``, of all items of the model;
            empty for a model without features.
        train: Interactions that the graphs were fitted on; over the first items of the model, where
            further ones were added since.
        graph: Options of the item graphs.
        relations: Options of the learned relations, with numbers for each modality; ``None``
            without.
        inverses: P of each modality in float64, over all items of the model, where it is kept;
            neither saved nor pickled.
    """

    features: dict[str, ModalFeature]
    train: Interactions
    graph: ProductConfig
    relations: RelationsConfig | None
    inverses: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> tuple[type[BuiltFrom], tuple[Any, ...]]:
        """Inverses are found again; they would be most of a pickle."""
        return BuiltFrom, (self.features, self.train, self.graph, self.relations)

    def over(self, num_items: int) -> Interactions:
        """The interactions over so many items, of which nobody has taken the last."""
        return replace(self.train, num_items=num_items)

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain JSON and tensors that :meth:`from_saved` reads."""
        options = {
            "modalities": list(self.features),
            "num_items": self.train.num_items,
            "graph": self.graph.to_dict(),
            "relations": None if self.relations is None else self.relations.to_dict(),
        }
        tensors = {
            "user_ptr": torch.from_numpy(self.train.user_ptr),
            "item_id": torch.from_numpy(self.train.item_id).int(),
        }
        for m, feature in enumerate(self.features.values()):
            tensors |= {f"x_{m}": feature.x, f"mask_{m}": feature.mask}
        return options, tensors

    @classmethod
    def from_saved(cls, options: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> BuiltFrom:
        """What :meth:`to_saved` has given."""
        ptr = tensors["user_ptr"].numpy()
        train = Interactions(
            user_id=np.repeat(np.arange(len(ptr) - 1), np.diff(ptr)),
            item_id=tensors["item_id"].numpy().astype(np.int64),
            timestamp=None,
            num_users=len(ptr) - 1,
            num_items=options["num_items"],
        )
        features = {
            name: ModalFeature(tensors[f"x_{m}"], tensors[f"mask_{m}"])
            for m, name in enumerate(options["modalities"])
        }
        relations = options["relations"]
        return cls(
            features,
            train,
            configure(ProductConfig(), options["graph"]),
            None if relations is None else configure(RelationsConfig(), relations),
        )
