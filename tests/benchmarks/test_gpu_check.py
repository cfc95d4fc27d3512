"""The GPU check's plan runs in miniature without a GPU; a part that fails or hangs costs itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu_check, gpu_parts, gpu_tests
from benchmarks.gpu_rows import Row, figure, judged

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")


def rows_of(part: str, path: Path) -> list[Row]:
    gpu_parts.main([part, "--device", "cpu", "--miniature", "--rows", str(path)])
    return gpu_check.read_rows(path)


def test_every_part_of_the_plan_has_something_to_run() -> None:
    assert list(gpu_check.PARTS) == sorted(gpu_parts.RUN, key=list(gpu_check.PARTS).index)
    assert set(gpu_check.PARTS) == set(gpu_parts.RUN)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("propagation", ["host, a call", "200 x 4, D=8, ours, forward", "gathering at copy speed"]),
        ("step", ["SASRec, batch 128, eager", "SASRecF", "MDSRec-paper", "MDSRec, batch 128"]),
        ("loss", ["64 positions, 300 items, ours", "64 positions, 2,000 items, plain"]),
        ("evaluation", ["300 items, SASRec"]),
        ("building", ["MDSRec of 62 items"]),
        ("training", ["MDSRec of 62 items, built", "trained to its end", "best validation value"]),
    ],
)
def test_miniature(part: str, expected: list[str], tmp_path: Path) -> None:
    rows = rows_of(part, tmp_path / "rows.jsonl")
    names = " / ".join(row["what"] for row in rows)
    assert all(what in names for what in expected), names
    assert all(set(row) == {"what", "value", "unit", "goal"} for row in rows)
    assert any(row["value"] is not None and row["value"] > 0 for row in rows)
    assert "Error" not in names


def test_encoder_in_miniature(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    rows = rows_of("encoder", tmp_path / "rows.jsonl")
    assert [row["unit"] for row in rows] == ["texts/s"] * 2


def test_one_command_a_table_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result.json"
    words = ["--miniature", "--device", "cpu", "--parts", "evaluation", "--out", str(out)]
    gpu_check.main(words)
    printed, result = capsys.readouterr().out, json.loads(out.read_text())
    assert "300 items, SASRec" in printed
    assert [part["part"] for part in result["parts"]] == ["evaluation"]
    assert result["parts"][0]["failure"] is None
    assert set(result) >= {"hardware", "versions", "date", "command", "code"}


def test_a_part_that_fails_or_hangs_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = json.dumps(figure("a figure", 1.0, "ms", 2.0))
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time;"
    texts = {
        "loss": "raise SystemExit('out of memory')",
        "step": f"{child} time.sleep(60)']).wait()",
        "encoder": "pass",
    }

    def command(name: str, args: Any, rows: Path) -> list[str]:
        first = f"open({str(rows)!r}, 'w').write({row!r} + chr(10) + {row[:9]!r})"
        return [sys.executable, "-c", f"{first}.bit_length(); {texts[name]}"]

    monkeypatch.setattr(gpu_check, "command", command)
    monkeypatch.setattr(gpu_check, "PARTS", dict.fromkeys(texts, 2))
    out, start = tmp_path / "result.json", time.perf_counter()
    words = ["--device", "cpu", "--out", str(out), "--parts", *texts]
    gpu_check.main(words)
    assert time.perf_counter() - start < 30
    parts = {part["part"]: part for part in json.loads(out.read_text())["parts"]}
    assert parts["loss"]["failure"] == "out of memory"
    assert parts["step"]["failure"] == "ended after 2 s"
    assert parts["encoder"]["failure"] is None
    assert all(part["rows"] == [json.loads(row)] for part in parts.values())
    printed = capsys.readouterr().out
    assert "goals met: 3, missed: 0" in printed
    assert "loss did not come to its end: out of memory" in printed


@pytest.mark.parametrize("whole", [True, False])
def test_the_tests_that_failed_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: bool
) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], **options: Any) -> None:
        ran.append(words)
        options["stdout"].write(
            "tests/a.py::test_a[1-two words] FAILED [ 20%]\n"
            "[gw0] [ 40%] PASSED tests/a.py::test_b\n"
            "tests/a.py::test_c SKIPPED (needs more) [ 60%]\ntests/a.py::test_d ERROR [ 80%]\n"
            "FAILED tests/a.py::test_a[1-two words] - off by one\n"
        )
        if not whole:
            raise subprocess.TimeoutExpired(words, 1)

    monkeypatch.setattr(gpu_tests.subprocess, "run", run)
    rows = rows_of("tests", tmp_path / "rows.jsonl")
    assert [row["value"] for row in rows[:2]] == [1, 2]
    assert rows[1]["goal"] == 0
    said = [row["what"] for row in rows[2:]]
    named = ["failed: tests/a.py::test_a[1-two words]", "failed: tests/a.py::test_d"]
    late = ["tests that need a GPU: not all of them ran in time"]
    assert said == (named if whole else late + named)
    assert ran[0][ran[0].index("-m", 5) + 1] == "gpu"


def test_no_time_left(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    words = ["--miniature", "--device", "cpu", "--minutes", "0", "--out", str(out)]
    gpu_check.main(words)
    parts = json.loads(out.read_text())["parts"]
    assert {part["failure"] for part in parts} == {"no time left"}


def test_verdicts() -> None:
    assert judged(figure("time", 3.0, "ms", 3.0)) == "met"
    assert judged(figure("time", 3.1, "ms", 3.0)) == "missed"
    assert judged(figure("speed", 3.1, "users/s", 3.0)) == "met"
    assert judged(figure("speed", 2.0, "times faster", 2.2)) == "missed"
    assert judged(figure("time", 3.0, "ms")) == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(ValueError, match="needs a GPU; --miniature --device cpu"):
        gpu_check.main([])
