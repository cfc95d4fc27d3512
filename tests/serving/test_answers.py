"""What the service answers is what the Retriever answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mdsrec_pyg import EASE, FolderDataset, Popularity, Retriever, SASRec, SyntheticDataset
from mdsrec_pyg.retrieval import user_histories
from mdsrec_pyg.serving.schemas import (
    HealthModel,
    ItemsModel,
    RecommendAnswer,
    SimilarAnswer,
    UsersModel,
)
from tests.serving.conftest import ask_each, error_of, get, post

Make = Callable[..., Any]
HISTORIES = [["item-3", "item-5"], ["item-7"], ["item-1", "item-2", "item-9", "item-1"]]


def rows(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(item["item"], item["score"]) for item in answer["items"]]


def expected(table: pd.DataFrame) -> list[tuple[str, float]]:
    return list(zip(table["item"], table["score"].astype(float), strict=True))


@pytest.mark.parametrize(("k", "exclude_seen"), [(5, True), (40, False)])
def test_answers_are_those_of_the_retriever(
    make_app: Make, retriever: Retriever, k: int, exclude_seen: bool
) -> None:
    asked = [post("/recommend", history=h, k=k, exclude_seen=exclude_seen) for h in HISTORIES]
    answers = [response.json() for response in ask_each(make_app(batch_wait=0.05), *asked)]
    for history, answer in zip(HISTORIES, answers, strict=True):
        alone = retriever.recommend([history], k, exclude_seen=exclude_seen)
        found = rows(answer)
        assert [item for item, _ in found] == alone["item"].tolist()
        assert [score for _, score in found] == pytest.approx(alone["score"].tolist(), abs=1e-5)
        assert [item["rank"] for item in answer["items"]] == list(range(1, k + 1))
        assert (answer["source"], answer["dropped"], answer["user"]) == ("model", [], None)
        assert [card["item"] for card in answer["history"]] == history


def test_a_request_alone_has_the_very_scores(make_app: Make, retriever: Retriever) -> None:
    app = make_app(batch_size=1)
    asked = [post("/recommend", history=history, k=7) for history in HISTORIES]
    for history, response in zip(HISTORIES, ask_each(app, *asked), strict=True):
        assert rows(response.json()) == expected(
            retriever.recommend([history], 7, exclude_seen=True)
        )


def test_a_known_user_is_the_history(make_app: Make, retriever: Retriever, shop: Path) -> None:
    (response,) = ask_each(make_app(), post("/recommend", user="user-3", k=4))
    answer = response.json()
    history = user_histories(FolderDataset(shop), ["user-3"])["user-3"]
    assert [card["item"] for card in answer["history"]] == history
    assert answer["user"] == "user-3"
    assert rows(answer) == expected(retriever.recommend([history], 4, exclude_seen=True))


def test_users_of_a_file_take_the_place_of_the_data_set(
    make_app: Make, retriever: Retriever, tmp_path: Path
) -> None:
    table = {
        "user": ["b", "a", "b"],
        "item": ["item-9", "item-4", "item-2"],
        "timestamp": [20, 5, 10],
    }
    pd.DataFrame(table).to_csv(tmp_path / "h.csv", index=False)
    app = make_app(histories=str(tmp_path / "h.csv"))
    found = ask_each(app, post("/recommend", user="b", k=3), get("/users"), get("/health"))
    answer, users, health = (response.json() for response in found)
    assert [card["item"] for card in answer["history"]] == ["item-2", "item-9"]
    assert users == {"users": [{"user": "b", "items": 2}, {"user": "a", "items": 1}], "total": 2}
    assert health["users"] == 2


def test_unknown_items_are_dropped_and_named(make_app: Make, retriever: Retriever) -> None:
    asked = post("/recommend", history=["gone", "item-3", 7, "gone"], k=3)
    (response,) = ask_each(make_app(), asked)
    answer = response.json()
    assert answer["dropped"] == ["gone", "7"]
    assert rows(answer) == expected(retriever.recommend([["item-3"]], 3, exclude_seen=True))


def test_an_empty_history_gets_what_is_popular(make_app: Make, retriever: Retriever) -> None:
    app = make_app(retriever)
    asked = [post("/recommend", history=h, k=3) for h in ([], ["gone"])]
    for response in ask_each(app, *asked):
        answer = response.json()
        assert answer["source"] == "popularity"
        counts = pd.Series(retriever.item_counts)
        best = counts.sort_values(ascending=False, kind="stable").index[:3]
        assert [item for item, _ in rows(answer)] == [f"item-{i}" for i in best]


def test_why_holds_the_voters_of_explain(make_app: Make, retriever: Retriever) -> None:
    (response,) = ask_each(make_app(), post("/recommend", history=HISTORIES[0], k=3, explain=True))
    table = retriever.recommend([HISTORIES[0]], 3, exclude_seen=True, explain=True)
    for item, row in zip(response.json()["items"], table.to_dict("records"), strict=True):
        voters = item["why"]["voters"]
        assert [voter["item"] for voter in voters] == row["voter_items"]
        assert [voter["share"] for voter in voters] == pytest.approx(row["voter_shares"])
        assert [voter["modality"] for voter in voters] == row["voter_modalities"]
        assert sum(item["why"]["modalities"].values()) == pytest.approx(1)
        center = item["why"]["center"]
        assert (center["modality"], center["number"]) == (row["modality"], row["center"])
        assert 1 <= len(center["items"]) <= 5
    (response,) = ask_each(make_app(), post("/recommend", history=HISTORIES[0], k=3))
    assert {item["why"] for item in response.json()["items"]} == {None}


LIMITS: list[dict[str, Any]] = [
    {"include": ["item-11", "item-4", "item-30", "item-6"]},
    {"exclude": [f"item-{i}" for i in range(10, 36)]},
    {"include": ["item-11", "item-4", "item-30", "item-6"], "exclude": ["item-4"]},
    {"modality": "image"},
    {"modality": "text", "exclude": ["item-30"]},
]


def test_allow_lists_block_lists_and_modality_are_the_retriever_s(
    make_app: Make, retriever: Retriever
) -> None:
    history = ["item-3", "item-5"]
    asked = [post("/recommend", history=history, k=3, **limits) for limits in LIMITS]
    answers = ask_each(make_app(batch_size=1), *asked, post("/recommend", history=history, k=3))
    found = [rows(response.json()) for response in answers]
    for limits, own in zip(LIMITS, found, strict=False):
        assert own == expected(retriever.recommend([history], 3, exclude_seen=True, **limits))
    assert len({str(part) for part in found}) == 6  # each of them matters


def test_lists_of_a_batch_are_each_their_own(make_app: Make, retriever: Retriever) -> None:
    lists = [[f"item-{i}" for i in range(start, start + 5)] for start in (10, 20, 30)]
    app = make_app(batch_wait=0.1)
    asked = [post("/recommend", history=["item-1"], k=5, include=part) for part in lists]
    for part, response in zip(lists, ask_each(app, *asked), strict=True):
        assert {item for item, _ in rows(response.json())} == set(part)


def test_too_few_items_left_is_said_of_this_user_only(make_app: Make) -> None:
    most = [f"item-{i}" for i in range(38)]
    app = make_app(batch_wait=0.05)
    long, short = ask_each(
        app, post("/recommend", history=most, k=5), post("/recommend", history=["item-1"], k=5)
    )
    assert long.status_code == 422
    assert error_of(long) == {
        "argument": "k",
        "message": "'k' must not exceed the items left for a user (got k=5, but the user has seen "
        "all but 2 items)",
    }
    assert len(short.json()["items"]) == 5


def test_items_and_users_are_searched(make_app: Make, shop: Path) -> None:
    data = FolderDataset(shop)
    app = make_app()
    some, all_items, by_text, users, none = (
        response.json()
        for response in ask_each(
            app,
            get("/items", query="ITEM-1", limit=2),
            get("/items"),
            get("/items", query="Image INTEREST 1"),
            get("/users", query="user-5", limit=1),
            get("/items", query="nowhere"),
        )
    )
    assert [card["item"] for card in some["items"]] == ["item-1", "item-10"]
    assert some["total"] == 11
    assert (len(all_items["items"]), all_items["total"]) == (20, 40)
    assert data.item_text is not None
    assert by_text["total"] == sum("image interest 1" in text for text in data.item_text)
    assert users["users"] == [
        {"user": "user-5", "items": int((data.interactions.user_id == 5).sum())}
    ]
    assert none == {"items": [], "total": 0}


def test_health_says_what_is_served(make_app: Make, model_folder: Path) -> None:
    first, second = (
        ask_each(make_app(**options), get("/health"))[0].json() for options in ({}, {"max_k": 7})
    )
    assert first["status"] == "ok"
    assert first["model"].startswith("MDSRec-")
    assert (first["items"], first["users"], first["images"]) == (40, 60, False)
    assert first["modalities"] == ["image", "text"]
    assert (first["name"], first["limits"]) == ("shop", {"k": 40, "history": 1000})
    assert second["limits"]["k"] == 7


def test_answers_are_as_openapi_says(make_app: Make) -> None:
    asked: dict[Any, Any] = {
        RecommendAnswer: post("/recommend", history=["item-3"], k=3, explain=True),
        ItemsModel: get("/items"),
        UsersModel: get("/users"),
        HealthModel: get("/health"),
    }
    responses = ask_each(make_app(), *asked.values(), get("/openapi.json"))
    for model, response in zip(asked, responses, strict=False):
        model.model_validate(response.json(), strict=True, extra="forbid")
    described = responses[-1].json()
    assert {"/recommend", "/similar", "/items", "/users", "/health", "/metrics"} <= set(
        described["paths"]
    )
    assert "/admin/reload" not in described["paths"]
    schemas = described["components"]["schemas"]
    (example,) = schemas["RecommendRequest"]["examples"]
    assert set(example) <= set(schemas["RecommendRequest"]["properties"])
    for path in ("/recommend", "/similar"):
        assert {"200", "404", "422", "503"} <= set(described["paths"][path]["post"]["responses"])


def test_similar_items_are_those_of_the_retriever(make_app: Make, retriever: Retriever) -> None:
    asked = [post("/similar", item="item-7", k=4), post("/similar", item="item-7", by=["image"])]
    asked += [post("/similar", item="item-7", by=["smell"])]
    every, one, wrong = ask_each(make_app(), *asked)
    answer = every.json()
    SimilarAnswer.model_validate(answer, strict=True, extra="forbid")
    assert answer["item"]["item"] == "item-7"
    assert [part["by"] for part in answer["similar"]] == retriever.similarities
    table = retriever.similar_items("item-7", 4)
    for part in answer["similar"]:
        own = table[table["by"] == part["by"]]
        assert rows(part) == expected(own)
        assert [item["rank"] for item in part["items"]] == own["rank"].tolist()
    assert [(part["by"], len(part["items"])) for part in one.json()["similar"]] == [("image", 10)]
    assert wrong.status_code == 422
    assert error_of(wrong)["message"].startswith("'by' must be among 'image', ")


@pytest.mark.parametrize("ids", [None, range(100, 140), [f"i{i}" for i in range(40)]])
@pytest.mark.parametrize("kind", [EASE, SASRec, Popularity])
def test_any_model_with_any_ids_is_served(make_app: Make, kind: Any, ids: Any) -> None:
    train = SyntheticDataset(60, 40, seed=0).interactions
    model = SASRec(40, channels=8).eval() if kind is SASRec else kind(train)
    retriever = Retriever(model, None if ids is None else list(ids))
    item = 3 if ids is None else ids[3]
    plain, as_text, why, similar, by, around = ask_each(
        make_app(retriever, data=None, batch_size=1),
        post("/recommend", history=[item], k=3),
        post("/recommend", history=[str(item)], k=3),
        post("/recommend", history=[item], k=3, explain=True),
        post("/similar", item=item, k=2),
        post("/similar", item=item, k=2, by=["smell"]),
        get("/neighbors", item=str(item)),
    )
    table = retriever.recommend([[item]], 3, exclude_seen=True)
    table["item"] = table["item"].map(str)
    assert rows(plain.json()) == rows(as_text.json()) == expected(table)
    assert (why.status_code, error_of(why)["argument"]) == (422, "explain")
    names = [group["by"] for group in similar.json()["similar"]]
    assert names == retriever.similarities
    assert (by.status_code, error_of(by)["argument"]) == (422, "by")
    assert around.json()["kinds"] == names
