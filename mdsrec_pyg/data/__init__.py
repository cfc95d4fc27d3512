"""Interactions, splits, sequence batches, features and item graphs."""

from mdsrec_pyg.data.cooccurrence import count_cooccurrences
from mdsrec_pyg.data.feature_scaler import FeatureReducer, FeatureScaler
from mdsrec_pyg.data.features import ModalFeature, standardize
from mdsrec_pyg.data.given_split import SPLIT_LABELS, given_split
from mdsrec_pyg.data.graph_cache import cached_item_graph
from mdsrec_pyg.data.interactions import Interactions, k_core
from mdsrec_pyg.data.item_graph import build_item_graph, product_graph
from mdsrec_pyg.data.learned_graph import learned_graph
from mdsrec_pyg.data.local_ridge import local_ridge_graph
from mdsrec_pyg.data.ridge import ridge_graph, ridge_memory, ridge_precision
from mdsrec_pyg.data.sequences import SequenceBatch, SequenceLoader
from mdsrec_pyg.data.splits import EvaluationSplit, Split, leave_last_out, temporal_split

__all__ = [
    "SPLIT_LABELS",
    "EvaluationSplit",
    "FeatureReducer",
    "FeatureScaler",
    "Interactions",
    "ModalFeature",
    "SequenceBatch",
    "SequenceLoader",
    "Split",
    "build_item_graph",
    "cached_item_graph",
    "count_cooccurrences",
    "given_split",
    "k_core",
    "learned_graph",
    "leave_last_out",
    "local_ridge_graph",
    "product_graph",
    "ridge_graph",
    "ridge_memory",
    "ridge_precision",
    "standardize",
    "temporal_split",
]
