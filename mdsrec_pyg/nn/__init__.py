"""Layers, losses and models."""

from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.fusion import GumbelFusion
from mdsrec_pyg.nn.history_bias import HistoryBias
from mdsrec_pyg.nn.items.centers import CenterEncoder
from mdsrec_pyg.nn.items.features import FeatureProjection, ItemIDs
from mdsrec_pyg.nn.items.graph_encoder import ItemGraphEncoder
from mdsrec_pyg.nn.losses import SampledCandidates, full_cross_entropy
from mdsrec_pyg.nn.models import (
    EASE,
    PRESETS,
    GRU4Rec,
    MDSRec,
    MDSRecConfig,
    MDSRecItems,
    ModelCard,
    Popularity,
    Preset,
    Recommender,
    SASRec,
    SequentialRecommender,
    build_mdsrec,
)
from mdsrec_pyg.nn.sequence_encoder import InterestTransformer
from mdsrec_pyg.nn.votes.config import RelationsConfig
from mdsrec_pyg.nn.votes.cross_fitted import CrossFittedVotes
from mdsrec_pyg.nn.votes.fit import Relations, fit_relations
from mdsrec_pyg.nn.votes.fusion import VoteFusion
from mdsrec_pyg.nn.votes.leave_one_user_out import LeaveOneUserOut
from mdsrec_pyg.nn.votes.scores import RelationVotes
from mdsrec_pyg.nn.votes.weights import RidgeWeights

__all__ = [
    "EASE",
    "PRESETS",
    "CenterEncoder",
    "CrossFittedVotes",
    "FeatureProjection",
    "GRU4Rec",
    "GumbelFusion",
    "HistoryBias",
    "InterestTransformer",
    "ItemGraphEncoder",
    "ItemIDs",
    "LeaveOneUserOut",
    "LightGraphConv",
    "MDSRec",
    "MDSRecConfig",
    "MDSRecItems",
    "ModelCard",
    "Popularity",
    "Preset",
    "Recommender",
    "RelationVotes",
    "Relations",
    "RelationsConfig",
    "RidgeWeights",
    "SASRec",
    "SampledCandidates",
    "SequentialRecommender",
    "VoteFusion",
    "build_mdsrec",
    "fit_relations",
    "full_cross_entropy",
]
