"""Multimodal sequential recommendation on PyTorch Geometric.

What the README uses is here; everything else is imported from its folder:
:mod:`mdsrec_pyg.data`, :mod:`~mdsrec_pyg.datasets`, :mod:`~mdsrec_pyg.encoders`,
:mod:`~mdsrec_pyg.graphs`, :mod:`~mdsrec_pyg.inspection`, :mod:`~mdsrec_pyg.nn`,
:mod:`~mdsrec_pyg.training`, :mod:`~mdsrec_pyg.evaluation`, :mod:`~mdsrec_pyg.retrieval`.
"""

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
from mdsrec_pyg.version import __version__

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
