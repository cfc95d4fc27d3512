"""The model is swapped as a whole, and a folder that cannot be read swaps nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg import Retriever
from mdsrec_pyg.serving.logs import JsonLines, log_event
from tests.serving.conftest import ask, ask_each, error_of, get, post, save_model

Make = Callable[..., Any]


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A saved model of the test's own."""
    return Path(shutil.copytree(model_folder, tmp_path / "shop"))


def test_a_reload_answers_by_the_new_model(make_app: Make, folder: Path) -> None:
    app = make_app(folder, admin=True)

    async def talk(client: Any) -> Any:
        body = {"history": ["item-3", "item-5"], "k": 5}
        before = (await client.post("/recommend", json=body)).json()
        save_model(folder, seed=1)
        meanwhile = (await client.post("/recommend", json=body)).json()
        reloaded = (await client.post("/admin/reload", json={})).json()
        return before, meanwhile, reloaded, (await client.post("/recommend", json=body)).json()

    before, meanwhile, reloaded, after = ask(app, talk)
    assert before == meanwhile
    assert reloaded == {"status": "reloaded", "model": after["model"]}
    assert after["model"] != before["model"]
    table = Retriever.from_folder(folder).recommend([["item-3", "item-5"]], 5, exclude_seen=True)
    assert [item["score"] for item in after["items"]] == table["score"].tolist()


def test_requests_end_with_the_model_they_began_with(make_app: Make, folder: Path) -> None:
    app = make_app(folder, batch_wait=0.2)
    state = app.state.service
    old = state.current

    async def talk(client: Any) -> Any:
        body = {"history": ["item-3"], "k": 3}
        waiting = asyncio.ensure_future(client.post("/recommend", json=body))
        await asyncio.sleep(0.05)
        save_model(folder, seed=1)
        assert await asyncio.to_thread(state.reload)
        later = asyncio.ensure_future(client.post("/recommend", json=body))
        return (await waiting).json(), (await later).json()

    first, second = ask(app, talk)
    assert first["model"] == old.version
    assert second["model"] == state.current.version != old.version


def test_no_request_is_dropped_while_models_change(make_app: Make, folder: Path) -> None:
    app = make_app(folder)
    state = app.state.service

    async def talk(client: Any) -> list[Any]:
        done = threading.Event()

        def change() -> None:
            for seed in (1, 0, 1):
                save_model(folder, seed=seed)
                assert state.reload()
            done.set()

        changing = asyncio.ensure_future(asyncio.to_thread(change))
        found: list[Any] = []
        while not done.is_set() and len(found) < 3000:
            body = {"history": ["item-3"], "k": 3}
            asked = (client.post("/recommend", json=body) for _ in range(8))
            found += await asyncio.gather(*asked)
        await changing
        return found

    found = ask(app, talk)
    assert {response.status_code for response in found} == {200}
    answers = {json.dumps(response.json()["items"]) for response in found}
    assert len({response.json()["model"] for response in found}) == 2
    # Never a mixture of two models; in batches the last digits may differ.
    firsts = {tuple(item["item"] for item in json.loads(items)) for items in answers}
    assert len(firsts) <= 2


def test_a_reload_that_takes_long_goes_on_and_reaches_all(
    make_app: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(folder, admin=True, timeout=0.4)
    state, told, release = app.state.service, threading.Event(), threading.Event()
    state.tell_others = told.set
    monkeypatch.setattr("mdsrec_pyg.serving.state._try", lambda loaded: release.wait(10))

    async def talk(client: Any) -> Any:
        loading = await client.post("/admin/reload", json={})
        before = (await client.get("/health")).json()["reload"]
        release.set()
        assert await asyncio.to_thread(told.wait, 10)
        return loading, before, (await client.get("/health")).json()["reload"]

    loading, before, after = ask(app, talk)
    assert loading.status_code == 202
    assert loading.json() == {"status": "loading", "model": state.current.version}
    assert before is None
    assert after["ok"]


@pytest.mark.parametrize("broken", ["cut", "gone", "other"])
def test_a_broken_folder_keeps_the_old_model_and_says_so(
    make_app: Make, folder: Path, broken: str
) -> None:
    app = make_app(folder, admin=True)
    if broken == "cut":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-8])
    elif broken == "gone":
        shutil.rmtree(folder)
    else:
        (folder / "config.json").write_text("{}")

    async def talk(client: Any) -> Any:
        before = (await client.get("/health")).json()
        refused = await client.post("/admin/reload", json={})
        answer = await client.post("/recommend", json={"history": ["item-3"], "k": 3})
        return before, refused, answer, (await client.get("/health")).json()

    before, refused, answer, after = ask(app, talk)
    assert before["reload"] is None
    assert refused.status_code == 409
    assert error_of(refused)["message"].endswith(f"; {before['model']} stays")
    assert (answer.status_code, answer.json()["model"]) == (200, before["model"])
    assert not after["reload"]["ok"]
    assert after["reload"]["message"] == error_of(refused)["message"]
    (metrics,) = ask_each(app, get("/metrics"))
    assert 'mdsrec_reloads_total{ok="false"} 1.0' in metrics.text


