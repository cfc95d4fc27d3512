"""Parsers whose options are the fields of the typed configurations."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import types
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from inspect import cleandoc
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import jsonargparse

from mdsrec_pyg.configs import Config
from mdsrec_pyg.showing import showable

__all__ = ["Namespace", "Parser", "add_config", "argument_texts", "metavar_of", "option_texts"]

Namespace = jsonargparse.Namespace


#: What jsonargparse calls by names of Python.
_SAID = {
    # What one of several numbers is not; no other option holds values by name.
    r"Expected an? <class 'float'>\. Got value: .+?(?= - Expected)": "expected numbers by name",
    r"Expected an? <class 'dict'>": "expected numbers by name",
    r"Expected an? typing\.Literal\[([^\]]*)\]": r"expected one of \1",
    r"Expected an? typing\.Optional\[([^\]]*)\]": r"expected \1 or null",
    r"Expected an? <class 'int'>": "expected a whole number",
    r"Expected an? <class 'float'>": "expected a number",
    r"Expected an? <class 'bool'>": "expected true or false",
    r"Expected an? <class 'NoneType'>": "expected null",
    r"\. Got value: (.*)$": r" (got \1)",
}
_UNION = r"Does not validate against any .* Errors: - (.*) Given value type: .* Given value: (.*)$"


class _Formatter(jsonargparse.DefaultHelpFormatter):
    """Each option with its default, and without Python's names of types."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=34, **options)

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        plain = action.nargs == 0 or action.default is argparse.SUPPRESS or action.required
        if plain or re.search(r"\bdefault: ", text, flags=re.IGNORECASE):
            return text
        if not action.option_strings and action.default is None:
            return text
        return f"{text} (default: {_shown(action)})".strip()


def _shown(action: argparse.Action) -> str:
    """A default as it would be written on the command line."""
    value = action.default
    if value is None:
        return "null" if "null" in str(action.metavar) else "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    return json.dumps(value) if isinstance(value, dict) else str(value) or "none"


