"""What must work where only the wheel is installed; ``check_wheel.py`` runs a copy of it there.

The first argument is the checkout: nothing may be imported from it, and its pages say what a user
is told to run.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import pkgutil
import re
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import mdsrec_pyg
from mdsrec_pyg import SyntheticDataset, Trainer, build_mdsrec, evaluate, leave_last_out, nn
from mdsrec_pyg.data import SequenceBatch

CHECKOUT = Path(sys.argv[1])
#: Parts without which the wheel is wrong: a name is added here with the part that it names, one of
#: "command line", "quickstart of the docs", "save and load". Until then a part may be missing.
REQUIRED = frozenset({"save and load"})


def missing(part: str) -> None:
    """Says that a part is not there, which is an error once it is required."""
    if part in REQUIRED:
        raise SystemExit(f"error: {part}: required, but not in the wheel")
    print(f"  {part}: not there yet")


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
    model: Any = build_mdsrec(dataset.features, split.train)
    with contextlib.redirect_stdout(io.StringIO()):
        Trainer(model, epochs=1).fit(split.train, split.val)
    print("  " + str(evaluate(model, split.test)).splitlines()[0])
    if not hasattr(nn.MDSRec, "load"):
        missing("save and load")
        return
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
    kind: Any = nn.MDSRec
    model = kind.load("model")
    with torch.no_grad():
        assert torch.equal(model(batch()), torch.load("scores.pt"))


def check_quickstart() -> None:
    """The first Python of the docs' quickstart, or as long as there is none of the README."""
    pages = sorted(page for page in (CHECKOUT / "docs").rglob("*.md") if "start" in page.stem)
    if not pages:
        missing("quickstart of the docs")
    page = pages[0] if pages else CHECKOUT / "README.md"
    code = re.search(r"^```(?:\{.*\} ?)?python\n(.*?)^```", page.read_text(), re.M | re.S)
    assert code is not None, f"{page.name} holds no Python"
    Path("quickstart.py").write_text(code.group(1))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "quickstart.py"],
        check=True,
        capture_output=True,
        text=True,
    )
    print(f"  {page.relative_to(CHECKOUT)}: {len(done.stdout.splitlines())} lines printed")


def check_command_line() -> None:
    """``python -m mdsrec_pyg`` and the installed command."""
    if importlib.util.find_spec("mdsrec_pyg.__main__") is None:
        missing("command line")
        return
    command = Path(sys.executable).with_name("mdsrec")
    for start in ([sys.executable, "-m", "mdsrec_pyg"], [str(command)]):
        for words in (["--help"], ["doctor"]):
            done = subprocess.run([*start, *words], check=True, capture_output=True, text=True)
            assert done.stdout.strip(), f"{' '.join(words)} printed nothing"
    print("  mdsrec --help and mdsrec doctor run")


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


if __name__ == "__main__":
    main()
