"""What the workers of all libraries share: commands in, answers out, time and peak memory.

Runs in the environments of the peers, too: nothing but the standard library and PyTorch.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch

Command = Callable[..., dict[str, Any]]


def read_spec() -> dict[str, Any]:
    """What is to be set up; sets the threads."""
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(spec["threads"])
    sys.argv = sys.argv[:1]  # RecBole reads the command line, too
    return spec


def serve(set_up: Callable[[], Mapping[str, Command]], packages: Iterable[str]) -> None:
    """Sets up, says so with the versions of the packages, and answers until the input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like: that is no answer
    _answer(out, lambda: commands.update(set_up()) or {name: version(name) for name in packages})
    for line in sys.stdin:
        request = json.loads(line)
        command = commands[request.pop("command")]
        _answer(out, lambda: command(**request))  # noqa: B023 - called at once


commands: dict[str, Command] = {}


def _answer(out: Any, run: Command) -> None:
    try:
        answer = run()
    except Exception as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    out.write(json.dumps(answer) + "\n")
    out.flush()


def first(batches: Iterable[Any], steps: int | None) -> Iterator[Any]:
    """The first batches of an epoch, or all of them."""
    return islice(iter(batches), steps)


def seconds_of_each(call: Callable[[int], Any], calls: int) -> list[float]:
    """Seconds of each of so many calls one after the other; the first one is not counted."""
    seconds = []
    for number in range(calls + 1):
        start = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


class Meter:
    """Seconds and peak memory of what runs in a ``with`` block.

    Memory is counted above what was held when the meter was made, after the set-up. On the CPU it
    is the peak of the resident set less the pages of files, which are libraries that the system
    drops and reads again as it likes (Linux only, else ``None``); on CUDA the allocated memory.
    """

    def __init__(self, device: str) -> None:
        self.cuda = torch.device(device).type == "cuda"
        self.seconds = 0.0
        self.peak: int | None = None
        self.base = torch.cuda.memory_allocated() if self.cuda else _resident("RssAnon")

    def __enter__(self) -> Meter:
        """Starts."""
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        else:
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                self.base = None
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops."""
        if self.cuda:
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self._start
        peak = torch.cuda.max_memory_allocated() if self.cuda else _resident("VmHWM", "RssFile")
        self.peak = None if self.base is None or peak is None else max(0, peak - self.base)


def _resident(field: str, less: str | None = None) -> int | None:
    """Bytes of a field of the process's status, less those of another; ``None`` without Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = {name: int(rest.split()[0]) for name, rest in _fields(lines) if "kB" in rest}
    return 1024 * (kilobytes[field] - (kilobytes[less] if less else 0))


def _fields(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, rest = line.partition(":")
        yield name, rest
