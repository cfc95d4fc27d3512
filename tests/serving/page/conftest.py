"""The shop, its service, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.page.shop import running, shop_retriever, write_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


@pytest.fixture(scope="session")
def retriever(shop: Path) -> Any:
    """Answers for it."""
    return shop_retriever(shop)


@pytest.fixture(scope="session")
def app(shop: Path, retriever: Any) -> Any:
    """Its service."""
    from mdsrec_pyg.serving import create_app

    return create_app(retriever, data=str(shop))


@pytest.fixture(scope="session")
def plain_app(shop: Path) -> Any:
    """The service of a model that knows no modality."""
    from mdsrec_pyg import EASE, Retriever
    from mdsrec_pyg.data import leave_last_out
    from mdsrec_pyg.datasets import FolderDataset
    from mdsrec_pyg.serving import create_app

    dataset = FolderDataset(shop)
    model = EASE(leave_last_out(dataset.interactions).train)
    return create_app(Retriever(model, dataset.item_ids), data=str(shop))


@pytest.fixture(scope="session")
def address(app: Any) -> Iterator[str]:
    """Where it listens."""
    with running(app) as url:
        yield url


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The browser, which is started once."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    driver_path = shutil.which("chromedriver")
    if binary is None or driver_path is None:
        reason = "needs chromium and its driver (Debian: apt install chromium chromium-driver)"
        if request.config.getoption("require_browser"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.chrome.service.Service(driver_path)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Any, address: str) -> Iterator[Any]:
    """The page in a window of 1280 x 900, light; what it wrote to the console is looked at."""
    from tests.serving.page.looking import Page

    page = Page(chromium, address)
    page.size(1280, 900)
    page.prefers("light")
    page.open()
    page.driver.execute_script("localStorage.clear()")
    page.console()
    yield page
    page.alert_is_absent()
