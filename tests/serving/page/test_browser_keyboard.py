"""The page without a mouse, and what a screen reader is told."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser

CHOSEN_KIND = "dialog .segments label:has(:checked)"


def stops(browser: Any, most: int) -> list[dict[str, Any]]:
    """What the Tab key comes to, one after the other."""
    found = []
    for _ in range(most):
        browser.press("TAB")
        found.append(browser.focus())
    return found


def test_tab_goes_through_the_page_in_the_order_of_reading(browser: Any) -> None:
    found = stops(browser, 14)
    names = [stop["id"] or stop["text"] or stop["kind"] for stop in found]
    assert names[:4] == ["Skip to the recommendations", "theme", "user", "item"]
    assert names[4:10] == [f"user-{i}" for i in range(6)]
    assert [stop["tag"] for stop in found[10:]] == ["INPUT", "INPUT", "INPUT", "SUMMARY"]
    assert names[11:13] == ["k", "seen"]
    assert all(stop["seen"] for stop in found)


def test_all_is_done_with_the_keyboard(browser: Any) -> None:
    browser.press("TAB", "TAB", "TAB")
    assert browser.focus()["id"] == "user"
    browser.press(*"user-3")
    browser.until(lambda: browser.options("user")[:1] == ["user-3\n7 items"], "the user")
    box = browser.one("#user")
    assert box.get_attribute("aria-expanded") == "true"
    browser.press("ARROW_DOWN")
    assert box.get_attribute("aria-activedescendant") == "user-0"
    assert browser.one("#user-0").get_attribute("aria-selected") == "true"
    browser.press("ENTER")
    browser.settle()
    assert box.get_attribute("aria-expanded") == "false"
    everything = browser.items()
    assert len(everything) == 10
    while browser.focus()["tag"] != "INPUT" or browser.focus()["id"] in ("user", "item"):
        browser.press("TAB")  # past the cards of the history, to the modalities
    browser.press("ARROW_RIGHT")
    browser.settle()
    assert browser.text("#modality-choices label:has(:checked)") == "Only image"
    assert browser.items() != everything
    browser.press("ARROW_RIGHT", "ARROW_RIGHT")
    browser.settle()
    assert len(browser.all(".column")) == 3


def test_the_window_about_an_item_keeps_the_focus_and_gives_it_back(browser: Any) -> None:
    browser.open(user="user-3")
    face = browser.one("#answers .card .face")
    browser.driver.execute_script("arguments[0].focus()", face)
    browser.press("ENTER")
    browser.until(lambda: browser.all("dialog[open] .graph svg"), "the drawings")
    assert browser.focus()["id"] == "item-title"
    inside = "return document.querySelector('dialog').contains(document.activeElement)"
    outside = 0
    for _ in range(40):
        browser.press("TAB")
        if browser.focus()["tag"] not in ("BODY", "HTML"):  # the browser's own controls
            outside += not browser.driver.execute_script(inside)
    assert outside == 0
    browser.press("ESCAPE")
    assert browser.all("dialog[open]") == []
    assert browser.driver.execute_script("return document.activeElement === arguments[0]", face)


def test_a_neighbor_is_followed_and_put_into_the_history(browser: Any) -> None:
    browser.open(item=["S0"])
    browser.driver.execute_script("document.querySelector('#history .face').click()")
    browser.until(lambda: browser.all("dialog[open] .graph svg"), "the drawings")
    panels = browser.all("dialog .graph")
    assert [panel.text.splitlines()[0] for panel in panels] == ["image", "text"]
    for panel in panels:
        listed = panel.find_elements("css selector", ".neighbors li")
        drawn = panel.find_elements("css selector", ".node.own, .node.shared")
        assert len(listed) == len(drawn) == 8
        label = panel.find_element("css selector", "svg").get_attribute("aria-label")
        first = listed[0].find_element("css selector", ".title").text
        assert label.startswith(f"Nearest to red mug, strongest first: {first}")
    name = panels[1].find_elements("css selector", ".neighbors .title")[0].text
    node = panels[1].find_elements("css selector", ".node title")[0]
    assert node.get_attribute("textContent") == name
    panels[1].find_elements("css selector", ".neighbors button")[0].click()
    browser.until(lambda: browser.text("#item-title") == name, "the neighbor")
    browser.one("dialog button.main").click()
    browser.settle()
    assert [title.text for title in browser.all("#history .title")] == ["red mug", name]


def test_each_kind_of_neighborhood_can_be_chosen(browser: Any) -> None:
    browser.open(item=["S0"])
    browser.driver.execute_script("document.querySelector('#history .face').click()")
    browser.until(lambda: browser.all("dialog[open] .graph svg"), "the drawings")
    words = [label.text for label in browser.all("dialog .segments label")]
    assert words == ["Votes", "Item graph", "Features", "Vectors"]
    seen = set()
    for place, word in enumerate(words):
        browser.all("dialog .segments label")[place].click()
        browser.until(lambda w=word: browser.text(CHOSEN_KIND) == w, word)
        browser.until(lambda: browser.one(".around").get_attribute("aria-busy") == "false", word)
        seen.add(tuple(element.text for element in browser.all("dialog .neighbors b")))
        assert browser.focus()["tag"] == "INPUT"  # the choice is still there
    assert len(seen) == 4


def test_everything_that_can_be_used_has_a_name(browser: Any) -> None:
    browser.open(user="user-3")
    browser.one("#limits summary").click()
    browser.driver.execute_cdp_cmd("Accessibility.enable", {})
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named: dict[str, list[str]] = {}
    for node in tree:
        role = node.get("role", {}).get("value")
        if not node.get("ignored") and role in {"button", "combobox", "slider", "switch", "radio"}:
            name = node.get("name", {}).get("value", "")
            assert name.strip(), node
            named.setdefault(role, []).append(name)
    fields = ["Add an item to the history", "All but these items", "Only these items", "User"]
    assert sorted(named["combobox"]) == fields
    assert named["slider"] == ["Items"]
    assert named["switch"] == ["Seen items, too"]
    assert sorted(named["radio"]) == ["All", "Only image", "Only text", "Side by side"]


def test_answers_are_announced(browser: Any) -> None:
    browser.type("item", "mug")
    assert browser.one("#heard").get_attribute("aria-live") == "polite"
    browser.until(lambda: browser.one("#heard").get_attribute("textContent") == "4 items", "it")
    browser.press("ARROW_DOWN", "ENTER")
    browser.settle()
    about = browser.one("#results-about")
    assert about.get_attribute("aria-live") == "polite"
    assert about.text == "10 items, all modalities"
