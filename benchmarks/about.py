"""What a figure must say of where it comes from: code, hardware, versions, date, command."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch_geometric


def about(threads: int, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Code, hardware, versions, date and command of this run."""
    name = Path(sys.argv[0]).stem
    # Names instead of whole paths: where a folder lies says something of one machine only.
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    hardware = f"{processor()}, {threads} thread(s)"
    if torch.device(device).type == "cuda":
        hardware = torch.cuda.get_device_name()
    return {
        "code": code_version(),
        "hardware": hardware,
        "versions": {"torch": torch.__version__, "torch_geometric": torch_geometric.__version__},
        "date": date.today().isoformat(),
        "command": f"python -m benchmarks.{name} {shlex.join(words)}",
    }


def code_version() -> str:
    """The commit that the figures come from; with a plus sign where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty=+"]
    found = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def processor() -> str:
    """Name of the processor, as far as the system says it, and its vector instructions."""
    info = Path("/proc/cpuinfo")
    kind = f"({platform.machine()}, {torch.backends.cpu.get_cpu_capability()})"
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':')[1].strip()} {kind}"
    return f"{platform.processor() or platform.machine()} {kind}"
