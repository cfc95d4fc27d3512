"""What is wrong or hostile gets a clear 4xx in the one form of errors, and harms nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conftest import ask, ask_each, error_of, get, post

Make = Callable[..., Any]
JSON = {"Content-Type": "application/json"}


def raw(content: bytes, **headers: str) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/recommend", {"content": content, "headers": {**JSON, **headers}}


ARGUMENTS = [
    ({"k": 0}, "k", "'k' must be at least 1 (got 0)"),
    ({"k": 41}, "k", "'k' must be at most 40 (got 41)"),
    ({"k": 10**30}, "k", "'k' must be at most 40 (got a number of more than 18 digits)"),
    ({"k": 2.5}, "k", "'k' must be a whole number (got 2.5)"),
    ({"k": "3"}, "k", "'k' must be a whole number (got '3')"),
    ({"k": True}, "k", "'k' must be a whole number (got true)"),
    ({"k": None}, "k", "'k' must be a whole number (got null)"),
    ({"exclude_seen": 1}, "exclude_seen", "'exclude_seen' must be true or false (got 1)"),
    ({"history": "item-1"}, "history", "'history' must be a list (got 'item-1')"),
    ({"history": [["item-1"]]}, "history", "'history'[0] must be text or a whole number (got a "),
    (
        {"history": ["item-1", 1.5]},
        "history",
        "'history'[1] must be text or a whole number (got 1.",
    ),
    ({"history": [None]}, "history", "'history'[0] must be text or a whole number (got null)"),
    ({"history": [True]}, "history", "'history'[0] must be text or a whole number (got true)"),
    ({"history": ["x" * 1001]}, "history", "'history'[0] must have at most 1000 characters (got '"),
    ({"history": ["item-1"] * 6}, "history", "'history' must hold at most 5 items (got 6)"),
    ({"history": []}, "history", "'history' must hold an item (got no item;"),
    ({"history": ["no"]}, "history", "'history' must hold an item (got no item that the catalog"),
    ({"user": "user-1"}, "history", "give 'history' or 'user' (got both)"),
    ({"history": None}, "history", "give 'history' or 'user' (got neither)"),
    ({"modality": "smell"}, "modality", "'modality' must be among 'image', 'text' (got 'smell')"),
    (
        {"include": ["item-1", "gone"]},
        "include",
        "'include' must hold items of the catalog (got 'g",
    ),
    ({"exclude": ["item-1"] * 4}, "exclude", "'exclude' must hold at most 3 items (got 4)"),
    ({"hystory": []}, "hystory", "'hystory' is no argument: did you mean 'history'?"),
    ({"__proto__": {}}, "__proto__", "'__proto__' is no argument: there are history, user, k, "),
]


@pytest.mark.parametrize(("given", "argument", "message"), ARGUMENTS)
def test_a_wrong_argument_is_named(
    make_app: Make, given: dict[str, Any], argument: str, message: str
) -> None:
    app = make_app(max_history=5, max_items=3)
    (response,) = ask_each(app, post("/recommend", **{"history": ["item-1"], "k": 2, **given}))
    assert response.status_code == 422
    error = error_of(response)
    assert error["argument"] == argument
    assert error["message"].startswith(message)
    assert len(error["message"]) < 250


BODIES = [
    (raw(b"{"), 400, "the body must be JSON ("),
    (raw(b'{"history": ["item-1"], "k": NaN}'), 422, "'k' must be a whole number (got nan)"),
    (raw(b'{"history": [Infinity]}'), 422, "'history'[0] must be text or a whole number (got inf"),
    (raw(b'{"history": ["item-1"], "k": 1' + b"0" * 9000 + b"}"), 400, "the body must be JSON"),
    (raw(b"[" * 200_000), 400, "the body must be JSON"),
    (raw(b'{"history":' + b"[" * 50_000 + b"]" * 50_000 + b"}"), 400, "the body must be JSON"),
    (raw(b"\xff\xfe\x00"), 400, "the body must be JSON"),
    (raw(b'{"history": ["\\ud800"]}'), 422, "'history'[0] must be text in UTF-8 (got '\\ud800')"),
    (raw(b'{"history": ["item-1"], "\\ud800\\u001b": 1}'), 422, "the body must be a JSON"),
    (raw(b'{"' + b"n" * 9000 + b'": 1, "history": []}'), 422, "'nnnnnnnn"),
    (raw(b""), 422, "the body must be a JSON object"),
    (raw(b"null"), 422, "the body must be a JSON object (got null)"),
    (raw(b"[1, 2]"), 422, "the body must be a JSON object (got a list of 2)"),
    (raw(b'{"history": ["item-1"]}', **{"Content-Type": "text/plain"}), 415, "'Content-Type' must"),
    (raw(b"history=item-1", **{"Content-Type": "application/x-www-form-urlencoded"}), 415, "'Cont"),
    (raw(b"x" * 300_001), 413, "the body must have at most 300000 bytes"),
    (raw(b"{}", **{"Content-Length": "-1"}), 400, "'Content-Length' must be a whole number"),
    (raw(b"{}", **{"X-Bomb": "a" * 20_000}), 431, "the headers must have at most 16384 bytes"),
    (get("/recommend"), 405, "there is no GET /recommend: the path has POST"),
    (get("/nothing"), 404, "there is no GET /nothing: see /openapi.json"),
    (get("/items", limit=0), 422, "'limit' must be at least 1 (got '0')"),
    (get("/items", limit="x"), 422, "'limit' must be a whole number (got 'x')"),
    (get("/items", query="a" * 201), 422, "'query' must have at most 200 characters (got 'aaa"),
    (get("/items", q="a"), 422, "'q' is no argument: there are query, limit"),
    (post("/recommend", user="nobody"), 404, "'user' must be a known user (got 'nobody')"),
    (post("/similar", item="gone"), 404, "'item' must be an item of the catalog (got 'gone')"),
    (post("/similar"), 422, "'item' must be given"),
    (post("/similar", item="item-1", k=-(10**20)), 422, "'k' must be at least 1 (got a number of"),
    (post("/admin/reload"), 404, "there is no POST /admin/reload: see /openapi.json"),
]


@pytest.mark.parametrize(("request_", "status", "message"), BODIES)
def test_a_wrong_request_is_refused(
    make_app: Make, request_: Any, status: int, message: str
) -> None:
    app = make_app(max_body=300_000)
    wrong, right = ask_each(app, request_, post("/recommend", history=["item-1"], k=2))
    assert wrong.status_code == status
    assert error_of(wrong)["message"].startswith(message)
    assert len(wrong.content) < 500
    assert wrong.headers["x-content-type-options"] == "nosniff"
    assert right.status_code == 200


def test_of_many_wrong_items_the_first_is_enough() -> None:
    from pydantic import BaseModel, ValidationError

    from mdsrec_pyg.serving import schemas

    requests = {
        (model, name)
        for model in vars(schemas).values()
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
        if model.__name__.endswith("Request") and "list" in str(field.annotation)
    }
    assert {name for _, name in requests} == {"history", "include", "exclude", "by"}
    for model, name in requests:
        with pytest.raises(ValidationError) as caught:
            model.model_validate({name: [{}] * 1000})
        # Of a union each part, and an item that is missing.
        assert caught.value.error_count() <= 3, name


def test_a_body_without_a_length_is_bounded_while_it_comes(make_app: Make) -> None:
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 1000

    async def talk(client: Any) -> Any:
        return await client.post("/recommend", content=parts(), headers=JSON)

    response = ask(make_app(max_body=5000), talk)
    assert response.status_code == 413
    assert error_of(response)["message"] == "the body must have at most 5000 bytes"
    assert sent <= 7 + 8 * 5  # what comes after the answer was sent is dropped


def test_a_body_that_does_not_come_is_waited_for_in_vain(make_app: Make) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    async def talk(client: Any) -> Any:
        return await client.post("/recommend", content=parts(), headers=JSON)

    response = ask(make_app(timeout=0.1), talk)
    assert response.status_code == 408
    assert error_of(response)["message"] == "the body must come in within 0.1 s"


PICTURE = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Pictures, and what is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(PICTURE)
    (folder / "item-1.jpg").write_bytes(PICTURE)
    (folder / "item-2.svg").write_bytes(b"<svg><script>alert(1)</script></svg>")
    (folder / "item-3.jpg").write_bytes(b"<html><script>alert(1)</script></html>")
    (folder / "item-4.jpg").symlink_to(tmp_path / "secret.jpg")
    os.mkfifo(folder / "item-5.jpg")
    (folder / "stranger.jpg").write_bytes(PICTURE)
    return folder


def test_only_pictures_of_items_within_the_folder_are_served(make_app: Make, images: Path) -> None:
    names = [
        *(
            "item-1",
            "item-2",
            "item-3",
            "item-4",
            "item-5",
            "stranger",
            "../secret",
            "..%2Fsecret.jpg",
        ),
        *("%2e%2e/secret.jpg", "/etc/passwd", "item-1.jpg", "item-1%00", "....//secret"),
    ]
    app = make_app(images=str(images))
    first, *others = ask_each(app, *(get(f"/images/{name}") for name in names))
    assert (first.status_code, first.content) == (200, PICTURE)
    assert first.headers["content-type"] == "image/jpeg"
    assert first.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert [(name, r.status_code) for name, r in zip(names[1:], others, strict=True)] == [
        (name, 404) for name in names[1:]
    ]
    for response in others:
        error_of(response)


def test_cards_name_their_pictures(make_app: Make, images: Path) -> None:
    app = make_app(images=str(images))
    found, health = ask_each(app, get("/items", query="item-1", limit=1), get("/health"))
    assert found.json()["items"][0]["image"] == "/images/item-1"
    assert health.json()["images"]


def test_an_error_of_ours_says_nothing_of_the_inside(
    make_app: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    monkeypatch.setattr(
        type(app.state.service.current.retriever),
        "recommend",
        lambda *a, **b: dict[str, int]()["secret"],
    )
    (response,) = ask_each(app, post("/recommend", history=["item-1"]))
    assert response.status_code == 500
    assert error_of(response)["message"] == "the service failed to answer; its log says why"


def test_without_known_users_there_are_none(make_app: Make) -> None:
    app = make_app(data=None)
    found = ask_each(app, get("/users"), post("/recommend", user="user-1"))
    assert [response.status_code for response in found] == [404, 404]
    assert error_of(found[0])["message"].startswith("no users are known here")
