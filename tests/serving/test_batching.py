"""Requests that arrive together are answered together; what waits is bounded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from mdsrec_pyg.serving import ServiceConfig
from mdsrec_pyg.serving.batching import Batcher
from mdsrec_pyg.serving.errors import ServiceError
from tests.serving.conftest import ask, ask_each, error_of, get, post

Make = Callable[..., Any]


def with_batcher(talk: Callable[[Batcher], Any], **options: Any) -> Any:
    async def run() -> Any:
        batcher = Batcher(ServiceConfig(**options))
        try:
            return await talk(batcher)
        finally:
            await asyncio.to_thread(batcher.close)

    return asyncio.run(run())


class Asked:
    """An answer that notes what it was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    def __call__(self, questions: Sequence[Any]) -> list[Any]:
        self.batches.append(list(questions))
        return [question * 10 for question in questions]


def test_questions_of_a_key_are_one_batch() -> None:
    answer = Asked()

    async def talk(batcher: Batcher) -> list[Any]:
        return list(await asyncio.gather(*(batcher.ask("a", i, answer) for i in range(8))))

    assert with_batcher(talk, batch_wait=0.05) == [10 * i for i in range(8)]
    assert answer.batches == [list(range(8))]


def test_keys_are_not_mixed_and_batches_bounded() -> None:
    answer = Asked()

    async def talk(batcher: Batcher) -> list[Any]:
        asked = [batcher.ask(i % 2, i, answer) for i in range(14)]
        return list(await asyncio.gather(*asked))

    assert with_batcher(talk, batch_wait=0.05, batch_size=4) == [10 * i for i in range(14)]
    assert all(len({i % 2 for i in batch}) == 1 for batch in answer.batches)
    assert sorted(map(len, answer.batches)) == [3, 3, 4, 4]


def test_without_waiting_a_question_goes_at_once() -> None:
    async def talk(batcher: Batcher) -> float:
        start = time.perf_counter()
        await batcher.ask("a", 1, Asked())
        return time.perf_counter() - start

    assert with_batcher(talk, batch_wait=0.0) < 0.3 < with_batcher(talk, batch_wait=0.4)


def test_two_that_are_asked_much_do_not_keep_a_third_waiting() -> None:
    order: list[str] = []

    def answer(questions: Sequence[Any]) -> list[Any]:
        order.extend(questions)
        time.sleep(0.01)
        return list(questions)

    async def talk(batcher: Batcher) -> None:
        much = [batcher.ask(key, key, answer) for _ in range(12) for key in "ab"]
        await asyncio.gather(*much, batcher.ask("c", "c", answer))

    with_batcher(talk, threads=1, batch_size=1, batch_wait=0.0)
    assert order.index("c") < 8  # of 25
    assert sorted(order) == ["a"] * 12 + ["b"] * 12 + ["c"]


def test_slow_answers_do_not_keep_others_waiting() -> None:
    release = threading.Event()

    def slow(questions: Sequence[Any]) -> list[Any]:
        release.wait(10)
        return list(questions)

    async def talk(batcher: Batcher) -> bool:
        waiting = [asyncio.ensure_future(batcher.ask("slow", i, slow, 1)) for i in range(6)]
        await asyncio.sleep(0.05)
        assert await asyncio.wait_for(batcher.ask("fast", 2, Asked()), 5) == 20
        early = any(task.done() for task in waiting)
        release.set()
        await asyncio.gather(*waiting)
        return early

    assert not with_batcher(talk, threads=2, batch_wait=0.0)


def test_a_question_that_fails_costs_no_other_its_answer() -> None:
    def answer(questions: Sequence[Any]) -> list[Any]:
        if 3 in questions:
            raise ValueError("'question' must not be 3")
        return list(questions)

    async def talk(batcher: Batcher) -> list[Any]:
        asked = (batcher.ask("a", i, answer) for i in range(5))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    found = with_batcher(talk, batch_wait=0.05)
    assert isinstance(found.pop(3), ValueError)
    assert found == [0, 1, 2, 4]


def test_who_has_left_is_not_answered() -> None:
    answer = Asked()

    async def talk(batcher: Batcher) -> None:
        gone = asyncio.ensure_future(batcher.ask("a", 1, answer))
        stays = asyncio.ensure_future(batcher.ask("a", 2, answer))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == 20
        assert batcher.num_waiting == 0

    with_batcher(talk, batch_wait=0.05)
    assert answer.batches == [[2]]


