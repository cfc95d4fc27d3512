"""Photographs the page that ``mdsrec serve`` shows, for the guide: docs/page_*.webp.

    python docs/shoot_page.py

Draws the made-up shop of ``draw_shop.py``, trains on it for a minute, serves it and looks at it in
chromium, whose driver must be there. The pictures are in the repository; run this after a change of
the page. Needs the extras ``encode`` and ``serve``, and selenium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from draw_shop import make_shop  # type: ignore[import-not-found]
from PIL import Image
from selenium import webdriver

from mdsrec_pyg import Retriever, Trainer, build_mdsrec, leave_last_out
from mdsrec_pyg.datasets import FolderDataset
from mdsrec_pyg.serving import create_app

SETTLED = """
const results = document.getElementById("results"), around = document.querySelector(".around");
return results?.getAttribute("aria-busy") === "false" && !document.querySelector(".shadow")
    && around?.getAttribute("aria-busy") !== "true"
    && [...document.images].every((image) => image.complete || image.loading === "lazy");
"""
USER = "customer-7"
#: Name of a picture: what the address asks for, theme, size, and whether an item is looked at.
SHOTS: dict[str, tuple[str, str, tuple[int, int], bool]] = {
    "page_light": (f"user={USER}", "light", (1280, 1210), False),
    "page_side_by_side": (f"user={USER}&view=compare", "dark", (1280, 1190), False),
    "page_item": (f"user={USER}", "light", (1000, 1340), True),
}


def trained(folder: Path) -> Retriever:
    """Answers for the shop."""
    dataset = FolderDataset(folder)
    split = leave_last_out(dataset.interactions)
    model = build_mdsrec(dataset.features, split.train, num_centers=10)
    Trainer(model, epochs=8, progress=False).fit(split.train, split.val)
    return Retriever(model, dataset.item_ids, item_counts=split.train.item_counts())


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of the service, which runs in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    (socket,) = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)


def browser() -> Any:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(word)
    service = webdriver.chrome.service.Service(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def settle(driver: Any) -> None:
    """Waits until the page has all that it asked for."""
    time.sleep(0.5)
    while not driver.execute_script(SETTLED):
        time.sleep(0.1)
    time.sleep(1.0)  # pictures come when they are seen


def shoot(driver: Any, address: str, name: str, folder: Path) -> None:
    """One picture."""
    asked, theme, (width, height), item = SHOTS[name]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1.5, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get("about:blank")
    driver.get(f"{address}#{asked}")
    settle(driver)
    if item:
        driver.execute_script("document.querySelector('.card .face').click()")
        settle(driver)
    picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    path = folder / f"{name}.webp"
    picture.save(path, quality=74, method=6)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Photograph the page of the service.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        shop = Path(place, "shop")
        make_shop(shop)
        app = create_app(trained(shop), data=str(shop))
        driver = browser()
        try:
            with served(app) as address:
                for name in SHOTS:
                    shoot(driver, address, name, args.folder)
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
