from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, GraphConv

from mdsrec_pyg.data import FeatureScaler, SequenceBatch
from mdsrec_pyg.graphs import InterestCenters
from mdsrec_pyg.nn import Relations


def dense_matrix(graph: Data) -> Tensor:
    source, target = graph.edge_index
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes)
    return matrix.index_put_((target, source), graph.edge_weight, accumulate=True)


def test_items_of_the_paper_are_propagated_ids(make_mdsrec, world) -> None:
    model = make_mdsrec(add_id=False, add_features=False, add_centers=False)
    items = model.encode_items()
    assert items.embedding.shape == (2, 24, 4)
    for m, graph in enumerate(world.graphs.values()):
        torch.testing.assert_close(items.embedding[m], dense_matrix(graph) @ model.ids.weight)
        torch.testing.assert_close(items.center[m], model.center[m](items.embedding[m]))


def test_items_with_everything_added(make_mdsrec, world) -> None:
    model = make_mdsrec()
    items = model.encode_items()
    for m, (graph, feature) in enumerate(
        zip(world.graphs.values(), world.features.values(), strict=True)
    ):
        propagated = dense_matrix(graph) @ model.ids.weight
        scaled = FeatureScaler().fit_transform(feature, world.train.item_counts() > 0).x
        projected = 0.1 * scaled @ model.project[m].linear.weight.t()
        center = model.center_shift[m].weight[model.labels[m]]
        want = propagated + model.ids.weight + projected + center
        torch.testing.assert_close(items.embedding[m], want)
        # Queries and keys see the centers of what the graph gave.
        torch.testing.assert_close(items.center[m], model.center[m](propagated))


def test_users_are_the_weighted_modalities(make_mdsrec, world) -> None:
    model, batch = make_mdsrec(), world.batch
    items = model.encode_items()
    users, weights = model.encode_modalities(batch, items, newest_only=False)
    assert users.shape == (*batch.item_id.shape, 2, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(batch.item_id.shape))
    for m in range(2):
        x, center = items.embedding[m][batch.item_id], items.center[m][batch.item_id]
        torch.testing.assert_close(users[:, :, m], model.encoder[m](x, batch.mask, center))
    torch.testing.assert_close(weights, model.fusion(users))
    last, last_weights = model.encode_modalities(batch, items)
    torch.testing.assert_close(last, users[:, -1:])
    torch.testing.assert_close(last_weights, weights[:, -1:])


def test_fused_score_is_the_weighted_sum_and_one_inner_product(make_mdsrec, world) -> None:
    model, batch = make_mdsrec(relations=None, history_bias=False), world.batch
    items = model.encode_items()
    users, weights = model.encode_modalities(batch, items)
    want = sum(weights[:, 0, m, None] * (users[:, 0, m] @ items.embedding[m].t()) for m in range(2))
    torch.testing.assert_close(model.score(batch, items), want)
    fused = model.encode_users(batch, items, newest_only=True)[:, 0]
    assert fused.shape == (len(batch), 8)
    torch.testing.assert_close(fused @ items.table.t(), want)


def test_score_is_votes_plus_weighted_vectors_with_their_biases(make_mdsrec, world) -> None:
    model, batch = make_mdsrec(vector_weight=0.7), world.batch
    items = model.encode_items()
    users = model.encode_users(batch, items, newest_only=True)
    vectors = model.history_bias(users @ items.table.t(), batch.item_id, batch.mask)[:, 0]
    votes = model.votes(batch)
    torch.testing.assert_close(model.score(batch, items), votes + 0.7 * vectors)
    alone = make_mdsrec(vectors=False)
    alone.votes.load_state_dict(model.votes.state_dict())
    torch.testing.assert_close(alone.score(batch), votes)


@pytest.mark.parametrize("positions", [1, 3])
def test_loss_is_the_sum_of_two_cross_entropies(make_mdsrec, world, positions: int) -> None:
    model, batch = make_mdsrec(vote_positions=positions), world.batch
    items = model.encode_items()
    votes = model.votes.loss(batch, positions)
    log_p = model.step_scores(batch, items, newest_only=False).log_softmax(-1)
    vectors = -log_p.gather(2, batch.target[..., None])[batch.target_mask].mean()
    torch.testing.assert_close(model.loss(batch), votes + vectors)