def test_a_reload_needs_more_than_a_form_of_a_foreign_page(make_app: Make) -> None:
    app = make_app(admin=True)
    (response,) = ask_each(app, ("POST", "/admin/reload", {"data": {"a": "b"}}))
    assert response.status_code == 415
    assert app.state.service.last_reload is None


def test_a_reload_tells_the_other_workers(make_app: Make) -> None:
    app, told = make_app(admin=True), []
    app.state.service.tell_others = lambda: told.append("reload")
    (response,) = ask_each(app, post("/admin/reload"))
    assert (response.status_code, told) == (200, ["reload"])


def test_a_service_of_a_retriever_cannot_reload(make_app: Make, retriever: Retriever) -> None:
    (response,) = ask_each(make_app(retriever, admin=True), post("/admin/reload"))
    assert response.status_code == 409
    assert "made of a Retriever" in error_of(response)["message"]


# ---- the log ------------------------------------------------------------------------------------


def logged(app: Any, caplog: pytest.LogCaptureFixture, *requests: Any) -> list[dict[str, Any]]:
    with caplog.at_level(logging.INFO, logger="mdsrec_pyg.serving"):
        ask_each(app, *requests)
    return [json.loads(JsonLines().format(record)) for record in caplog.records]


def test_a_request_is_a_line_without_what_it_held(
    make_app: Make, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [
        post("/recommend", history=["item-3", "secret"], k=3),
        post("/recommend", user="user-7"),
        get("/items", query="secret"),
        get("/images/secret"),
        get("/secret"),
    ]
    lines = [line for line in logged(make_app(), caplog, *asked) if line["event"] == "request"]
    assert len(lines) == 5
    assert not [line for line in lines if "secret" in str(line) or "user-7" in str(line)]
    found = next(line for line in lines if line.get("dropped") == 1)
    assert (found["method"], found["path"], found["status"]) == ("POST", "/recommend", 200)
    assert (found["k"], found["length"], found["source"]) == (3, 1, "model")
    assert found["ms"] > 0
    assert found["time"].endswith("Z")


def test_contents_are_logged_where_asked_for(
    make_app: Make, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [post("/recommend", history=["item-3"]), post("/recommend", user="user-7")]
    asked += [get("/items", query="red")]
    lines = logged(make_app(log_contents=True), caplog, *asked)
    held = [line[key] for line in lines for key in ("history", "user", "query") if line.get(key)]
    assert sorted(map(str, held)) == ["['item-3']", "red", "user-7"]


def test_a_line_is_one_line_whatever_is_in_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mdsrec_pyg.serving"):
        log_event("event", name='a\n{"level": "fake"}\x1b[31m\u2028')
    line = JsonLines().format(caplog.records[0])
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert json.loads(line)["name"] == 'a\n{"level": "fake"}\x1b[31m\u2028'


def test_a_caller_names_its_request(make_app: Make) -> None:
    headers = [{"X-Request-ID": "mine-7"}, {"X-Request-ID": "a b\tc"}, {}]
    found = ask_each(make_app(), *(("GET", "/health", {"headers": h}) for h in headers))
    names = [response.headers["x-request-id"] for response in found]
    assert names[0] == "mine-7"
    assert len({*names, "a b\tc"}) == 4
