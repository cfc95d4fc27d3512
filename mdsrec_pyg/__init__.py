"""Multimodal sequential recommendation on PyTorch Geometric."""

from mdsrec_pyg._allocator import use_huge_pages
from mdsrec_pyg.ann import FaissIndex
from mdsrec_pyg.checkpoint import load_weights
from mdsrec_pyg.data import (
    EvaluationSplit,
    Interactions,
    ModalFeature,
    SequenceBatch,
    SequenceLoader,
    Split,
    build_item_graph,
    cached_item_graph,
    count_cooccurrences,
    k_core,
    leave_last_out,
    standardize,
    temporal_split,
)
from mdsrec_pyg.datasets import (
    FolderDataset,
    RecommendationDataset,
    SyntheticDataset,
    read_atomic,
)
from mdsrec_pyg.evaluation import (
    Evaluation,
    evaluate,
    metrics_by_popularity,
    per_user_metric,
    ranking_metrics,
    save_ranks,
    target_ranks,
)
from mdsrec_pyg.nn import (
    EASE,
    CenterEncoder,
    CrossFittedVotes,
    FeatureProjection,
    GRU4Rec,
    GumbelFusion,
    HistoryBias,
    InterestCenters,
    InterestTransformer,
    ItemGraphEncoder,
    ItemIDs,
    LeaveOneUserOut,
    LightGraphConv,
    MDSRec,
    MDSRecItems,
    Popularity,
    Recommender,
    RelationAttention,
    Relations,
    RelationVotes,
    SASRec,
    SequentialRecommender,
    fit_relations,
)
from mdsrec_pyg.presets import PRESETS, build_mdsrec
from mdsrec_pyg.recommend import recommend
from mdsrec_pyg.retrieval import Retriever
from mdsrec_pyg.seed import seed_everything
from mdsrec_pyg.trainer import History, Trainer

__version__ = "0.1.0"

use_huge_pages()

__all__ = [
    "EASE",
    "PRESETS",
    "CenterEncoder",
    "CrossFittedVotes",
    "Evaluation",
    "EvaluationSplit",
    "FaissIndex",
    "FeatureProjection",
    "FolderDataset",
    "GRU4Rec",
    "GumbelFusion",
    "History",
    "HistoryBias",
    "Interactions",
    "InterestCenters",
    "InterestTransformer",
    "ItemGraphEncoder",
    "ItemIDs",
    "LeaveOneUserOut",
    "LightGraphConv",
    "MDSRec",
    "MDSRecItems",
    "ModalFeature",
    "Popularity",
    "RecommendationDataset",
    "Recommender",
    "RelationAttention",
    "RelationVotes",
    "Relations",
    "Retriever",
    "SASRec",
    "SequenceBatch",
    "SequenceLoader",
    "SequentialRecommender",
    "Split",
    "SyntheticDataset",
    "Trainer",
    "__version__",
    "build_item_graph",
    "build_mdsrec",
    "cached_item_graph",
    "count_cooccurrences",
    "evaluate",
    "fit_relations",
    "k_core",
    "leave_last_out",
    "load_weights",
    "metrics_by_popularity",
    "per_user_metric",
    "ranking_metrics",
    "read_atomic",
    "recommend",
    "save_ranks",
    "seed_everything",
    "standardize",
    "target_ranks",
    "temporal_split",
]