def test_what_waits_is_bounded() -> None:
    async def talk(batcher: Batcher) -> list[Any]:
        asked = (batcher.ask("a", i, Asked()) for i in range(5))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    *answered, first, second = with_batcher(talk, batch_wait=0.05, max_waiting=3)
    assert answered == [0, 10, 20]
    assert isinstance(first, ServiceError)
    assert (second.status, second.headers) == (503, {"Retry-After": "1"})


@pytest.fixture
def stuck(make_app: Make, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an app whose retriever answers when it is released, and notes the batches."""
    release, sizes = threading.Event(), []

    def make(**options: Any) -> Any:
        app = make_app(**options)
        own = app.state.service.current.retriever.recommend

        def slow(histories: Any, *args: Any, **more: Any) -> Any:
            sizes.append(len(histories))
            release.wait(10)
            return own(histories, *args, **more)

        monkeypatch.setattr(app.state.service.current.retriever, "recommend", slow, raising=False)
        return app, release, sizes

    yield make
    release.set()


def test_the_app_asks_the_retriever_once_for_many(stuck: Any) -> None:
    app, release, sizes = stuck(batch_wait=0.1)
    release.set()
    asked = [post("/recommend", history=[f"item-{i}"], k=3) for i in range(10)]
    asked += [post("/recommend", history=["item-1"], k=3, exclude_seen=False)]
    found = ask_each(app, *asked, get("/metrics"))
    assert [response.status_code for response in found] == [200] * 12
    assert sorted(sizes) == [1, 10]


def test_more_requests_than_are_taken_are_refused(stuck: Any) -> None:
    app, release, _ = stuck(max_requests=4)

    async def talk(client: Any) -> Any:
        body = {"history": ["item-1"], "k": 3}
        waiting = [asyncio.ensure_future(client.post("/recommend", json=body)) for _ in range(4)]
        await asyncio.sleep(0.3)
        refused = await client.post("/recommend", json=body)
        looked_after = await client.get("/health")
        release.set()
        return [r.status_code for r in await asyncio.gather(*waiting)], refused, looked_after

    answered, refused, looked_after = ask(app, talk)
    assert answered == [200] * 4
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert error_of(refused)["message"] == (
        "the service is busy: it takes 4 requests at once; try again"
    )
    assert looked_after.status_code == 200


@pytest.mark.parametrize(
    "request_", [get("/neighbors", item="item-1"), post("/similar", item="item-1", k=2)]
)
def test_whatever_is_asked_of_the_model_waits_within_bounds(
    make_app: Make, monkeypatch: pytest.MonkeyPatch, request_: Any
) -> None:
    app = make_app(threads=1, max_waiting=2)
    retriever, release = app.state.service.current.retriever, threading.Event()
    own = retriever.similar_items
    slow = lambda *args, **more: (release.wait(10), own(*args, **more))[1]  # noqa: E731
    monkeypatch.setattr(retriever, "similar_items", slow, raising=False)

    async def talk(client: Any) -> list[int]:
        method, path, options = request_
        asked = []
        for _ in range(5):
            asked.append(asyncio.ensure_future(client.request(method, path, **options)))
            await asyncio.sleep(0.05)
        release.set()
        return [response.status_code for response in await asyncio.gather(*asked)]

    # One is answered, two wait.
    assert ask(app, talk) == [200, 200, 200, 503, 503]


def test_an_answer_that_takes_too_long_is_not_waited_for(stuck: Any) -> None:
    app, release, _ = stuck(timeout=0.3)

    async def talk(client: Any) -> Any:
        slow = await client.post("/recommend", json={"history": ["item-1"]})
        release.set()
        return slow, await client.post("/recommend", json={"history": ["item-1"]})

    slow, later = ask(app, talk)
    assert slow.status_code == 503
    assert error_of(slow)["message"].startswith("the answer took longer than 0.3 s")
    assert later.status_code == 200


def test_metrics_count_requests_and_batches(make_app: Make) -> None:
    app = make_app(batch_wait=0.1)

    async def talk(client: Any) -> str:
        bodies = [{"history": [f"item-{i}"], "k": 3} for i in range(5)] + [{"k": 0}]
        await asyncio.gather(*(client.post("/recommend", json=body) for body in bodies))
        await client.get("/a/path/of/ones/own")
        text: str = (await client.get("/metrics")).text
        return text

    text = ask(app, talk)
    assert 'mdsrec_requests_total{path="/recommend",status="200"} 5.0' in text
    assert 'mdsrec_requests_total{path="/recommend",status="422"} 1.0' in text
    assert 'mdsrec_requests_total{path="unknown",status="404"} 1.0' in text
    assert "ones/own" not in text
    assert "mdsrec_batch_requests_sum 5.0" in text
    assert "mdsrec_batch_requests_count 1.0" in text
    assert "mdsrec_waiting_requests 0.0" in text
