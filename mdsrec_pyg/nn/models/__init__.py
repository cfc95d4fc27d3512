"""The model and its baselines."""

from mdsrec_pyg.nn.models.base import Recommender, SequentialRecommender
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.models.ease import EASE
from mdsrec_pyg.nn.models.gru4rec import GRU4Rec
from mdsrec_pyg.nn.models.mdsrec import MDSRec
from mdsrec_pyg.nn.models.mdsrec_items import MDSRecItems
from mdsrec_pyg.nn.models.popularity import Popularity
from mdsrec_pyg.nn.models.presets import PRESETS, Preset, build_mdsrec
from mdsrec_pyg.nn.models.sasrec import SASRec
from mdsrec_pyg.nn.models.saving.card import ModelCard

__all__ = [
    "EASE",
    "PRESETS",
    "GRU4Rec",
    "MDSRec",
    "MDSRecConfig",
    "MDSRecItems",
    "ModelCard",
    "Popularity",
    "Preset",
    "Recommender",
    "SASRec",
    "SequentialRecommender",
    "build_mdsrec",
]
