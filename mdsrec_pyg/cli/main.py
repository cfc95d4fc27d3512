"""Dispatch of ``mdsrec``: one module a command, imported only when it is chosen.

Options come from the typed configurations by jsonargparse, not typer: a field of a dataclass is an
option with its default, its type and its sentence of the docstring (``--relations.l2 300``), and
the same names stand in a YAML file (``--config``); typer would need each option written out again.
jsonargparse is imported with the command, so that ``mdsrec --help`` needs neither it nor torch.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType

from mdsrec_pyg.cli.ending import FINE, USAGE, run_script
from mdsrec_pyg.version import __version__

__all__ = ["COMMANDS", "main"]

#: The commands and what each does.
COMMANDS = {
    "prepare": "raw files of a public source, or made-up data -> a data set folder",
    "encode": "texts and images of a data set folder -> features, by pretrained models",
    "inspect": "look before you train: counts, figures, warnings that say what to do",
    "train": "train MDSRec on a data set folder, evaluate it, leave a run folder",
    "evaluate": "metrics of a run again, by popularity, and against another run",
    "update": "a run over a data set that has grown, without training it again",
    "recommend": "the best items for a history, from a run",
    "serve": "a run as a service over HTTP, and a page to look at",
    "similar": "the items that are most like one, from a run",
    "export": "a run as a program for ONNX Runtime or torch.export",
    "bench": "how fast propagation, training and ranking are on this machine",
    "doctor": "what is installed, which kernels run, what to do",
}
SHELLS = ("bash", "zsh", "tcsh")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: The words after ``mdsrec``; default: those of the process.

    Returns:
        The exit code: 0 fine; 1 a mistake in the data or the options that the library names, or a
        problem that ``doctor`` found; 2 wrong usage; 130 interrupted; 141 the reader of the output
        has gone.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or bool(os.environ.get("MDSREC_DEBUG"))
    return run_script(lambda: _dispatch(words), debug=debug)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return FINE if words else USAGE
    if words[0] in ("-V", "--version"):
        print(f"mdsrec_pyg {__version__}")
        return FINE
    if words[0].partition("=")[0] == "--print-completion":
        return _print_completion(words)
    if words[0] not in COMMANDS:
        near = get_close_matches(words[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
        print(f"error: mdsrec has no command {words[0]!r}: {hint}", file=sys.stderr)
        return USAGE
    command = load_command(words[0])
    code: int = command.run(command.parse(words[1:]))
    return code


def load_command(name: str) -> ModuleType:
    """The module of a command: ``make_parser()``, ``parse(argv)`` and ``run(args)``."""
    return importlib.import_module(f"mdsrec_pyg.cli.{name}")


def overview() -> str:
    """The help of ``mdsrec`` itself."""
    lines = [
        "usage: mdsrec COMMAND ...",
        "",
        "Multimodal sequential recommendation on PyTorch Geometric.",
        "",
        *(f"  {name:<10} {text}" for name, text in COMMANDS.items()),
        "",
        "  mdsrec COMMAND --help           the options of a command, with their defaults",
        "  mdsrec --print-completion bash  a script that completes commands and options",
        f"                                  ({', '.join(SHELLS)})",
        "  mdsrec --version",
        "",
        "Results go to standard output, progress and messages to standard error. Exit codes:",
        "0 fine, 1 a mistake in data or options, 2 wrong usage, 130 interrupted. --debug",
        "(or MDSREC_DEBUG=1) shows where an error came from.",
    ]
    return "\n".join(lines)


def _print_completion(words: list[str]) -> int:
    shell = words[0].partition("=")[2] or (words[1] if len(words) > 1 else "")
    if shell not in SHELLS:
        shells = ", ".join(SHELLS)
        print(f"error: --print-completion must be {shells} (got {shell!r})", file=sys.stderr)
        return USAGE
    from mdsrec_pyg.cli.completion import completion_script

    modules = {name: load_command(name) for name in COMMANDS}
    parsers = {
        name: {part: module.make_parser(part) for part in module.SOURCES}
        if hasattr(module, "SOURCES")
        else module.make_parser()
        for name, module in modules.items()
    }
    print(completion_script(parsers, shell))
    return FINE
