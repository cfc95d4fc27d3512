"""Users, histories, modalities and limits, as one chooses them in a browser."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.browser


def asked(address: str, **body: Any) -> list[str]:
    """What the service answers by itself."""
    answer = httpx.post(f"{address}recommend", json={"exclude_seen": True, **body})
    assert answer.status_code == 200, answer.text
    return [item["item"] for item in answer.json()["items"]]


def test_a_user_is_searched_chosen_and_answered(browser: Any, address: str) -> None:
    browser.type("user", "user-1")
    assert browser.options("user")[0].splitlines()[0] == "user-1"
    assert len(browser.options("user")) == 11  # user-10 to user-19, too
    browser.all("#user-combo [role=option]")[1].click()
    browser.settle()
    assert browser.items() == asked(address, user="user-10", k=10)
    assert "user-10" in browser.text("#history-about")
    assert len(browser.all("#history .past")) == 7
    for card in browser.all("#answers .card"):
        assert "score" in card.text
        assert card.find_elements("css selector", ".bar")
        assert card.find_elements("css selector", ".voter")
        assert card.find_elements("css selector", ".typical li")


def test_a_history_is_put_together_by_searching_items(browser: Any, address: str) -> None:
    browser.type("item", "RED MUG")
    assert browser.options("item") == ["red mug\nS0"]
    browser.press("ARROW_DOWN", "ENTER")
    browser.settle()
    browser.type("item", "S5")
    browser.press("ENTER")  # the best match
    browser.settle()
    assert browser.items() == asked(address, history=["S0", "S5"], k=10)
    browser.all("#history .remove")[0].click()
    browser.settle()
    assert browser.items() == asked(address, history=["S5"], k=10)
    assert browser.focus()["kind"] == "remove"  # that of the item that is left
    browser.one("#clear").click()
    browser.settle()
    assert browser.items() == []
    assert browser.focus()["id"] == "item"


def test_unknown_items_of_a_history_are_named(browser: Any, address: str) -> None:
    browser.open(item=["S0", "gone-1", "S5"])
    assert browser.items() == asked(address, history=["S0", "S5"], k=10)
    assert "gone-1" in browser.text("#notes")
    browser.type("item", "nowhere-7 nowhere-8")
    assert "No item found" in browser.text("#item-combo .found")


def test_many_ids_that_are_pasted_are_the_history(browser: Any, address: str) -> None:
    pasted = [f"S{i % 24}" for i in range(80)]
    browser.open()
    browser.type("item", ", ".join(pasted))
    assert len(", ".join(pasted)) > 200  # more than is searched for
    browser.press("ENTER")
    browser.settle()
    assert len(browser.all("#history .past")) == 80
    assert browser.items() == []  # all but a few are seen
    browser.one("#clear").click()
    browser.type("item", "S0;S5 S7")
    browser.press("ENTER")
    browser.settle()
    assert browser.items() == asked(address, history=["S0", "S5", "S7"], k=10)


def test_an_unknown_user_gets_a_clear_message_and_nothing_breaks(browser: Any) -> None:
    browser.type("user", "nobody")
    assert "No user found" in browser.text("#user-combo .found")
    browser.press("ENTER")
    browser.settle()
    alert = browser.one("#problem")
    assert alert.get_attribute("role") == "alert"
    assert "'user' must be a known user" in alert.text
    assert "nobody" in alert.text
    assert browser.items() == []
    browser.open(user="user-3")
    assert len(browser.items()) == 10
    assert browser.text("#problem") == ""


def test_each_modality_shows_its_own_list_and_how_it_differs(browser: Any, address: str) -> None:
    browser.open(user="user-3")
    lists = {name: asked(address, user="user-3", k=10, modality=name) for name in ("image", "text")}
    everything = asked(address, user="user-3", k=10)
    assert len({tuple(lists["image"]), tuple(lists["text"]), tuple(everything)}) == 3
    for name, items in lists.items():
        browser.view(f"Only {name}")
        assert browser.items() == items
        common = len(set(items) & set(everything))
        assert f"{common} of 10 items" in browser.text("#results-about")
        assert len(browser.all(".card .moved.only")) == 10 - common
    browser.view("Side by side")
    assert browser.items(".column.all [data-item]") == everything
    assert browser.items(".column.m0 [data-item]") == lists["image"]
    assert browser.items(".column.m1 [data-item]") == lists["text"]
    both = len(set(lists["image"]) & set(lists["text"]))
    assert browser.text("#results-about") == f"image and text have {both} of 10 in common"
    first = lists["image"][0]
    moved = browser.one(f".column.m0 [data-item='{first}'] .moved").text.splitlines()[0]
    place = everything.index(first) if first in everything else None
    assert moved == {None: "new", 0: "="}.get(place, f"▲ {place}")


def test_what_is_pointed_at_is_marked_in_every_list(browser: Any) -> None:
    browser.open(user="user-3", view="compare")
    shared = set(browser.items(".column.all [data-item]")) & set(
        browser.items(".column.m0 [data-item]")
    )
    item = sorted(shared)[0]
    button = browser.one(f".column.all [data-item='{item}'] button")
    browser.driver.execute_script("arguments[0].focus()", button)
    assert set(browser.items(".twin")) == {item}
    assert len(browser.all(".twin")) >= 2


def test_sliders_and_lists_change_the_answer(browser: Any, address: str) -> None:
    browser.open(user="user-3")
    browser.driver.execute_script("arguments[0].focus()", browser.one("#k"))
    browser.press("ARROW_LEFT", "ARROW_LEFT", "ARROW_LEFT")
    browser.settle()
    assert browser.text("#k-value") == "7"
    assert browser.items() == asked(address, user="user-3", k=7)
    browser.one(".switch").click()
    browser.settle()
    assert browser.items() == asked(address, user="user-3", k=7, exclude_seen=False)
    browser.one(".switch").click()
    browser.settle()
    out = browser.items()[0]
    browser.all(".card .actions button")[1].click()
    browser.settle()
    assert browser.items() == asked(address, user="user-3", k=7, exclude=[out])
    assert browser.text("#limits-count") == "1"
    browser.one("#limits summary").click()
    browser.one("#exclude-list button").click()
    browser.settle()
    assert browser.items()[0] == out


def test_only_the_items_of_the_allow_list_are_recommended(browser: Any, address: str) -> None:
    browser.open(user="user-3", k=2)
    allowed = asked(address, user="user-3", k=9)[6:]
    browser.one("#limits summary").click()
    for item in allowed:
        browser.type("include", item)
        browser.press("ENTER")
        browser.settle()
    assert browser.items() == asked(address, user="user-3", k=2, include=allowed)
    assert set(browser.items()) <= set(allowed)
    assert len(browser.all("#include-list .chip")) == 3
    browser.open(user="user-3")  # more than are left
    browser.one("#limits summary").click()
    browser.type("include", allowed[0])
    browser.press("ENTER")
    browser.settle()
    assert "'k' must not exceed" in browser.text("#problem")


def test_the_address_keeps_the_view(browser: Any) -> None:
    browser.open(user="user-3", view="only:text", k=4, seen="yes")
    items = browser.items()
    assert len(items) == 4
    browser.driver.refresh()
    browser.settle()
    assert browser.items() == items
    assert browser.one("#seen").is_selected()
    assert browser.text("#modality-choices label:has(:checked)") == "Only text"


def test_an_address_that_is_pasted_into_the_page_is_shown(browser: Any, address: str) -> None:
    browser.open(user="user-3")
    browser.driver.get(f"{address}#user=user-10&k=4")  # no load of the page: only the end is new
    browser.until(lambda: "user-10" in browser.text("#history-about"), "the other user")
    browser.settle()
    assert browser.items() == asked(address, user="user-10", k=4)
