"""What tests do with the page in a browser, and what they read of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from selenium.common.exceptions import NoAlertPresentException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

READY = """
const results = document.getElementById("results");
return results.getAttribute("aria-busy") === "false" && !document.querySelector(".shadow")
    && !document.querySelector("[data-starting]");
"""


class Page:
    """The page in a browser.

    Args:
        driver: Selenium's.
        address: Of the service.
    """

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, **asked: Any) -> None:
        """Loads it anew, with what is asked for in its address."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}#{urlencode(asked, doseq=True)}")
        self.settle()

    def until(self, reached: Callable[[], Any], what: str = "what was expected") -> Any:
        """Waits for something that is true in the end."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(StaleElementReferenceException):  # what it read is drawn anew
                if value := reached():
                    return value
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come: {self.text('body')[:500]}")

    def settle(self) -> None:
        """Waits until what was asked for is answered."""
        time.sleep(0.3)  # sliders wait a moment before they ask
        self.until(lambda: self.driver.execute_script(READY), "the end of loading")

    def size(self, width: int, height: int) -> None:
        """The size of the page's window, whatever the browser's own must be."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefers(self, scheme: str) -> None:
        """What the system asks for: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def all(self, selector: str) -> list[Any]:
        """Elements by a selector of CSS."""
        found: list[Any] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def one(self, selector: str) -> Any:
        """The first of them."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What is seen of an element."""
        found: str = self.driver.execute_script(
            "return document.querySelector(arguments[0]).innerText", selector
        )
        return found.strip()

    def items(self, selector: str = "#answers .card") -> list[str]:
        """Raw ids of the recommended items in order."""
        return [element.get_attribute("data-item") or "" for element in self.all(selector)]

    def type(self, field: str, words: str) -> None:
        """Writes into a field, and waits for what it finds."""
        box = self.one(f"#{field}")
        box.click()
        box.send_keys(words)
        self.found(field)

    def found(self, field: str) -> None:
        """Waits for what a field finds for all that was typed."""
        done = f"return document.getElementById('{field}-found').ariaBusy === 'false'"
        self.until(lambda: self.driver.execute_script(done), f"what {field} finds")

    def options(self, field: str) -> list[str]:
        """What a field has found."""
        texts: list[str] = self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())",
            f"#{field}-combo [role=option]",
        )
        return ["\n".join(filter(None, map(str.strip, text.splitlines()))) for text in texts]

    def press(self, *keys: str) -> None:
        """Keys to whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(getattr(Keys, key, key))

    def focus(self) -> dict[str, Any]:
        """What has the focus: its id, tag, class, text, and whether one sees that it has."""
        found: dict[str, Any] = self.driver.execute_script(
            """
            const e = document.activeElement, s = getComputedStyle(e);
            const face = e.matches(".segments input, .switch input") ? e.nextElementSibling : e;
            return {id: e.id, tag: e.tagName, kind: e.className, text: e.textContent,
                    label: e.getAttribute("aria-label") || "",
                    seen: getComputedStyle(face).outlineStyle !== "none"};
            """
        )
        return found

    def view(self, name: str) -> None:
        """Chooses a modality, or the lists side by side."""
        for label in self.all("#modality-choices label"):
            if label.text == name:
                label.click()
        self.settle()

    def console(self) -> list[str]:
        """Errors and warnings that the page wrote since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def alert_is_absent(self) -> None:
        """Nothing of the data may open a window."""
        try:
            text = self.driver.switch_to.alert.text
        except NoAlertPresentException:
            return
        raise AssertionError(f"a window opened: {text}")

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        wide: int = self.driver.execute_script(
            "return document.documentElement.scrollWidth - innerWidth"
        )
        return wide