def test_later_items_and_padding_change_nothing_earlier(make_mdsrec, world) -> None:
    model, batch = make_mdsrec(), world.batch
    items, step = model.encode_items(), batch.item_id.size(1) - 2
    item_id = batch.item_id.clone()
    item_id[:, step] = (item_id[:, step] + 1) % 24
    changed = SequenceBatch(item_id, batch.mask, batch.user_id)
    before, after = (model.encode_users(b, items, newest_only=False) for b in (batch, changed))
    early = batch.mask.clone()
    early[:, step:] = False
    torch.testing.assert_close(after[early], before[early])
    assert (after - before).abs().amax(-1)[:, step][batch.mask[:, step]].min() > 1e-4
    padded = SequenceBatch(
        F.pad(batch.item_id, (2, 0), value=5), F.pad(batch.mask, (2, 0)), batch.user_id
    )
    torch.testing.assert_close(model.score(padded), model.score(batch))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"center_mode": "add", "center_form": "projected"},
        {"center_form": "embedding", "conv": lambda: GCNConv(4, 4), "num_conv_layers": 2},
        {"center_form": "soft", "fusion": "softmax"},
        {"centers": None},
        {"vectors": False},
        {"relations": None},
    ],
)
def test_every_parameter_gets_a_gradient(make_mdsrec, world, options: dict[str, Any]) -> None:
    model = make_mdsrec(**options).train()
    model.loss(world.batch).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_graphs_move_with_the_model_and_stay_out_of_the_weights(make_mdsrec) -> None:
    model = make_mdsrec()
    buffers = dict(model.named_buffers())
    assert {"edge_index_0", "edge_weight_1", "votes.tables.0.target", "labels"} <= set(buffers)
    assert not any("edge" in name or "precision" in name for name in model.state_dict())


def test_the_graphs_of_the_caller_are_left_alone(make_mdsrec, world) -> None:
    before = {name: graph.clone() for name, graph in world.graphs.items()}
    model = make_mdsrec().train()
    model.loss(world.batch)
    for name, graph in world.graphs.items():
        assert graph.keys() == before[name].keys()
        assert torch.equal(graph.edge_weight, before[name].edge_weight)


def test_a_graph_without_weights_counts_each_edge_once(make_mdsrec, world) -> None:
    bare = {name: graph.clone() for name, graph in world.graphs.items()}
    ones = {name: graph.clone() for name, graph in world.graphs.items()}
    for graph in bare.values():
        del graph.edge_weight
    for graph in ones.values():
        graph.edge_weight = torch.ones_like(graph.edge_weight)
    with pytest.warns(UserWarning, match=r"each edge counts one in \['image', 'text'\]"):
        without = make_mdsrec(graphs=bare).score(world.batch)
    torch.testing.assert_close(without, make_mdsrec(graphs=ones).score(world.batch))


def swap(parts: dict[str, Any]) -> dict[str, Any]:
    return {"text": parts["text"], "image": parts["image"]}


def small(graph: Data) -> Data:
    return Data(x=graph.x[:9], edge_index=torch.zeros(2, 1).long(), num_nodes=9)


def test_parts_that_do_not_belong_together_are_errors(make_mdsrec, world) -> None:
    image, text = world.graphs["image"], world.graphs["text"]
    few = InterestCenters(2, n_init=1).fit(torch.randn(9, 3))
    votes = world.relations.training_votes
    shrunk = Relations({"image": small(image), "text": small(text)}, votes, "exact")
    swapped = Relations(swap(world.relations.graphs), votes, "exact")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"graphs": {}}, "'graphs' must hold one item graph a modality"),
        ({"graphs": {"image": image, "text": small(text)}}, "'graphs' must all have the same"),
        ({"graphs": {"image": image}}, r"'centers' must have the modalities .*\['image'\]"),
        ({"centers": {"image": few, "audio": few}}, "'centers' must have the modalities of"),
        ({"centers": {"image": few, "text": few}}, "'centers' must have the items of 'graphs'"),
        ({"relations": swapped}, r"'relations' must have the modalities .*\['image', 'text'\]"),
        ({"relations": shrunk}, "'relations' must have the items of 'graphs'"),
        ({"relations": None, "vectors": False}, "'relations' is needed where vectors=False"),
        ({"conv": GraphConv(4, 4)}, "'conv' must be a callable that makes a layer"),
        (
            {"graphs": {"image": image, "text": Data(edge_index=text.edge_index, num_nodes=24)}},
            r"'graphs' must have the items' features as 'x', all or none \(none in \['text'\]\)",
        ),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            make_mdsrec(**options)


def test_without_centers_none_are_added(make_mdsrec, world) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # add_centers is on by default
        model = make_mdsrec(centers=None)
    assert model.config.add_centers
    assert model.center is model.center_shift is None
    items = model.encode_items()
    assert items.center is None
    for m, graph in enumerate(world.graphs.values()):
        ids = model.ids.weight
        want = dense_matrix(graph) @ ids + ids + model.project[m]()
        torch.testing.assert_close(items.embedding[m], want)


def test_centers_may_come_in_any_order(make_mdsrec, world) -> None:
    assert torch.equal(
        make_mdsrec(centers=swap(world.centers)).score(world.batch),
        make_mdsrec().score(world.batch),
    )


def test_one_layer_without_parameters_may_serve_all(make_mdsrec, world) -> None:
    from mdsrec_pyg.nn import LightGraphConv

    shared = make_mdsrec(conv=LightGraphConv())
    assert torch.equal(shared.score(world.batch), make_mdsrec().score(world.batch))


def test_one_modality(make_mdsrec, world) -> None:
    graphs = {"text": world.graphs["text"]}
    centers = {"text": world.centers["text"]}
    model = make_mdsrec(
        graphs=graphs, centers=centers, relations=None, conv=GraphConv(4, 4)
    ).train()
    model.loss(world.batch).backward()
    assert model.eval().score(world.batch).shape == (len(world.batch), 24)
