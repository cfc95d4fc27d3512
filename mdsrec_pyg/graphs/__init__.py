"""What is known of the items before a model is trained: relation graphs and interest centers."""

from mdsrec_pyg.graphs.build import build_item_graph
from mdsrec_pyg.graphs.cache import cached_item_graph
from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.graphs.config import ProductConfig, RidgeConfig, RidgeForm
from mdsrec_pyg.graphs.cooccurrence import count_cooccurrences
from mdsrec_pyg.graphs.growing import grow_precision
from mdsrec_pyg.graphs.hetero import to_hetero_data
from mdsrec_pyg.graphs.learned import learned_graph
from mdsrec_pyg.graphs.local_ridge import local_ridge_graph
from mdsrec_pyg.graphs.neighbor_votes import neighbor_votes
from mdsrec_pyg.graphs.product import product_graph
from mdsrec_pyg.graphs.ridge import ridge_graph, ridge_memory, ridge_precision

__all__ = [
    "InterestCenters",
    "ProductConfig",
    "RidgeConfig",
    "RidgeForm",
    "build_item_graph",
    "cached_item_graph",
    "count_cooccurrences",
    "grow_precision",
    "learned_graph",
    "local_ridge_graph",
    "neighbor_votes",
    "product_graph",
    "ridge_graph",
    "ridge_memory",
    "ridge_precision",
    "to_hetero_data",
]
