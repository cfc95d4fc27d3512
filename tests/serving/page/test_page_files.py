"""The files of the page: what they are sent as, and what they must not hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import mdsrec_pyg.serving.page

STATIC = Path(mdsrec_pyg.serving.page.__file__).parent / "static"
NAMES = sorted(path.name for path in STATIC.iterdir())
SCRIPTS = [name for name in NAMES if name.endswith(".js")]
TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@pytest.fixture(scope="module")
def client(app: Any) -> TestClient:
    return TestClient(app)


def test_the_page_is_at_the_root_under_a_strict_policy(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == (STATIC / "index.html").read_text(encoding="utf-8")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in policy if name.endswith("-src")} == {"'none'", "'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "index.html"])
def test_each_file_is_sent_as_what_it_is(client: TestClient, name: str) -> None:
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.content == (STATIC / name).read_bytes()
    assert answer.headers["content-type"].partition(";")[0] == TYPES[name.rpartition(".")[2]]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"]
    again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["../routes.py", "..%2froutes.py", "%2e%2e/files.py", "..%5cfiles.py", "nothing.js", "", "%00"],
)
def test_nothing_else_is_sent(client: TestClient, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}


def test_each_file_that_is_named_is_there_and_none_is_left_over() -> None:
    named = {"index.html"}
    for name in NAMES:
        text = (STATIC / name).read_text(encoding="utf-8")
        found = re.findall(r'(?:src|href)="static/([^"]+)"|from "\./([^"]+)"', text)
        named |= {first or second for first, second in found}
    assert named == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_asked_of_another_host(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+[^\s\"'`]*", text))
    # The namespace of SVG is a name. Comments of JavaScript begin alike, but with a blank.
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_becomes_markup_or_code(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    assert not re.search(sinks, text)
    assert not re.search(r"setAttribute\(\s*[\"'`](on|style)", text)


def test_the_markup_holds_no_script_and_no_style_of_its_own() -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", text) == ["", ""]


def test_the_files_are_part_of_the_package() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = Path(mdsrec_pyg.__file__).parents[1] / "pyproject.toml"
    data = tomllib.loads(project.read_text())["tool"]["setuptools"]["package-data"]
    (pattern,) = [part for part in data["mdsrec_pyg"] if part.startswith("serving/")]
    matched = {path.name for path in Path(mdsrec_pyg.__file__).parent.glob(pattern)}
    assert matched == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_files_stay_short(name: str) -> None:
    assert len((STATIC / name).read_text(encoding="utf-8").splitlines()) <= 300
