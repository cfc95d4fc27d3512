"""Narrow and wide, light and dark."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.browser

#: Texts with the ground that they stand on: of the element itself, or of the next around it.
CONTRAST = """
const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgba = (color) => {
  pen.clearRect(0, 0, 1, 1); pen.fillStyle = color; pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
function ground(element) {
  const layers = [];
  for (let e = element; e; e = e.parentElement) {
    layers.push(rgba(getComputedStyle(e).backgroundColor));
  }
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
}
const poor = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility({visibilityProperty: true}) || e.closest(".unseen")) continue;
  const below = ground(e), color = over(rgba(getComputedStyle(e).color), below);
  const [dark, light] = [luminance(color), luminance(below)].sort((a, b) => a - b);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < 4.5) poor.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio].join(" "));
}
return poor;
"""


def brightness(browser: Any, selector: str) -> float:
    color = browser.one(selector).value_of_css_property("background-color")
    red, green, blue = map(float, re.findall(r"[\d.]+", color)[:3])
    return (red + green + blue) / 3


@pytest.mark.parametrize("width", [400, 320, 768, 1280])
def test_the_page_fits_its_window(browser: Any, width: int) -> None:
    browser.size(width, 800)
    for asked in ({}, {"user": "user-3"}, {"user": "user-3", "view": "compare"}):
        browser.open(**asked)
        assert browser.overflow() <= 0, asked
    browser.one("#limits summary").click()
    browser.type("include", "lamp")
    assert browser.overflow() <= 0
    browser.press("ESCAPE")
    browser.driver.execute_script("document.querySelector('.column .face').click()")
    browser.until(lambda: browser.all("dialog[open] .graph svg"), "the drawings")
    left, right = browser.driver.execute_script(
        "const box = document.querySelector('dialog').getBoundingClientRect();"
        "return [box.left, box.right]"
    )
    assert left >= 0
    assert right <= width


def test_all_is_done_at_400_pixels(browser: Any) -> None:
    browser.size(400, 800)
    browser.type("user", "user-3")
    browser.all("#user-combo [role=option]")[0].click()
    browser.settle()
    cards = browser.all("#answers .card")
    assert len(cards) == 10
    assert all(card.size["width"] <= 400 for card in cards)
    for view in ("Only image", "Only text", "Side by side"):
        browser.view(view)
        assert browser.items("#answers [data-item]")
    small = [
        button.text
        for button in browser.all("button")
        if button.is_displayed() and min(button.size["width"], button.size["height"]) < 24
    ]
    assert small == []  # large enough for a finger: WCAG 2.2, 2.5.8


def test_the_theme_follows_the_system_until_one_is_chosen(browser: Any) -> None:
    assert brightness(browser, ".panel") > 200
    assert browser.one("#theme").get_attribute("aria-pressed") == "false"
    browser.prefers("dark")
    browser.open()
    assert brightness(browser, ".panel") < 60
    assert browser.one("#theme").get_attribute("aria-pressed") == "true"
    browser.one("#theme").click()
    assert brightness(browser, ".panel") > 200
    browser.open()
    assert brightness(browser, ".panel") > 200  # it is kept
    browser.one("#theme").click()
    browser.prefers("light")
    browser.open()
    assert brightness(browser, ".panel") < 60


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Any, scheme: str) -> None:
    browser.prefers(scheme)
    for asked in ({}, {"user": "user-3"}, {"user": "nobody"}, {"item": ["S0", "gone"]}):
        browser.open(**asked)
        assert browser.driver.execute_script(CONTRAST) == [], asked
    for view in ("Only image", "Side by side"):
        browser.view(view)
        assert browser.driver.execute_script(CONTRAST) == [], view
    browser.driver.execute_script("document.querySelector('.column .face').click()")
    browser.until(lambda: browser.all("dialog[open] .graph svg"), "the drawings")
    assert browser.driver.execute_script(CONTRAST) == []
