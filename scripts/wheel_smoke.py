"""What must work where only the wheel is installed; ``check_wheel.py`` runs a copy of it there.

The first argument is the checkout: nothing may be imported from it, and its pages say what a user
is told to run.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import pkgutil
import re
import subprocess
import sys
import urllib.request
import warnings
from importlib.metadata import version
from pathlib import Path

import torch

import mdsrec_pyg
from mdsrec_pyg import (
    MDSRec,
    SyntheticDataset,
    Trainer,
    build_mdsrec,
    evaluate,
    leave_last_out,
)
from mdsrec_pyg.data import SequenceBatch

CHECKOUT = Path(sys.argv[1])
QUICKSTART = CHECKOUT / "docs" / "start.md"


def check_place() -> None:
    """The library comes from this environment, and nothing else of the checkout is found."""
    assert Path(mdsrec_pyg.__file__).is_relative_to(sys.prefix), mdsrec_pyg.__file__
    assert version("mdsrec_pyg") == mdsrec_pyg.__version__
    assert str(CHECKOUT) not in sys.path
    for name in ("benchmarks", "examples", "scripts", "tests"):
        spec = importlib.util.find_spec(name)
        for place in (spec and spec.submodule_search_locations) or ():
            assert Path(place).parent != CHECKOUT, place


def check_names() -> int:
    """Every module is imported, every public name looked up; their number."""
    names = 0
    without = "._triton" if importlib.util.find_spec("triton") is None else "no such module"
    for found in pkgutil.walk_packages(mdsrec_pyg.__path__, "mdsrec_pyg."):
        if found.name.endswith((without, "__main__")):
            continue
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            getattr(module, name)
            names += 1
    return names


def check_training() -> None:
    """A small model is trained for an epoch, asked, saved, and loaded by another process."""
    dataset = SyntheticDataset(200, 150, seed=0)
    split = leave_last_out(dataset.interactions)
    model = build_mdsrec(dataset.features, split.train)
    with contextlib.redirect_stdout(io.StringIO()):
        Trainer(model, epochs=1).fit(split.train, split.val)
    print("  " + str(evaluate(model, split.test)).splitlines()[0])
    model.save("model")
    with torch.no_grad():
        torch.save(model.eval()(batch()), "scores.pt")
    subprocess.run([sys.executable, __file__, str(CHECKOUT), "load"], check=True)
    print("  saved, and loaded by another process with the same scores")


def batch() -> SequenceBatch:
    """Two histories."""
    return SequenceBatch.from_histories([[3, 14, 15], [92]], 50)


def load() -> None:
    """What the other process does."""
    model = MDSRec.load("model")
    with torch.no_grad():
        assert torch.equal(model(batch()), torch.load("scores.pt"))


def check_quickstart() -> None:
    """The first Python of the docs' quickstart."""
    code = re.search(r"^```python\n(.*?)^```", QUICKSTART.read_text(), re.M | re.S)
    assert code is not None, f"{QUICKSTART.name} holds no Python"
    Path("quickstart.py").write_text(code.group(1))
    command = [sys.executable, "-W", "ignore", "quickstart.py"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(f"  {QUICKSTART.name}: {len(done.stdout.splitlines())} lines printed")


def check_command_line() -> None:
    """``python -m mdsrec_pyg`` and the installed command."""
    command = Path(sys.executable).with_name("mdsrec")
    for start in ([sys.executable, "-m", "mdsrec_pyg"], [str(command)]):
        for words in (["--help"], ["doctor"]):
            done = subprocess.run([*start, *words], check=True, capture_output=True, text=True)
            assert done.stdout.strip(), f"{' '.join(words)} printed nothing"
    print("  mdsrec --help and mdsrec doctor run")


def check_service() -> None:
    """The steps of the Dockerfile's last lines: ``mdsrec serve`` answers about a saved model."""
    command = [str(Path(sys.executable).with_name("mdsrec")), "serve", "model", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = re.search(r"http://[\d.:]+", process.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(f"{address[0]}/health", timeout=120) as answer:
                health = json.load(answer)
        finally:
            process.terminate()
        assert process.wait(60) == 0
    print(f"  mdsrec serve: {health['status']}, {health['items']} items, and ended well")


def main() -> None:
    """All of it."""
    warnings.simplefilter("ignore")
    if sys.argv[2:] == ["load"]:
        load()
        return
    check_place()
    print(f"  {check_names()} public names in {sys.prefix}")
    check_training()
    check_quickstart()
    check_command_line()
    check_service()


if __name__ == "__main__":
    from mdsrec_pyg.cli.ending import run_script  # that of the wheel, whose place main() checks

    sys.exit(run_script(main))
