"""Multimodal sequential recommendation on PyTorch Geometric.

What the README uses is here; everything else is imported from its folder:
:mod:`mdsrec_pyg.data`, :mod:`~mdsrec_pyg.datasets`, :mod:`~mdsrec_pyg.encoders`,
:mod:`~mdsrec_pyg.graphs`, :mod:`~mdsrec_pyg.inspection`, :mod:`~mdsrec_pyg.nn`,
:mod:`~mdsrec_pyg.training`, :mod:`~mdsrec_pyg.evaluation`, :mod:`~mdsrec_pyg.retrieval`,
:mod:`~mdsrec_pyg.export`.
A name is imported when it is first used, so that a program which needs none of the models, such as
``mdsrec --help``, does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mdsrec_pyg.version import __version__

if TYPE_CHECKING:
    from mdsrec_pyg.data import Interactions, ModalFeature, leave_last_out, temporal_split
    from mdsrec_pyg.datasets import FolderDataset, SyntheticDataset
    from mdsrec_pyg.evaluation import evaluate
    from mdsrec_pyg.graphs import build_item_graph
    from mdsrec_pyg.nn import (
        EASE,
        GRU4Rec,
        LightGraphConv,
        MDSRec,
        Popularity,
        SASRec,
        build_mdsrec,
    )
    from mdsrec_pyg.retrieval import Retriever, recommend
    from mdsrec_pyg.seed import seed_everything
    from mdsrec_pyg.training import Trainer

#: Where each exported name comes from.
_HOMES = {
    "data": ("Interactions", "ModalFeature", "leave_last_out", "temporal_split"),
    "datasets": ("FolderDataset", "SyntheticDataset"),
    "evaluation": ("evaluate",),
    "graphs": ("build_item_graph",),
    "nn": (
        "EASE",
        "GRU4Rec",
        "LightGraphConv",
        "MDSRec",
        "Popularity",
        "SASRec",
        "build_mdsrec",
    ),
    "retrieval": ("Retriever", "recommend"),
    "seed": ("seed_everything",),
    "training": ("Trainer",),
}
_FOLDERS = (*_HOMES, "encoders", "export", "inspection", "io", "memory")

__all__ = [
    "EASE",
    "FolderDataset",
    "GRU4Rec",
    "Interactions",
    "LightGraphConv",
    "MDSRec",
    "ModalFeature",
    "Popularity",
    "Retriever",
    "SASRec",
    "SyntheticDataset",
    "Trainer",
    "__version__",
    "build_item_graph",
    "build_mdsrec",
    "evaluate",
    "leave_last_out",
    "recommend",
    "seed_everything",
    "temporal_split",
]


def __getattr__(name: str) -> Any:
    """Imports a name, or a folder, when it is first asked for."""
    if name in _FOLDERS:
        return importlib.import_module(f"mdsrec_pyg.{name}")
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"mdsrec_pyg.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'mdsrec_pyg' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The exported names, imported or not."""
    return sorted({*globals(), *__all__, *_FOLDERS})
