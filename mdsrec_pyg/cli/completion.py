"""Tab completion: a static script for the shell, which starts no Python."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import shtab

__all__ = ["completion_script"]


def completion_script(
    commands: Mapping[str, argparse.ArgumentParser | Mapping[str, argparse.ArgumentParser]],
    shell: str,
) -> str:
    """The script that completes commands, options and choices.

    Args:
        commands: The parser of each command, or of each of its parts.
        shell: ``'bash'``, ``'zsh'`` or ``'tcsh'``.
    """
    top = argparse.ArgumentParser(prog="mdsrec", description="MDSRec")
    parts = top.add_subparsers()
    for name, parser in commands.items():
        if isinstance(parser, Mapping):
            below = parts.add_parser(name, help=name, add_help=False).add_subparsers()
            for part, own in parser.items():
                _copy_options(own, below.add_parser(part, help=own.description, add_help=False))
        else:
            _copy_options(parser, parts.add_parser(name, help=parser.description, add_help=False))
    script: str = shtab.complete(top, shell=shell)
    return script


def _copy_options(parser: argparse.ArgumentParser, plain: argparse.ArgumentParser) -> None:
    """What is completed of an option: its names, its choices, whether it takes a file."""
    for action in parser._actions:
        names = action.option_strings or [action.dest]
        # Of the text a shell shows one line, and a percent sign would be a format of argparse.
        help_text = (action.help or "").split(". ")[0].replace("%", "%%")
        if action.nargs == 0:
            plain.add_argument(*names, action="store_true", help=help_text)
            continue
        shown = action.metavar if isinstance(action.metavar, str) else ""
        choices = list(action.choices or ())
        if not choices and shown.startswith("{"):
            choices = shown.strip("{}").split(",")
        more = {"nargs": action.nargs} if action.nargs in ("?", "*", "+") else {}
        copy = plain.add_argument(*names, choices=choices or None, help=help_text, **more)  # type: ignore[arg-type]
        if shown in ("FOLDER", "RUN", "FILE"):
            copy.complete = shtab.FILE if shown == "FILE" else shtab.DIRECTORY  # type: ignore[attr-defined]
