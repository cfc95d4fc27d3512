"""``mdsrec recommend`` with lists, one modality and unknown items; ``mdsrec similar``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

OPTIONS = ("--history", "003,004", "-k", 3, "--json")


def items_of(done: Any) -> list[str]:
    assert done.code == 0, done.err
    return [item["item"] for item in json.loads(done.out)[0]["items"]]


def test_lists_stand_there_or_in_a_file(call: Any, trained: Path, tmp_path: Path) -> None:
    plain = items_of(call("recommend", trained, *OPTIONS))
    gone = ",".join(plain[:2])
    left = items_of(call("recommend", trained, *OPTIONS, "--exclude", gone))
    assert left[0] == plain[2]
    (tmp_path / "gone.txt").write_text("\ufeff" + "\r\n".join(plain[:2]) + "\n\n", encoding="utf-8")
    assert items_of(call("recommend", trained, *OPTIONS, "--exclude", "@gone.txt")) == left
    only = sorted({*plain, "010", "011"})
    both = ("--include", ", ".join(only), "--exclude", "@gone.txt")
    assert items_of(call("recommend", trained, *OPTIONS, *both))[0] == plain[2]


def test_one_modality(call: Any, trained: Path) -> None:
    answers = [
        items_of(call("recommend", trained, *OPTIONS, "-k", 20, "--modality", name))
        for name in ("image", "text")
    ]
    assert answers[0] != answers[1]
    done = call("recommend", trained, *OPTIONS, "--modality", "audio")
    assert done.code == 1
    assert "'modality' must be one of 'image', 'text' (got 'audio')" in done.err


def test_unknown_items_are_dropped_and_named(call: Any, trained: Path, tmp_path: Path) -> None:
    words: tuple[Any, ...] = ("-k", 2, "--json", "--unknown", "drop")
    with pytest.warns(UserWarning, match="left 1 item that the catalog lacks"):
        done = call("recommend", trained, "--history", "003,gone", *words)
    want = call("recommend", trained, "--history", "003", "-k", 2, "--json")
    assert items_of(done) == items_of(want)
    assert json.loads(done.out)[0]["dropped"] == ["gone"]
    (tmp_path / "h.tsv").write_text("user\titem\nu\tgone\n")
    with pytest.warns(UserWarning, match="1 user without a history got"):
        done = call("recommend", trained, "--histories", "h.tsv", "--empty", "popularity", *words)
    assert done.code == 0, done.err
    assert {item["source"] for item in json.loads(done.out)[0]["items"]} == {"popularity"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--include", "003,nothing"), "'include' must hold items among"),
        (("--exclude", "@bad.txt"), "bad.txt: 'exclude' must hold items among"),
        (("--exclude", "@nowhere.txt"), "must name a file with an id a line (got nowhere.txt)"),
        (("--include", "@latin.txt"), "latin.txt: expected UTF-8 text"),
        (("--include", ""), "'k' must not exceed the items left"),
    ],
)
def test_a_wrong_list_ends_in_one_line(
    call: Any, trained: Path, tmp_path: Path, words: Any, message: str
) -> None:
    (tmp_path / "bad.txt").write_text("003\nnothing\n")
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    done = call("recommend", trained, *OPTIONS, *words)
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1


def test_similar(call: Any, trained: Path) -> None:
    found = json.loads(call("similar", trained, "003", "-k", 2, "--json").out)
    names = [part["by"] for part in found]
    assert names[:4] == ["image", "text", "votes image", "votes text"]
    assert all(len(part["items"]) <= 2 for part in found)
    assert found[0]["items"][0]["text"].startswith("image interest")
    done = call("similar", trained, "003", "-k", 2, "--by", "text", "votes image")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "text"
    assert "votes image" in lines
    assert found[1]["items"][0]["item"] in lines[2]
    for words, message in (
        (("nothing",), "'item' must be one of"),
        (("003", "--by", "audio"), "'by' must be among 'image'"),
        (("003", "-k", 0), "'k' must be at least 1 (got 0)"),
    ):
        done = call("similar", trained, *words)
        assert done.code == 1
        assert message in done.err
