"""Layers, losses and models."""

from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.fusion import GumbelFusion
from mdsrec_pyg.nn.history_bias import HistoryBias
from mdsrec_pyg.nn.interest_centers import CenterEncoder, InterestCenters
from mdsrec_pyg.nn.item_encoder import ItemGraphEncoder
from mdsrec_pyg.nn.item_features import FeatureProjection, ItemIDs
from mdsrec_pyg.nn.losses import SampledCandidates, full_cross_entropy
from mdsrec_pyg.nn.models import (
    EASE,
    GRU4Rec,
    MDSRec,
    MDSRecItems,
    Popularity,
    Recommender,
    SASRec,
    SequentialRecommender,
)
from mdsrec_pyg.nn.relation_attention import RelationAttention
from mdsrec_pyg.nn.relation_votes import RelationVotes
from mdsrec_pyg.nn.relations import Relations, fit_relations
from mdsrec_pyg.nn.sequence_encoder import InterestTransformer
from mdsrec_pyg.nn.votes import CrossFittedVotes, LeaveOneUserOut

__all__ = [
    "EASE",
    "CenterEncoder",
    "CrossFittedVotes",
    "FeatureProjection",
    "GRU4Rec",
    "GumbelFusion",
    "HistoryBias",
    "InterestCenters",
    "InterestTransformer",
    "ItemGraphEncoder",
    "ItemIDs",
    "LeaveOneUserOut",
    "LightGraphConv",
    "MDSRec",
    "MDSRecItems",
    "Popularity",
    "Recommender",
    "RelationAttention",
    "RelationVotes",
    "Relations",
    "SASRec",
    "SampledCandidates",
    "SequentialRecommender",
    "fit_relations",
    "full_cross_entropy",
]
