"""The part of benchmarks/gpu_check.py that runs the tests."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.gpu_rows import Row, Scale, figure
from benchmarks.harness import ROOT

TEST_SECONDS = 115  # less than the part may take, so that what ran is told
RESULT = r"\b(PASSED|FAILED|ERROR|SKIPPED)\b"


def tests(scale: Scale) -> Iterator[Row]:
    """The tests that need a GPU, and those that run on every device there is."""
    mentions = [p for p in sorted(ROOT.glob("tests/**/test_*.py")) if "cuda" in p.read_text()]
    runs = {"that need a GPU": [*map(str, mentions), "-m", "gpu"]}
    if scale.miniature:
        runs = {"that need a GPU": ["tests/nn/conv/test_triton.py", "-m", "gpu"]}
    elif (ROOT / "tests/nn/test_device.py").exists():
        runs["on every device"] = ["tests/nn/test_device.py"]
    for name, chosen in runs.items():
        count, failed, whole = outcomes(chosen, TEST_SECONDS / len(runs))
        yield figure(f"tests {name}: passed", count["PASSED"], "tests")
        yield figure(f"tests {name}: failed", len(failed), "tests", 0)
        if not whole:
            yield figure(f"tests {name}: not all of them ran in time", None, "")
        for test in failed:
            yield figure(f"failed: {test}", None, "")


def outcomes(chosen: Sequence[str], limit: float) -> tuple[Counter[str], list[str], bool]:
    """How many tests passed, failed or were skipped, which failed, and whether all came to it."""
    words = [sys.executable, "-W", "ignore", "-m", "pytest", *chosen, "-v", "-p"]
    words += ["no:cacheprovider", "--tb=no", "--show-capture=no"]
    if importlib.util.find_spec("xdist") is not None:  # most of the time is compiling
        words += ["-n", "6"]
    whole = True
    with tempfile.TemporaryFile("w+") as said:
        try:
            subprocess.run(words, cwd=ROOT, stdout=said, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            whole = False
        said.seek(0)
        text = said.read()
    count, failed = Counter[str](), []
    for line in text.splitlines():
        test, result = re.search(r"tests/\S+::.*?(?= [A-Z]|$)", line), re.search(RESULT, line)
        if test and result and not line.startswith(("FAILED", "ERROR", "SKIPPED")):
            count[result.group()] += 1
            failed += [test.group()] * (result.group() in ("FAILED", "ERROR"))
    if whole and not count:
        raise ValueError(f"pytest ran no test: {text[-300:]}")
    return count, failed, whole
