"""Full ranking of the catalog, metrics, and what a difference of two models is worth."""

from mdsrec_pyg.evaluation.metrics import metrics_by_popularity, per_user_metric, ranking_metrics
from mdsrec_pyg.evaluation.ranking import Evaluation, evaluate, save_ranks, target_ranks
from mdsrec_pyg.evaluation.significance import (
    PairedComparison,
    compare_paired,
    compare_with_all,
    difference_by_popularity,
    holm,
)

__all__ = [
    "Evaluation",
    "PairedComparison",
    "compare_paired",
    "compare_with_all",
    "difference_by_popularity",
    "evaluate",
    "holm",
    "metrics_by_popularity",
    "per_user_metric",
    "ranking_metrics",
    "save_ranks",
    "target_ranks",
]
