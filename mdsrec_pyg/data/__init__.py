"""Interactions, splits, sequence batches and features."""

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.given_split import SPLIT_LABELS, given_split
from mdsrec_pyg.data.interactions import Interactions, k_core
from mdsrec_pyg.data.scaling import FeatureReducer, FeatureScaler
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
    "given_split",
    "k_core",
    "leave_last_out",
    "temporal_split",
]
