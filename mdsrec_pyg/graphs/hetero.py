"""The item graphs of all modalities as one heterogeneous graph."""

from __future__ import annotations

from collections.abc import Mapping

from torch_geometric.data import Data, HeteroData

__all__ = ["to_hetero_data"]

_OWN = ("edge_index", "edge_weight", "edge_attr", "adj_t", "num_nodes")


def to_hetero_data(graphs: Mapping[str, Data]) -> HeteroData:
    """Puts item graphs over the same items into one graph with an edge type a modality.

    Items are one node type, ``item``; modality *m* gives the edges ``("item", m, "item")``, ready
    for :class:`~torch_geometric.nn.conv.HeteroConv` and :func:`~torch_geometric.nn.to_hetero`. A
    node type has one ``x``, which several modalities cannot share: the features stay apart as
    ``x_<modality>``, and every other attribute of a graph, such as ``mask``, likewise. Nothing is
    copied.

    Example:
        >>> data = to_hetero_data({"image": image_graph, "text": text_graph})
        >>> data["item"].x_image, data["item"].mask_text
        >>> data["item", "image", "item"].edge_index
        >>> conv = HeteroConv({edge_type: LightGraphConv() for edge_type in data.edge_types})
        >>> conv({"item": ids}, data.edge_index_dict, data.edge_weight_dict)["item"]

    Args:
        graphs: One item graph a modality, with ``edge_index`` and ``num_nodes``, or with ``adj_t``.
            The name of a modality must be an identifier without ``"__"``, which PyG's dictionaries
            keep for themselves.

    Returns:
        ``data["item"]`` with ``num_nodes`` and ``x_<modality>`` ``[N, F_m]``;
        ``data["item", <modality>, "item"]`` with ``edge_index`` ``[2, E_m]`` and ``edge_weight``
        ``[E_m]``, or whatever of ``edge_attr`` and ``adj_t`` the graph has.

    Raises:
        ValueError: No graph, a name that cannot be used, a graph without edges, or graphs of
            different items.
    """
    if not graphs:
        raise ValueError("'graphs' must hold one item graph a modality (got none)")
    sizes = {name: graph.num_nodes for name, graph in graphs.items()}
    if len(set(sizes.values())) > 1 or None in sizes.values():
        raise ValueError(f"'graphs' must all have the same items (got {sizes})")
    data = HeteroData()
    data["item"].num_nodes = next(iter(sizes.values()))
    for name, graph in graphs.items():
        if not name.isidentifier() or "__" in name:
            raise ValueError(
                f"'graphs' must have identifiers without '__' as names of modalities (got {name!r})"
            )
        if "edge_index" not in graph and "adj_t" not in graph:
            raise ValueError(
                f"'graphs' must have 'edge_index' or 'adj_t' ({name!r} has {sorted(graph.keys())})"
            )
        for key, value in graph.to_dict().items():
            if key not in _OWN:
                data["item"][f"{key}_{name}"] = value
            elif key != "num_nodes":
                data["item", name, "item"][key] = value
    return data
