"""The command line as a process: start-up, Ctrl-C, pipes, completion in a shell."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mdsrec_pyg.training.checkpoint import load_checkpoint
from tests.signals import heeds_ctrl_c

COMMAND = [sys.executable, "-m", "mdsrec_pyg"]


def test_overview_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from mdsrec_pyg.cli.main import main; code = main(['--help']);"
        "heavy = {'torch', 'numpy', 'pandas', 'jsonargparse'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_ctrl_c_keeps_finished_epochs(shop: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "train", "--data", str(shop), "--directory", "run", "--model.channels", "8"]
    words += ["--num-centers", "0", "--trainer.epochs", "5000", "--trainer.patience", "5000"]
    process = subprocess.Popen(
        words,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_ctrl_c,
    )
    end = time.monotonic() + 120
    while not (tmp_path / "run" / "best.pt").exists() and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command continues the run in run" in out
    assert "Traceback" not in err
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    kept = re.search(r"kept: (\d+) finished epoch", out)
    assert kept is not None, out
    # The signal may fall between the files of an epoch: last.pt is whole, and resuming mends them.
    epoch = load_checkpoint(tmp_path / "run" / "last.pt")["epoch"]
    assert epoch in (int(kept[1]) - 1, int(kept[1]))
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line)


def test_reader_that_leaves(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "--help"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_completion_in_bash(call: Any, tmp_path: Path) -> None:
    done = call("--print-completion", "bash")
    assert done.code == 0
    (tmp_path / "mdsrec.sh").write_text(done.out)
    script = """
    source mdsrec.sh
    for line in "tr" "train --graph.beh" "train --graph.behavior co" "prepare movielens --min-r"; do
        COMP_WORDS=(mdsrec $line) COMP_CWORD=$(set -- $line; echo $#) COMPREPLY=()
        _shtab_mdsrec
        echo "${COMPREPLY[@]}"
    done
    """
    found = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.split("\n") == ["train", "--graph.behavior", "count", "--min-rating", ""]
    assert call("--print-completion=zsh").out.startswith("#compdef mdsrec")
