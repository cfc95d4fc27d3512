"""/neighbors: the nearest items in each graph, and the edges between them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from fastapi.testclient import TestClient

from mdsrec_pyg.serving.catalog import Catalog
from mdsrec_pyg.serving.neighbors import neighborhood
from tests.serving.page.shop import HOSTILE_ID, ITEMS

IDS = [raw_id for raw_id, _ in ITEMS]


@pytest.fixture(scope="module")
def client(app: Any) -> TestClient:
    return TestClient(app)


def graph_of(retriever: Any, kind: str, place: int) -> torch.Tensor:
    """A graph of the model as a matrix: an item, and what it votes for or hears from."""
    model = retriever.model
    size = model.num_items
    if kind == "votes":
        index, weight = model.votes.edges(place)
    else:
        index = getattr(model, f"edge_index_{place}")
        weight = getattr(model, f"edge_weight_{place}")
    dense = torch.zeros(size, size)
    dense[index[0], index[1]] = weight.detach()
    dense.fill_diagonal_(0)
    return dense if kind == "votes" else dense.t()  # messages come from the neighbors


@pytest.mark.parametrize("kind", ["votes", "graph"])
def test_neighbors_and_edges_are_those_of_the_graph(
    client: TestClient, retriever: Any, kind: str
) -> None:
    answer = client.get("/neighbors", params={"item": "S5", "k": 6, "kind": kind}).json()
    assert answer["item"] == {"item": "S5", "text": "blue lamp", "image": "/images/S5"}
    assert answer["kind"] == kind
    assert answer["kinds"] == ["votes", "graph", "features", "vectors"]
    assert [graph["modality"] for graph in answer["graphs"]] == ["image", "text"]
    for place, graph in enumerate(answer["graphs"]):
        dense = graph_of(retriever, kind, place)
        row = dense[IDS.index("S5")]
        found = [IDS.index(item["item"]) for item in graph["items"]]
        assert [item["rank"] for item in graph["items"]] == list(range(1, len(found) + 1))
        assert len(found) == min(6, int((row > 0).sum()))
        scores = [item["score"] for item in graph["items"]]
        assert scores == pytest.approx(row.topk(len(found)).values.tolist())
        assert scores == pytest.approx(row[found].tolist())
        edges = {
            (i, j)
            for i, a in enumerate(found)
            for j, b in enumerate(found)
            if i < j and (dense[a, b] > 0 or dense[b, a] > 0)
        }
        assert edges
        assert {tuple(edge) for edge in graph["edges"]} == edges


@pytest.mark.parametrize("edge", [(1, 2), (2, 1)])
def test_an_edge_joins_two_items_whichever_way_it_goes(edge: tuple[int, int]) -> None:
    graph = torch.tensor([[edge[0], 3], [edge[1], 0]])
    model = SimpleNamespace(modalities=["image"], num_items=4, edge_index_0=graph)
    table = pd.DataFrame({"by": "item graph image", "item": [1, 2], "score": [0.9, 0.4]})
    answers = SimpleNamespace(
        model=model,
        device="cpu",
        similarities=["item graph image"],
        similar_items=lambda item, k, by: table,
    )
    catalog = Catalog(range(4))
    loaded: Any = SimpleNamespace(retriever=answers, catalog=catalog, modalities=["image"])
    found = neighborhood(loaded, "0")
    (drawn,) = found["graphs"]
    assert found["kinds"] == ["graph"]
    assert [item["item"] for item in drawn["items"]] == ["1", "2"]
    assert drawn["edges"] == [[0, 1]]


def test_the_first_kind_is_shown_unless_one_is_asked_for(client: TestClient) -> None:
    assert client.get("/neighbors", params={"item": "S5"}).json()["kind"] == "votes"
    features = client.get("/neighbors", params={"item": "S5", "kind": "features"}).json()
    vectors = client.get("/neighbors", params={"item": "S5", "kind": "vectors"}).json()
    assert [graph["modality"] for graph in features["graphs"]] == ["image", "text"]
    assert [graph["modality"] for graph in vectors["graphs"]] == [None]
    assert all(len(graph["items"]) == 8 for graph in [*features["graphs"], *vectors["graphs"]])
    # All blue things look alike, all lamps read alike.
    first = {item["text"] for item in features["graphs"][1]["items"][:3]}
    assert first == {"red lamp", "green lamp", "gray lamp"}


def test_an_odd_id_is_an_id(client: TestClient) -> None:
    answer = client.get("/neighbors", params={"item": HOSTILE_ID})
    assert answer.status_code == 200
    assert answer.json()["item"]["item"] == HOSTILE_ID


@pytest.mark.parametrize(
    ("asked", "status", "argument", "message"),
    [
        ({"item": "gone"}, 404, "item", "'item' must be an item of the catalog (got 'gone')"),
        ({"item": "S5", "k": 0}, 422, "k", "'k' must be at least 1 (got '0')"),
        ({"item": "S5", "k": 21}, 422, "k", "'k' must be at most 20 (got '21')"),
        (
            {"item": "S5", "kind": "taste"},
            422,
            "kind",
            "'kind' must be 'votes' or 'graph' or 'features' or 'vectors' (got 'taste')",
        ),
    ],
)
def test_what_is_asked_amiss_is_refused(
    client: TestClient, asked: dict[str, Any], status: int, argument: str, message: str
) -> None:
    answer = client.get("/neighbors", params=asked)
    assert answer.status_code == status
    assert answer.json() == {"error": {"argument": argument, "message": message}}


def test_a_model_without_graphs_says_so(plain_app: Any) -> None:
    client = TestClient(plain_app)
    answer = client.get("/neighbors", params={"item": "S5"}).json()
    assert answer["item"]["text"] == "blue lamp"
    assert (answer["kind"], answer["kinds"], answer["graphs"]) == (None, [], [])
    refused = client.get("/neighbors", params={"item": "S5", "kind": "votes"})
    assert refused.status_code == 422
    assert "the model has no graph" in refused.json()["error"]["message"]
