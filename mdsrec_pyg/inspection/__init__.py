"""Look before you train: what a data set holds, whether its features help, and what is odd."""

from mdsrec_pyg.inspection.alignment import Alignment, feature_alignment
from mdsrec_pyg.inspection.counts import InteractionSummary, gini, summarize_interactions
from mdsrec_pyg.inspection.coverage import FeatureSummary, summarize_feature
from mdsrec_pyg.inspection.difference import ModalityDifference, modality_difference
from mdsrec_pyg.inspection.oddities import Oddities, find_oddities
from mdsrec_pyg.inspection.pairs import DisagreeingPair
from mdsrec_pyg.inspection.parts import SplitSummary, summarize_split
from mdsrec_pyg.inspection.plots import plot_inspection
from mdsrec_pyg.inspection.report import Inspection, inspect_dataset
from mdsrec_pyg.inspection.rules import find_warnings
from mdsrec_pyg.inspection.thresholds import DataWarning, Thresholds

__all__ = [
    "Alignment",
    "DataWarning",
    "DisagreeingPair",
    "FeatureSummary",
    "Inspection",
    "InteractionSummary",
    "ModalityDifference",
    "Oddities",
    "SplitSummary",
    "Thresholds",
    "feature_alignment",
    "find_oddities",
    "find_warnings",
    "gini",
    "inspect_dataset",
    "modality_difference",
    "plot_inspection",
    "summarize_feature",
    "summarize_interactions",
    "summarize_split",
]
