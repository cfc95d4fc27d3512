"""Hostile texts, outside requests, and what one is told where something is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serving.page.looking import Page
from tests.serving.page.shop import HOSTILE_ID, LONG, MARKUP, RIGHT_TO_LEFT, running

pytestmark = pytest.mark.browser

ODD = ["M1", "R1", "L1", HOSTILE_ID]


def untouched(browser: Page) -> None:
    """No text has become markup or script."""
    assert "taken" not in browser.driver.title
    assert browser.all("[onerror], [onclick], [onload], body script") == []
    assert browser.overflow() <= 0
    browser.alert_is_absent()


def test_hostile_texts_are_shown_as_text_everywhere(browser: Any) -> None:
    for words, expected in (("onerror", MARKUP), ("مصباح", "مصباح"), ("odd lamp", "odd lamp")):
        browser.type("item", words)
        assert expected[:60] in browser.options("item")[0]
        browser.press("ESCAPE", "ESCAPE")
    browser.open(item=ODD)
    untouched(browser)
    titles = [element.get_attribute("textContent") for element in browser.all("#history .title")]
    assert titles[0] == MARKUP
    assert titles[1] == RIGHT_TO_LEFT
    assert titles[2].startswith(LONG[:150])
    assert len(titles[2]) < 200
    assert browser.all("#history .id")[3].text == HOSTILE_ID
    for view in ("Only text", "Side by side"):
        browser.view(view)
        untouched(browser)


def test_hostile_items_are_recommended_and_looked_at_like_any_other(browser: Any) -> None:
    browser.open(user="user-3", k=20, seen="yes")
    browser.size(400, 900)
    for name in ODD:
        browser.one("#limits summary").click() if not browser.one("#include").is_displayed() else 0
        browser.driver.execute_script("arguments[0].scrollIntoView()", browser.one("#include"))
        browser.type("include", name)
        browser.press("ENTER")
    browser.driver.execute_script(
        "const k = document.getElementById('k'); k.value = 4; k.dispatchEvent(new Event('input'))"
    )
    browser.settle()
    assert sorted(browser.items()) == sorted(ODD)
    untouched(browser)
    for place in range(4):
        face = browser.all("#answers .card .face")[place]
        browser.driver.execute_script("arguments[0].click()", face)
        browser.until(lambda: browser.all("dialog[open] .graph"), "the neighbors")
        untouched(browser)
        dialog = browser.one("dialog")
        width = "return arguments[0].scrollWidth - arguments[0].clientWidth"
        assert browser.driver.execute_script(width, dialog) <= 0
        browser.press("ESCAPE")


def test_a_text_does_not_turn_the_line_that_it_stands_in(browser: Any) -> None:
    browser.open(item=["R1"])
    for selector in ("#history .title", ".voter .title"):
        for element in browser.all(selector):
            assert element.get_attribute("dir") == "auto"
            assert element.value_of_css_property("unicode-bidi") in ("isolate", "plaintext")


def test_the_policy_stops_scripts_that_got_in_all_the_same(browser: Any) -> None:
    refused = browser.driver.execute_script(
        """
        const script = document.createElement("script");
        try { script.textContent = "document.title = 'taken'"; } catch (e) { return "type"; }
        document.body.append(script);
        return document.title === "taken" ? "" : "policy";
        """
    )
    assert refused == "type"
    by_markup = (
        "try { document.body.innerHTML = '<b>x</b>'; return ''; } catch (e) { return e.name; }"
    )
    assert browser.driver.execute_script(by_markup) == "TypeError"


def test_nothing_comes_from_elsewhere_and_nothing_fails(browser: Any, address: str) -> None:
    browser.open(user="user-3")
    browser.view("Side by side")
    browser.driver.execute_script("document.querySelector('.column .face').click()")
    browser.until(lambda: browser.all("dialog[open] .graph svg"), "the drawings")
    names = browser.driver.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert len(names) > 15
    assert {urlsplit(name).netloc for name in names} == {urlsplit(address).netloc}
    assert any("/images/S" in name for name in names)
    assert browser.console() == []


def test_pictures_are_shown_where_there_are_some_and_a_letter_where_not(browser: Any) -> None:
    browser.open(item=["S0", "S21", "R1"])
    pictures = browser.all("#history .picture")
    assert [picture.tag_name for picture in pictures] == ["img", "span", "span"]
    wide = "return arguments[0].naturalWidth"
    browser.until(lambda: browser.driver.execute_script(wide, pictures[0]) == 8, "the picture")
    assert pictures[1].get_attribute("textContent") == "B"  # blue scarf


def test_a_damaged_picture_becomes_a_letter(shop: Path, retriever: Any, chromium: Any) -> None:
    from mdsrec_pyg.serving import create_app

    whole = (shop / "images" / "S0.png").read_bytes()
    (shop / "images" / "S0.png").write_bytes(whole[:40])
    try:
        with running(create_app(retriever, data=str(shop))) as address:
            page = Page(chromium, address)
            page.open(item=["S0"])
            page.until(lambda: page.all("#history span.picture"), "the letter")
    finally:
        (shop / "images" / "S0.png").write_bytes(whole)


def test_without_known_users_there_is_no_field_for_them(retriever: Any, chromium: Any) -> None:
    from mdsrec_pyg.serving import create_app

    with running(create_app(retriever)) as address:
        page = Page(chromium, address)
        page.open()
        assert not page.one("#user").is_displayed()
        assert "searching items" in page.text("#start-text")
        page.one("#start-choices button").click()
        page.settle()
        assert len(page.items()) == 10
        assert len(page.all("#history .past")) == 3


def test_a_model_without_modalities_recommends_without_reasons(
    plain_app: Any, chromium: Any
) -> None:
    with running(plain_app) as address:
        page = Page(chromium, address)
        page.open(user="user-3")
        assert len(page.items()) == 10
        assert page.all(".why") == []
        assert page.text("#modality-choices") == "All"
        page.driver.execute_script("document.querySelector('#answers .face').click()")
        page.until(lambda: "no neighbors to draw" in page.text("dialog"), "the reason")


def test_one_is_told_that_the_service_is_gone(retriever: Any, chromium: Any) -> None:
    from mdsrec_pyg.serving import create_app

    with running(create_app(retriever)) as address:
        page = Page(chromium, address)
        page.open(item=["S0"])
        assert len(page.items()) == 10
    page.view("Only text")
    assert re.search("does not answer", page.text("#problem"))
    assert page.items() == []


def test_what_is_loading_is_said_and_shown(browser: Any) -> None:
    driver = browser.driver
    driver.execute_cdp_cmd("Network.enable", {})
    slow = {"offline": False, "latency": 700, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    try:
        driver.execute_script("document.querySelector('#start-choices button').click()")
        busy = driver.execute_script(
            "return [document.getElementById('results').getAttribute('aria-busy'),"
            "document.querySelectorAll('.shadow').length]"
        )
        assert busy == ["true", 8]
    finally:
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", slow | {"latency": 0})
    browser.settle()
    assert len(browser.items()) == 10
    assert browser.text("#results-about") == "10 items, all modalities"
