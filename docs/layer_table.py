"""Writes layers_table.md: how the weights of an item graph reach each layer of PyG.

    python docs/layer_table.py

Every class of ``torch_geometric.nn.conv`` is made with the arguments below and handed to
``ItemGraphEncoder``; what happens is the table. tests/nn/conv/test_layer_table.py runs the same.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import torch
import torch_geometric
import torch_geometric.nn.conv as pyg
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.nn import ItemGraphEncoder, LightGraphConv
from mdsrec_pyg.nn.conv.edge_inputs import edge_inputs

TABLE = Path(__file__).with_name("layers_table.md")
MISSING = "needs a package"
D, N = 8, 12

#: Arguments of each layer of PyG, as one would write them; MessagePassing is only their base.
ARGUMENTS: dict[str, str] = {
    "SimpleConv": "",
    "GCNConv": "D, D",
    "ChebConv": "D, D, 2",
    "SAGEConv": "D, D",
    "CuGraphSAGEConv": "D, D",
    "GraphConv": "D, D",
    "GravNetConv": "D, D, 2, 4, 3",
    "GatedGraphConv": "D, 2",
    "ResGatedGraphConv": "D, D, edge_dim=1",
    "GATConv": "D, D, edge_dim=1",
    "CuGraphGATConv": "D, D",
    "FusedGATConv": "D, D, add_self_loops=False",
    "GATv2Conv": "D, D, edge_dim=1",
    "TransformerConv": "D, D, edge_dim=1",
    "AGNNConv": "",
    "TAGConv": "D, D",
    "GINConv": "Linear(D, D)",
    "GINEConv": "Linear(D, D), edge_dim=1",
    "ARMAConv": "D, D",
    "SGConv": "D, D",
    "SSGConv": "D, D, 0.1",
    "APPNP": "2, 0.1",
    "MFConv": "D, D",
    "RGCNConv": "D, D, 2",
    "FastRGCNConv": "D, D, 2",
    "CuGraphRGCNConv": "D, D, 2",
    "RGATConv": "D, D, 2, edge_dim=1",
    "SignedConv": "D, D, True",
    "DNAConv": "D",
    "PointNetConv": "",
    "GMMConv": "D, D, 1, 2",
    "SplineConv": "D, D, 1, 3",
    "NNConv": "D, D, Linear(1, D * D)",
    "CGConv": "D, 1",
    "EdgeConv": "Linear(2 * D, D)",
    "DynamicEdgeConv": "Linear(2 * D, D), 2",
    "XConv": "D, D, 3, 4",
    "PPFConv": "",
    "FeaStConv": "D, D",
    "PointTransformerConv": "D, D",
    "HypergraphConv": "D, D",
    "LEConv": "D, D",
    "PNAConv": 'D, D, ["mean", "max"], ["identity", "amplification"], degrees, edge_dim=1',
    "ClusterGCNConv": "D, D",
    "GENConv": "D, D, edge_dim=1",
    "GCN2Conv": "D, 0.1",
    "PANConv": "D, D, 2",
    "WLConv": "",
    "WLConvContinuous": "",
    "FiLMConv": "D, D",
    "SuperGATConv": "D, D",
    "FAConv": "D",
    "EGConv": "D, D, num_heads=4",
    "PDNConv": "D, D, 1, 4",
    "GeneralConv": "D, D, in_edge_channels=1",
    "HGTConv": 'D, D, (["item"], [("item", "to", "item")])',
    "HEATConv": "D, D, 1, 1, 2, 1, 2",
    "HeteroConv": '{("item", "to", "item"): GCNConv(D, D)}',
    "HANConv": 'D, D, (["item"], [("item", "to", "item")])',
    "LGConv": "",
    "PointGNNConv": "Linear(D, 3), Linear(D + 3, D), Linear(D, D)",
    "GPSConv": "D, GCNConv(D, D), heads=2",
    "AntiSymmetricConv": "D",
    "DirGNNConv": "GraphConv(D, D)",
    "MixHopConv": "D, D, [1]",
    "MeshCNNConv": "D, D",
}
_NAMES = {"D": D, "Linear": nn.Linear, "degrees": torch.ones(N, dtype=torch.long)}


class Outcome(NamedTuple):
    """What became of one layer."""

    weights: str
    note: str


def outcome(name: str) -> Outcome:
    """Makes a layer, encodes items over two graphs that differ in their weights, and compares.

    Raises:
        AssertionError: A layer said to use the weights does not, or the other way round.
    """
    call = f"{name}({ARGUMENTS.get(name, '')})"
    try:
        conv = eval(call, {**vars(pyg), "LightGraphConv": LightGraphConv, **_NAMES})
    except ImportError as error:
        return Outcome(MISSING, f"`{call}`: {_line(error)}")
    graph, x = _graph()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            encoder = ItemGraphEncoder(conv=conv).eval()
            out = encoder(x, graph)
        except ImportError as error:
            return Outcome(MISSING, f"`{call}`: {_line(error)}")
        except ValueError as error:
            missing = "'SparseTensor' requires 'torch-sparse'" in str(error)
            return Outcome(MISSING if missing else "error", f"`{call}`: {_line(error)}")
    inputs = edge_inputs(conv, D)
    other = graph.clone()
    other.edge_weight = graph.edge_weight.flip(0)
    used = not torch.equal(out, encoder(x, other))
    warned = any("does not use the weights" in str(entry.message) for entry in caught)
    assert used is (inputs.use != "none"), f"{name}: {inputs}, but used is {used}"
    assert warned is not used, f"{name}: {inputs}, but warned is {warned}"
    if used:
        return Outcome(f"`{inputs.use}`", f"`{call}`")
    return Outcome("not used, with a warning", f"`{call}`: {_line(inputs.reason)}")


def _graph() -> tuple[Data, Tensor]:
    generator = torch.Generator().manual_seed(0)
    edge_index = (torch.rand(N, N, generator=generator) < 0.4).fill_diagonal_(False).nonzero().t()
    weight = torch.rand(edge_index.size(1), generator=generator)
    x = torch.randn(N, D, generator=generator)
    return Data(edge_index=edge_index.contiguous(), edge_weight=weight, num_nodes=N), x


def _line(error: object) -> str:
    """The first clause; the advice after it is the same for all."""
    return " ".join(str(error).split("; ")[0].split()).replace("|", "\\|")


def rows() -> dict[str, str]:
    """One line of the table a layer: ours, and the classes of the installed PyG."""
    table = {}
    for name in ["LightGraphConv", *sorted(set(pyg.__all__) & set(ARGUMENTS))]:
        torch.manual_seed(0)
        weights, note = outcome(name)
        table[name] = f"| {name} | {weights} | {note} |"
    return table


def header() -> list[str]:
    """What stands above the rows; the versions say which notes can be compared."""
    versions = f"PyG {torch_geometric.__version__}, torch {torch.__version__.split('+')[0]}"
    return [
        f"Made by docs/layer_table.py with {versions}; D is the width of the items.",
        "",
        "| Layer | How the weights go in | Note |",
        "|---|---|---|",
    ]


if __name__ == "__main__":
    lines = [*header(), *rows().values()]
    with atomic_write(TABLE) as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"Wrote {TABLE.name}: {len(lines) - len(header())} layers")
