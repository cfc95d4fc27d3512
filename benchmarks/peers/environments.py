"""Other libraries beside ours: an environment for each, and processes that answer commands.

python -m benchmarks.peers.environments recbole rectools   # only makes the environments
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.harness import ROOT, child_environment
from mdsrec_pyg.cli.ending import run_script

FOLDER = Path(__file__).resolve().parent
ENVIRONMENTS = ROOT / ".venv-peers"
PEERS = ("recbole", "rectools")
CHOICES = ("none", *PEERS, "all")


class PeerError(OSError):
    """A peer cannot be installed, cannot start, or broke off."""


def chosen(peers: str) -> list[str]:
    """The peers that a value of ``--peers`` stands for."""
    return {"none": [], "all": list(PEERS)}.get(peers, [peers])


def interpreter(name: str) -> Path:
    """The Python of a peer's environment."""
    parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return ENVIRONMENTS.joinpath(name, *parts)


def is_ready(name: str) -> bool:
    """Whether the environment was made whole from the requirements as they are now."""
    marker = ENVIRONMENTS / name / "requirements.txt"
    return marker.exists() and marker.read_text() == _requirements(name).read_text()


def make(name: str) -> float:
    """Makes the environment of a peer unless it is there; the seconds that it took.

    Raises:
        PeerError: If the packages cannot be installed, such as without a network.
    """
    if is_ready(name):
        return 0.0
    start = time.perf_counter()
    print(f"making the environment of {name} (a few minutes) ...", flush=True)
    venv.create(ENVIRONMENTS / name, clear=True, with_pip=True)
    command = [str(interpreter(name)), "-m", "pip", "install", "-q", "-r", str(_requirements(name))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise PeerError(f"{name} cannot be installed: {lines[-1]}")
    # Last, so that an environment whose making broke off is made anew.
    (ENVIRONMENTS / name / "requirements.txt").write_text(_requirements(name).read_text())
    return time.perf_counter() - start


def _requirements(name: str) -> Path:
    return FOLDER / f"{name}.txt"


class Worker:
    """A process that sets something up and then answers commands, a line of JSON each.

    Args:
        name: Name for messages.
        python: Interpreter.
        module: Module that calls ``serve`` of ``worker.py`` when it is run.
        spec: What the module is to set up; it finds it as a JSON file, its first argument.
        folder: Folder of its own for what it writes.
        threads: Threads of PyTorch and its libraries.

    Raises:
        PeerError: If the module breaks off before it is set up.
    """

    def __init__(
        self,
        name: str,
        python: Path,
        module: str,
        spec: Mapping[str, Any],
        folder: Path,
        threads: int,
    ) -> None:
        self.name = name
        folder.mkdir(parents=True)
        self._messages = folder / "messages.txt"
        path = folder / "spec.json"
        path.write_text(json.dumps({**spec, "scratch": str(folder), "threads": threads}))
        with self._messages.open("w") as messages:
            self._process = subprocess.Popen(
                [str(python), "-m", module, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                cwd=folder,
                env=_variables(threads),
            )
        #: What the worker says once it is set up: versions, and whatever its module adds.
        self.ready = self._reply()

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer.

        Raises:
            PeerError: If the command fails or the process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended; the answer that is missing says why
        return self._reply()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        reply: dict[str, Any] = json.loads(line) if line else {"error": self._last_message()}
        if "error" in reply:
            self.close()
            raise PeerError(f"{self.name}: {reply['error']}")
        return reply

    def _last_message(self) -> str:
        self._process.wait()
        lines = self._messages.read_text().strip().splitlines() or ["no message"]
        return f"ended with code {self._process.returncode}: {lines[-1]}"


def _variables(threads: int) -> dict[str, str]:
    """Environment variables of a worker."""
    return child_environment() | {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": str(threads)}


def take_turns(
    workers: Mapping[str, Worker], command: str, repeats: int, warmup: int = 1, **arguments: Any
) -> dict[str, list[dict[str, Any]]]:
    """Answers of all workers to the same command, in turn: a noisy machine is noisy for all."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    total = (warmup + repeats) * len(workers)
    with tqdm(total=total, desc=command, leave=False, disable=None) as bar:
        for turn in range(warmup + repeats):
            for name, worker in workers.items():
                answer = worker.ask(command, **arguments)
                bar.update()
                if turn >= warmup:
                    answers[name].append(answer)
    return answers


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the environments that are asked for."""
    parser = argparse.ArgumentParser(description="Makes the environments of other libraries.")
    parser.add_argument("names", nargs="*", default=list(PEERS), choices=PEERS)
    for name in parser.parse_args(arguments).names:
        print(f"{name}: made in {make(name):.0f} s")


if __name__ == "__main__":
    sys.exit(run_script(main))
