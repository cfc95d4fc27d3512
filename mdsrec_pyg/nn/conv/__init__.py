"""Propagation layers, one a file."""

from mdsrec_pyg.nn.conv.light_graph_conv import LightGraphConv

__all__ = ["LightGraphConv"]
