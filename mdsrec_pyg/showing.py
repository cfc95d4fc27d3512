"""Text that others wrote, made fit to be shown: on a terminal, a page, a picture, a spreadsheet.

Ids, titles, names of modalities and of files come from whoever made the data. None of them may
move the cursor, turn the direction of a line, end a line, or start a formula.
"""

from __future__ import annotations

import html
import json
import math
import re
import zlib
from typing import Any

__all__ = ["counted", "file_name", "json_text", "markdown_text", "sheet_cell", "showable"]

#: What is a command to a terminal or a layout and no letter: control characters, invisible format
#: characters (the bidirectional overrides among them), halves of characters, separators of lines.
#: Those that words are written with stay: joiners of Persian and of emoji, Arabic number signs.
_COMMAND = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_FULL_WIDTH = ("\uff1d", "\uff0b", "\uff0d", "\uff20")  # = + - @, which some programs read alike
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def showable(text: object, longest: int | None = None, keep: str = "") -> str:
    r"""A text with what is no letter written as Python writes it: ``\x1b``, ``\n``, ``\u202e``.

    Plain text comes back as it is, whatever its script.

    Args:
        text: What is shown; other things are taken by ``str``.
        longest: Most characters, the last ones then ``...``. Default: all.
        keep: Characters that stay as they are, such as the ends of lines.
    """
    plain = str(text)
    if longest is not None and len(plain) > longest:  # escapes are longer: cut before and after
        plain = plain[: longest + 1]
    plain = _COMMAND.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), plain)
    if longest is not None and len(plain) > longest:
        plain = plain[: max(longest - 3, 0)] + "..."
    return plain


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def counted(number: int, word: str, words: str | None = None) -> str:
    """A number and what is counted: ``1 row``, ``2,000 rows``.

    Args:
        number: How many.
        word: What one is called.
        words: What several are called. Default: ``word`` with an s, ``query`` becoming ``queries``.
    """
    if words is None:
        words = f"{word[:-1]}ies" if word.endswith(("ry", "ty")) else f"{word}s"
    return f"{number:,} {word if number == 1 else words}"


def json_text(content: Any, indent: int | None = None) -> str:
    r"""JSON for programs that may pass a terminal: no ``NaN``, no command.

    A number that is none is ``null``, as JSON knows no other word for it. In strings commands to a
    terminal are written ``\\u009b``, which is the same string; letters of any script stay.

    Args:
        content: What JSON can hold.
        indent: Spaces a level. Default: one line.

    Raises:
        TypeError: ``content`` holds something else.
    """
    text = json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)
    return _COMMAND.sub(
        lambda found: found[0] if found[0] == "\n" else _json_escape(found[0]), text
    )


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return content


def _json_escape(char: str) -> str:
    """The one or two units of UTF-16 that JSON writes a character with."""
    data = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{data[i : i + 4]}" for i in range(0, len(data), 4))


def markdown_text(text: object, longest: int | None = None) -> str:
    """The same for Markdown: no markup, no HTML, no end of a cell or line.

    Args:
        text: What is shown.
        longest: Most characters before the escapes.
    """
    plain = html.escape(showable(text, longest), quote=False)
    # An underscore within a word is none of emphasis.
    return re.sub(r"([\\`*\[\]|#~!]|(?<!\w)_|_(?!\w))", r"\\\1", plain)


def sheet_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe before ``= + - @``, tab and CR.

    As OWASP recommends against CSV injection
    (https://owasp.org/www-community/attacks/CSV_Injection). Plain numbers stay as they are.

    Args:
        text: The cell.
    """
    starts = text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", *_FULL_WIDTH))
    return f"'{text}" if starts and not _NUMBER.fullmatch(text) else text


def file_name(text: object, longest: int = 60) -> str:
    """A name that a file can have in the folder it is meant for, and nowhere else.

    Letters, digits, ``.``, ``-``, ``_`` and ``=`` stay, the rest becomes ``-``. A name that was
    changed or cut ends in a hash, so that two stay two.

    Args:
        text: The name wanted.
        longest: Most characters.
    """
    plain = str(text)
    name = re.sub(r"[^\w.=-]+", "-", plain)
    if name.startswith("."):  # hidden, or the folder above
        name = f"-{name}"
    if name == plain and 0 < len(name.encode()) <= longest:
        return name
    tail = f"{zlib.crc32(plain.encode('utf-8', 'surrogatepass')):08x}"
    while len(name.encode("utf-8", "replace")) > longest - 9:
        name = name[:-1]
    return f"{name}-{tail}"
