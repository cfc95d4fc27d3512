"""Propagation layers, one a file, and how the weights of a graph reach any layer."""

from mdsrec_pyg.nn.conv.edge_inputs import edge_weight_use
from mdsrec_pyg.nn.conv.graph_edges import graph_edges
from mdsrec_pyg.nn.conv.light_graph_conv import LightGraphConv

__all__ = ["LightGraphConv", "edge_weight_use", "graph_edges"]
