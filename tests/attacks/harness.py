"""What every attack shares: a process of its own for each try, and the count of how it ended.

A try runs in a child forked from a process that has imported everything, so that it costs
milliseconds; it may hang, take all memory or be killed, and nobody else notices.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import io
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

SECONDS = 20.0
MEMORY = 2_000_000_000

#: How a try may end, and what the column is called. Those after ``REFUSED`` are faults.
RIGHT, OTHER, REFUSED = "right", "read otherwise", "refused, named"
UNNAMED, TRACEBACK, SILENT = "refused, unnamed", "from below", "silently wrong"
HANG, TOO_MUCH, LEFT = "hang", "memory", "left or lost"
ENDS = (RIGHT, OTHER, REFUSED, UNNAMED, TRACEBACK, SILENT, HANG, TOO_MUCH, LEFT)
FAULTS = ENDS[ENDS.index(UNNAMED) :]


@dataclass(frozen=True)
class Child:
    """How a child ended.

    ``kind`` is ``'value'``, ``'error'``, ``'hang'``, ``'memory'`` or ``'killed'``; ``value`` what
    it returned, or the name of the error's type; ``message`` the error's; ``where`` the line that
    raised it.
    """

    kind: str
    value: Any = None
    message: str = ""
    where: str = ""
    seconds: float = 0.0


@dataclass
class Count:
    """The tries of one attack, and of each fault the first examples."""

    attack: str
    ends: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, end: str, case: str, detail: str = "") -> None:
        """Counts a try; of the same fault at the same place one example is kept."""
        self.ends[end] += 1
        known = {(e["end"], e["detail"][:60]) for e in self.examples}
        if end in FAULTS and (end, detail[:60]) not in known and len(self.examples) < 40:
            self.examples.append({"end": end, "case": case, "detail": detail[:400]})

    @property
    def faults(self) -> int:
        """Number of tries that ended as none may."""
        return sum(self.ends[end] for end in FAULTS)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ends": dict(self.ends), "tries": self.ends.total()}


def forked(
    call: Callable[..., Any],
    *given: Any,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    kill_after: float | None = None,
) -> Child:
    """Calls something in a forked child.

    Args:
        call: What it returns must fit into a pickle.
        *given: Its arguments.
        seconds: After so many it hangs, and is killed.
        memory: It may take so many bytes more than it starts with.
        kill_after: Seconds until it is killed (SIGKILL) on purpose.
    """
    start_memory = _resident()
    reader, writer = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(partial(call, *given), writer, memory)
    os.close(writer)
    limit = seconds if kill_after is None else kill_after
    answer, done = _receive(reader, started + limit)
    if not done:
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    _, status, usage = os.wait4(pid, 0)
    took = time.monotonic() - started
    grown = usage.ru_maxrss * 1024 - start_memory
    if grown > memory:
        return Child("memory", message=f"{grown / 1e9:.1f} GB", seconds=took)
    if not done:
        kind = "hang" if kill_after is None else "killed"
        return Child(kind, message=f"over {limit:g} s", seconds=took)
    if not answer:
        return Child("killed", message=f"signal {os.WTERMSIG(status)}", seconds=took)
    kind, value, message, where = pickle.loads(answer)
    return Child(kind, value, message, where, took)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _receive(reader: int, deadline: float) -> tuple[bytes, bool]:
    """All that the child writes, and whether it came to its end in time."""
    parts: list[bytes] = []
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            part = os.read(reader, 1 << 16)
            if not part:
                return b"".join(parts), True
            parts.append(part)
    return b"".join(parts), False


def _child(call: Callable[[], Any], writer: int, memory: int) -> None:
    """The child's whole life; it never returns."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    # Addresses are reserved generously: the limit only ends what would take the machine down.
    resource.setrlimit(resource.RLIMIT_AS, (used + memory + 4_000_000_000,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # tqdm's lock is one of all forked processes: who is killed holding it would stop the others.
    tqdm.set_lock(threading.RLock())
    # PyTorch makes its pool anew at its first use after a fork, and threads that begin just then
    # may find none ("Invalid thread pool!"): made here, while there is one thread.
    torch.set_num_threads(torch.get_num_threads())
    faulthandler.disable()  # of pytest: a child that dies is counted, not described
    quiet = open(os.devnull, "w")  # noqa: SIM115
    os.dup2(quiet.fileno(), 1)
    os.dup2(quiet.fileno(), 2)
    sys.stdout = sys.stderr = quiet
    try:
        answer = ("value", call(), "", "")
    except BaseException as error:
        # torch says so by a RuntimeError; a ValueError about it is a refusal.
        claims = isinstance(error, RuntimeError) and "allocate memory" in str(error)
        kind = "memory" if claims or isinstance(error, MemoryError) else "error"
        name = "ValueError" if isinstance(error, ValueError) else type(error).__name__
        name = "OSError" if isinstance(error, OSError) else name
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {'/'.join(Path(last.filename).parts[-2:])}:{last.name}"
        answer = (kind, name, str(error)[:2000], where)
    with os.fdopen(writer, "wb") as file:
        file.write(pickle.dumps(answer))
    os._exit(0)


def end_of(child: Child, names: Iterable[str], expected: Any = None, other: str = OTHER) -> str:
    """How a try ended.

    Args:
        child: The child.
        names: A refusal must name one of these.
        expected: What is right.
        other: What it is to return something else.
    """
    if child.kind == "value":
        return RIGHT if child.value == expected else other
    if child.kind == "error" and child.value in ("ValueError", "OSError"):
        return REFUSED if any(name in child.message for name in names) else UNNAMED
    return {"hang": HANG, "memory": TOO_MUCH}.get(child.kind, TRACEBACK)


def detail_of(child: Child) -> str:
    """What the child said."""
    return f"{child.where or child.kind}: {child.message}" if child.kind != "value" else "value"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one try."""
    path = Path(tempfile.mkdtemp(prefix="attack-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def copy(source: Path, target: Path) -> Path:
    """A copy of a folder that was made once."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    return target


def made(make: Callable[[Path], object], folder: Path) -> Path:
    """A new folder with what ``make`` writes into it."""
    folder.mkdir()
    make(folder)
    return folder


def digest(content: Any) -> str:
    """Short text that changes with bytes, arrays, tensors or plain values."""
    if hasattr(content, "numpy"):
        content = content.detach().cpu().numpy()
    if (
        hasattr(content, "tobytes")
        and hasattr(content, "dtype")
        and getattr(content.dtype, "kind", "O") != "O"
    ):
        content = f"{content.dtype} {content.shape}".encode() + content.tobytes()
    data = content if isinstance(content, bytes) else repr(content).encode("utf-8", "replace")
    return hashlib.sha256(data).hexdigest()[:16]


def files_in(folder: Path) -> dict[str, str]:
    """Hash of every file of a folder, hidden ones too, by its path in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[str(path.relative_to(folder))] = digest(path.read_bytes())
    return found


def command(*words: object) -> str:
    """A command of ``mdsrec`` in this process: its output.

    Raises:
        ValueError: The command ended with a mistake; the message is what it said. More than one
            line about it is a traceback, a RuntimeError here.
    """
    from mdsrec_pyg.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    if code in (0, None):
        return out.getvalue()
    said = [line for line in err.getvalue().splitlines() if "error: " in line]
    if len(said) != 1 or code not in (1, 2):
        raise RuntimeError(f"exit code {code}: {err.getvalue()[-400:]}")
    raise ValueError(said[0])


def table(counts: Iterable[Count | Mapping[str, Any]]) -> str:
    """The counts as a table in Markdown."""
    rows = [count.to_dict() if isinstance(count, Count) else count for count in counts]
    lines = [
        f"| attack | tries | {' | '.join(ENDS)} |",
        f"|---|---{'|---' * len(ENDS)}|",
    ]
    for row in rows:
        ends = [str(row["ends"].get(end, 0)) for end in ENDS]
        lines.append(f"| {row['attack']} | {row['tries']} | {' | '.join(ends)} |")
    total = Counter[str]()
    for row in rows:
        total.update(row["ends"])
    ends = [str(total[end]) for end in ENDS]
    return "\n".join([*lines, f"| all | {total.total()} | {' | '.join(ends)} |"])
