"""A small model in a folder, its data set, and an app that is asked in this process."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg import Retriever, SyntheticDataset, leave_last_out
from mdsrec_pyg.nn import Recommender
from tests.small_models import moved, small_mdsrec

for name in ("fastapi", "uvicorn", "prometheus_client", "httpx"):
    pytest.importorskip(name, reason=f"the extra serve is not installed ({name})")

NUM_ITEMS = 40


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set folder of 60 users."""
    folder = tmp_path_factory.mktemp("data") / "shop"
    SyntheticDataset(60, NUM_ITEMS, seed=0).save(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model."""
    folder = tmp_path_factory.mktemp("models") / "shop"
    save_model(folder)
    return folder


def save_model(folder: Path, seed: int = 0) -> None:
    model_of(seed).save(folder, item_ids=[f"item-{i}" for i in range(NUM_ITEMS)])


@functools.cache
def model_of(seed: int) -> Any:
    split = leave_last_out(SyntheticDataset(60, NUM_ITEMS, seed=seed).interactions)
    return moved(small_mdsrec(split.train))


@pytest.fixture(scope="session")
def retriever(model_folder: Path) -> Retriever:
    """Over the saved model, with popularity."""
    counts = SyntheticDataset(60, NUM_ITEMS, seed=0).interactions.item_counts()
    return Retriever(Recommender.load(model_folder), item_counts=counts)


@pytest.fixture
def make_app(model_folder: Path, shop: Path) -> Callable[..., Any]:
    """Makes the app of the saved model, with other options if given."""
    from mdsrec_pyg.serving import create_app

    def make(source: Any = None, **options: Any) -> Any:
        return create_app(source or model_folder, {"data": str(shop)} | options)

    return make


Ask = Callable[..., Any]


def ask(app: Any, talk: Callable[[Any], Awaitable[Any]]) -> Any:
    """What a conversation with an app returns; the app starts and ends around it."""
    import httpx

    async def run() -> Any:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
        ):
            return await talk(client)

    return asyncio.run(run())


def ask_each(app: Any, *requests: tuple[str, str, dict[str, Any]]) -> list[Any]:
    """Answers to requests ``(method, path, options of httpx)``, all sent at once."""

    async def talk(client: Any) -> list[Any]:
        return list(await asyncio.gather(*(client.request(m, p, **o) for m, p, o in requests)))

    found: list[Any] = ask(app, talk)
    return found


def post(path: str, **body: Any) -> tuple[str, str, dict[str, Any]]:
    return "POST", path, {"json": body}


def get(path: str, **query: Any) -> tuple[str, str, dict[str, Any]]:
    return "GET", path, {"params": query}


def error_of(response: Any) -> dict[str, Any]:
    """The error of a response, which holds nothing else."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"argument", "message"}
    error: dict[str, Any] = body["error"]
    return error