class Parser(jsonargparse.ArgumentParser):
    """Options of one command; a mistake is said in two lines, with the option that was meant.

    Args:
        command: Name of the command.
        description: What it does.
        epilog: Examples, shown as they are.
    """

    def __init__(
        self, command: str = "", description: str = "", epilog: str = "", **more: Any
    ) -> None:
        more.setdefault("prog", f"mdsrec {command}")
        more.setdefault("usage", f"{more['prog']} [OPTIONS]")
        super().__init__(
            description=description,
            formatter_class=_Formatter,
            allow_abbrev=False,
            print_config="--print-config",
            **more,
        )
        self.examples = epilog
        self.files: list[str] = []  # of --config
        self.configs: list[str] = []  # prefixes of the options that add_config has added
        self.add_argument("--debug", action="store_true", help="show where an error came from")

    def read(self, argv: Sequence[str]) -> Namespace:
        """The options given; dashes and underscores in their names are the same."""
        known = {name for action in self._actions for name in action.option_strings}
        words = []
        for word in argv:
            name, equals, value = word.partition("=")
            if name.startswith("--") and name not in known:
                same = [k for k in known if k.replace("-", "_") == name.replace("-", "_")]
                name = same[0] if same else name
            words.append(f"{name}{equals}{value}")
        self.files = [word.removeprefix("--config=") for word in words if "--config=" in word]
        self.files += [after for word, after in itertools.pairwise(words) if word == "--config"]
        try:
            found: Namespace = self.parse_args(words)
        except UnicodeDecodeError as error:
            self.error(f"--config must be a file in UTF-8 (got {', '.join(self.files)}: {error})")
        for group in self.configs:
            if not isinstance(found[group], Namespace):
                self.error(f"--{group} must be options by name, not a value (got {found[group]})")
        return found

    def format_help(self, *args: Any, **options: Any) -> str:
        """The help, with the examples as they were written."""
        for action in self._actions:
            if "--print-config" in action.option_strings:
                action.help = "print all options as YAML, for --config, and exit"
                action.metavar = ""  # jsonargparse's begins with a backspace
        text: str = super().format_help(*args, **options)
        return f"{text.rstrip()}\n\nexamples:\n{self.examples}\n" if self.examples else text

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Says what is wrong and where the help is; exit code 2."""
        message = " ".join(message.split())
        message = re.sub(r'^Parser key "([^"]+)": ', r"--\1: ", message)
        for found, said in _SAID.items():
            message = re.sub(found, said, message)
        message = re.sub(_UNION, _either, message)
        message = showable(message)
        meant, files = self._meant(message), ", ".join(map(showable, self.files))
        # Who wrote an option, the command line or the file, is not known here.
        said = f"; with --config {files}" if files and files not in message else ""
        lines = [f"error: {message}{meant}{said}", f"help: {self.prog} --help"]
        self.exit(2, "\n".join(lines) + "\n")
        raise AssertionError("exit returns never")

    def _meant(self, message: str) -> str:
        """The option that was probably meant, where the message names one that does not exist."""
        found = re.search(r"[Uu]nrecognized arguments: (\S+)|[Oo]ption '([^']+)' is not", message)
        if found is None:
            return ""
        given = (found[1] or f"--{found[2]}").partition("=")[0]
        known = [name for action in self._actions for name in action.option_strings]
        near = get_close_matches(given, known, n=1, cutoff=0.5)
        last = [name for name in known if name.rpartition(".")[2] == given.lstrip("-")]
        near = last or near
        return f" (did you mean {near[0]}?)" if near else ""


def add_config(
    parser: Parser, group: str, title: str, default: Config, skip: Collection[str] = ()
) -> None:
    """Adds every field of a configuration as an option ``--group.field``.

    Type, default and help are the field's own: nothing is said twice.

    Args:
        parser: Gets the options.
        group: Their prefix.
        title: Said above them.
        default: The configuration whose values are the defaults.
        skip: Fields that are no option here.
    """
    parser.configs.append(group)
    part = parser.add_argument_group(title)
    hints, texts = get_type_hints(type(default)), option_texts(type(default))
    for name in default.names():
        if name in skip:
            continue
        hint = hints[name]
        part.add_argument(
            f"--{group}.{name}",
            type=hint,
            default=getattr(default, name),
            help=texts.get(name, ""),
            metavar=metavar_of(hint),
        )


def _either(found: re.Match[str]) -> str:
    """What an option that takes values of several types expects."""
    parts = [part.removeprefix("expected ") for part in found[1].split(" - ")]
    return f"expected {' or '.join(parts)} (got {found[2]})"


def metavar_of(hint: Any) -> str | None:
    """How a value is written; ``None`` where jsonargparse shows the choices itself."""
    choices = _choices(hint)
    if choices is not None:
        return "{" + ",".join(choices) + "}"
    optional = type(None) in get_args(hint)
    names = {int: "INT", float: "FLOAT", str: "TEXT"}
    found: list[str] = []
    for part in get_args(hint) or (hint,):
        found += [names[part]] if part in names else _choices(part) or []
        found += ["{NAME: FLOAT}"] * (part == dict[str, float])
    return "|".join(found + ["null"] * optional) if found else None


def _choices(hint: Any) -> list[str] | None:
    if hint is bool:
        return ["true", "false"]
    if get_origin(hint) is Literal:
        return ["null" if value is None else str(value) for value in get_args(hint)]
    if get_origin(hint) in (Union, types.UnionType):
        parts = [
            ["null"] if part is type(None) else _choices(part)
            for part in sorted(get_args(hint), key=lambda part: part is type(None))
        ]
        if all(part is not None for part in parts):
            return [value for part in parts for value in part or ()]
    return None


def option_texts(config: type[Config]) -> dict[str, str]:
    """What the docstrings say of each field, as plain text; that of a base where one only refers.

    Args:
        config: The class of the configuration.
    """
    texts: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        for name, text in _section(cls.__doc__ or "").items():
            refers = re.fullmatch(r"(?:[^.]*, )?see [\w.]+\.", text, flags=re.IGNORECASE)
            if name not in texts or not refers:
                texts[name] = text
    return texts


def argument_texts(documented: Any) -> dict[str, str]:
    """What the docstring of a class or function says of each argument, as plain text."""
    return _section(documented.__doc__ or "")


def _section(docstring: str) -> dict[str, str]:
    """The section ``Args`` of a docstring; ``a, b: text`` is the text of both."""
    section = re.search(r"^Args:\n(.*?)(?:\n\S|\Z)", cleandoc(docstring), flags=re.S | re.M)
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in [] if section is None else section[1].splitlines():
        start = re.match(r" {4}(\w[\w, ]*): (.*)", line)
        if start:
            names = [name.strip() for name in start[1].split(",")]
            texts.update(dict.fromkeys(names, start[2]))
        else:
            for name in names:
                texts[name] += " " + line.strip()
    return {name: plain(text).strip() for name, text in texts.items()}


def plain(text: str) -> str:
    """A sentence of a docstring without the markup of Sphinx."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?([^`<]+?)`", r"\1", text)
    text = re.sub(r"\\math\w+\{(\w+)\}|\\top\b", lambda found: found[1] or "T", text)
    text = re.sub(r"(?<!\w)\*(\w+)\*(?!\w)", r"\1", text)
    text = re.sub(r"\bNone\b", "null", text)  # as it is written in a YAML file and as an option
    return text.replace("``", "").replace("\\", "")
