"""Item vectors: ID embeddings, projected features, graph-enriched items, interest centers."""

from mdsrec_pyg.nn.items.centers import CenterEncoder
from mdsrec_pyg.nn.items.features import FeatureProjection, ItemIDs
from mdsrec_pyg.nn.items.graph_encoder import ItemGraphEncoder

__all__ = ["CenterEncoder", "FeatureProjection", "ItemGraphEncoder", "ItemIDs"]
