"""What MDSRec is built from is checked: each part of each graph, on its own and together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Data
from torch_geometric.nn import GPSConv, SAGEConv

from mdsrec_pyg.nn import Relations
from mdsrec_pyg.nn.models._inputs import check_conv, check_inputs


def with_change(graph: Data, change: Callable[[Data], object]) -> Data:
    graph = graph.clone()
    changed = change(graph)  # in place, or a new one
    return changed if isinstance(changed, Data) else graph


def weights_away(graph: Data) -> None:
    graph.edge_attr = graph.edge_weight[:, None]
    del graph.edge_weight


CHANGES: list[tuple[Callable[[Data], object], str]] = [
    (weights_away, r"as 'edge_weight' \[E\], .*'text' has \['edge_attr', "),
    (lambda g: g.__delattr__("edge_index"), r"must have 'edge_index' \[2, E\]"),
    (T.ToSparseTensor(layout=torch.sparse_csr), r"not as a matrix .*'text' has \['adj_t', "),
    (lambda g: setattr(g, "edge_weight", g.edge_weight[1:]), "one weight an edge"),
    (lambda g: setattr(g, "edge_weight", g.edge_weight[:, None]), "one weight an edge"),
    (lambda g: setattr(g, "edge_index", g.edge_index + 1), r"items 0..23 \('text' has 1 to 24"),
    (lambda g: setattr(g, "x", g.x[1:]), r"'text' has 23 rows for num_nodes=24"),
    (lambda g: setattr(g, "num_nodes", 25), r"same items \(got {'image': 24, 'text': 25}\)"),
    (lambda g: setattr(g, "x", g.x.to("meta")), r"on one device .*'text.x': 'meta'"),
    (lambda g: setattr(g, "edge_weight", g.edge_weight.to("meta")), "on one device"),
]


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_graphs_that_do_not_fit(world, change: Callable[[Data], object], message: str) -> None:
    graphs = dict(world.graphs)
    assert check_inputs(graphs, world.centers, world.relations, True) == 24
    graphs["text"] = with_change(graphs["text"], change)
    with pytest.raises(ValueError, match=message):
        check_inputs(graphs, world.centers, world.relations, True)


def test_relations_without_weights(world) -> None:
    graphs = {name: graph.clone() for name, graph in world.relations.graphs.items()}
    del graphs["text"].edge_weight
    relations = Relations(graphs, world.relations.training_votes, "exact")
    with pytest.raises(ValueError, match=r"'relations' must have weights .*\(none in \['text'\]\)"):
        check_inputs(world.graphs, world.centers, relations, True)


def test_one_layer_for_several_modalities() -> None:
    conv = GPSConv(8, SAGEConv(8, 8), heads=2)  # not a MessagePassing, but with parameters
    check_conv(conv, 1)
    with pytest.raises(ValueError, match="'conv' must be a callable that makes a layer"):
        check_conv(conv, 2)
