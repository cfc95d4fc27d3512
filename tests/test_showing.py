"""Text of others on a terminal, a page, in a picture's name, in a spreadsheet."""

import json
import re
import unicodedata

import pytest

from mdsrec_pyg.showing import counted, file_name, json_text, markdown_text, sheet_cell, showable

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202etxt.exe \u2066 \n\r\t\x7f \ud83d \u2028 \ufeff"


@pytest.mark.parametrize("text", ["B001", "", "Café, 東京  naïve", "می‌خواهم", "👩‍👩‍👧 $5 _a_*b*"])
def test_letters_of_any_script_stay(text):
    assert showable(text) == text


def test_commands_are_written_out():
    assert showable("a\x1b[2Jb\n\u202ec\U000e0041") == r"a\x1b[2Jb\n\u202ec\U000e0041"
    shown = showable(HOSTILE)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl")]
    shown.encode()  # half a character would be no text at all
    assert showable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert showable(12) == "12"


def test_no_control_character_of_unicode_is_forgotten():
    stay = "\u200c\u200d"  # and the signs before Arabic, Syriac and Kaithi numbers, which are seen
    for code in [*range(0x3000), *range(0xD7FF, 0x10000), *range(0xE0000, 0xE0200)]:
        char = chr(code)
        command = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in stay
        seen = unicodedata.name(char, "").startswith(("ARABIC", "SYRIAC"))
        if not seen or "LETTER MARK" in unicodedata.name(char, ""):
            assert (showable(char) != char) == command, hex(code)


def test_long_text_is_cut():
    assert showable("x" * 50, 10) == "x" * 7 + "..."
    assert showable("x" * 10, 10) == "x" * 10
    assert len(showable("\x1b" * 50, 10)) == 10


def test_json_stays_the_same_and_no_command():
    content = {"title": HOSTILE, "tag": "\U000e0041", "n": [1, 2.5, None, True]}
    text = json_text(content, indent=2)
    assert json.loads(text) == content
    assert not re.search("[\x1b\x7f\x9b\u202e\u2028]", text)
    assert json_text("東京") == '"東京"'


def test_json_knows_no_nan():
    content = {"a": [float("nan"), (float("inf"), 1.5)], "b": {"c": -float("inf")}}
    assert json_text(content) == '{"a": [null, [null, 1.5]], "b": {"c": null}}'
    with pytest.raises(TypeError):
        json_text({"a": object()})


def test_markdown_and_html_stay_text():
    assert markdown_text("leave_last_out _b_") == r"leave_last_out \_b\_"
    text = markdown_text("<script>a|b</script>\n# [x](y) `c` *d* & ![e]")
    assert text == (r"&lt;script&gt;a\|b&lt;/script&gt;\\n\# \[x\](y) \`c\` \*d\* &amp; \!\[e\]")


@pytest.mark.parametrize("cell", ["=HYPERLINK(1)", "+cmd|x", "-2+3", "@SUM(1)", "\t=1", "\r=1"])
def test_a_cell_is_no_formula(cell):
    assert sheet_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["B001", "-5", "+4.5e-3", "", "'=1", "a=b", ".5"])
def test_other_cells_stay(cell):
    assert sheet_cell(cell) == cell


def test_what_is_counted():
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert counted(1, "modality", "modalities") == "1 modality"
    assert counted(3, "modality", "modalities") == "3 modalities"
    words = ("modality", "query", "history", "day", "child")
    said = ["2 modalities", "2 queries", "2 histories", "2 days", "2 childs"]
    assert [counted(2, word) for word in words] == said


def test_names_of_files():
    assert file_name("image") == "image"
    assert file_name("l2=300.0-x_y") == "l2=300.0-x_y"
    names = [file_name(n) for n in ("../../x", "..", "", "a/b", "a\\b", "a\x1bb", "é" * 300)]
    for name in names:
        assert re.fullmatch(r"[\w.=-]+", name)
        assert not name.startswith(".")
        assert len(name.encode()) <= 60
    assert len(set(names)) == len(names)
