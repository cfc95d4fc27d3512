"""``mdsrec doctor`` and ``mdsrec bench``: what they look at is really looked at."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from mdsrec_pyg.cli import bench, checks
from mdsrec_pyg.nn.conv import LightGraphConv


def states(found: Any) -> dict[str, str]:
    return {check.name: check.state for check in found}


def test_doctor(call: Any) -> None:
    done = call("doctor", "--json")
    result = json.loads(done.out)
    assert done.code == (1 if result["problems"] else 0)
    found = {check["name"]: check for check in result["checks"]}
    assert found["torch"]["found"] == torch.__version__
    assert "cpu: chosen, agrees" in found["kernel embedding_bag"]["found"]
    assert found["kernel sparse_csr"]["state"] == "ok"
    assert {f"extra {name}" for name in checks.EXTRAS} <= set(found)
    for check in result["checks"]:
        assert check["state"] in ("ok", "note", "problem")
        assert bool(check["advice"]) == (check["state"] != "ok"), check
    text = call("doctor").out
    assert "torch-geometric" in text
    assert f"{result['problems']} problem" in text


def test_a_wrong_kernel_is_a_problem(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = LightGraphConv.forward

    def wrong(self: LightGraphConv, *args: Any) -> torch.Tensor:
        return right(self, *args) * (1.0 if self.kernel == "sparse_csr" else 1.01)

    monkeypatch.setattr(LightGraphConv, "forward", wrong)
    found = states(checks.check_kernels("cpu"))
    assert found == {"kernel embedding_bag": "problem", "kernel sparse_csr": "ok"}
    assert call("doctor").code == 1


def test_a_wrong_gradient_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    right = LightGraphConv.forward

    def wrong(self: LightGraphConv, x: torch.Tensor, *graph: Any) -> torch.Tensor:
        return right(self, x, *graph) + x.sum() - x.sum().detach()

    monkeypatch.setattr(LightGraphConv, "forward", wrong)
    assert set(states(checks.check_kernels("cpu")).values()) == {"problem"}


def test_a_kernel_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: LightGraphConv, *args: Any) -> torch.Tensor:
        raise RuntimeError("no such instruction\nand more")

    monkeypatch.setattr(LightGraphConv, "forward", broken)
    chosen, other = checks.check_kernels("cpu")
    assert (chosen.state, other.state) == ("problem", "note")
    assert chosen.found.endswith("does not run: no such instruction")


def test_absent_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    there = checks.version_of
    gone = {"faiss-cpu", "scipy", "torch-sparse"}
    monkeypatch.setattr(checks, "version_of", lambda name: None if name in gone else there(name))
    extras = {check.name: check for check in checks.check_extras()}
    assert extras["extra ann"].state == "note"
    assert "pip install 'mdsrec_pyg[ann]'" in extras["extra ann"].advice
    assert "--no-build-isolation 'mdsrec_pyg[sparse]'" in extras["extra sparse"].advice
    needed = {check.name: check for check in checks.check_versions()}
    assert (needed["scipy"].state, needed["numpy"].state) == ("problem", "ok")
    assert needed["scipy"].advice == "pip install scipy"


def test_every_requirement_is_looked_at() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("\ndependencies = [")[1].split("\n]")[0]
    assert set(re.findall(r'"([\w-]+)', section)) == set(checks.NEEDED)


def test_every_extra_is_looked_at() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    assert extras - {"dev", "docs"} <= set(checks.EXTRAS)


def test_torch_sparse_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_sparse")

    def broken(name: str) -> None:
        raise OSError(f"{name}.so: undefined symbol\nand more")

    monkeypatch.setattr(checks.importlib, "import_module", broken)
    found = checks.check_sparse()
    assert found.found.endswith("torch_scatter.so: undefined symbol")
    assert found.state == "problem"
    assert "pip uninstall" in found.advice


@pytest.mark.parametrize(
    ("driver", "cuda", "state", "said"),
    [
        (False, None, "ok", "none found"),
        (True, None, "note", "torch is built for the CPU"),
        (True, "12.8", "note", "finds no GPU"),
    ],
)
def test_gpu(
    monkeypatch: pytest.MonkeyPatch, driver: bool, cuda: str | None, state: str, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(checks.shutil, "which", lambda name: "found" if driver else None)
    monkeypatch.setattr(checks.Path, "exists", lambda path: False)
    found = checks.check_gpu()
    assert (found.state, said in found.found) == (state, True)


@pytest.mark.parametrize(
    ("mode", "asked", "state"),
    [
        ("[always] madvise never", None, "ok"),
        ("always [madvise] never", None, "note"),
        ("always [madvise] never", "1", "ok"),
        ("always madvise [never]", None, "ok"),
    ],
)
def test_huge_pages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str, asked: str | None, state: str
) -> None:
    (tmp_path / "enabled").write_text(mode)
    monkeypatch.setattr(checks, "HUGE_PAGES", tmp_path / "enabled")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if asked is not None:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", asked)
    assert checks.check_huge_pages().state == state


def test_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "not" / "yet"))
    assert set(states(checks.check_folders()).values()) == {"ok"}
    monkeypatch.setattr(checks, "can_write", lambda folder: False)
    found = states(checks.check_folders())
    assert (found["folder of runs"], found["cache of models"]) == ("problem", "note")


def test_can_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert checks.can_write(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []

    def refuse(**options: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(checks.tempfile, "NamedTemporaryFile", refuse)
    assert not checks.can_write(tmp_path)


SIZES = ("--num-nodes", 60, "--num-neighbors", 3, "--channels", 8, "--num-users", 60)


def test_bench(call: Any) -> None:
    done = call("bench", *SIZES, "--num-items", 62, "--repeats", 3, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    rows = result["rows"]
    kernel = "triton" if torch.cuda.is_available() else "embedding_bag"
    assert f"LightGraphConv {kernel} (chosen)" in [row["run"] for row in rows]
    assert len({row["group"] for row in rows}) == 4
    for row in rows:
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"]
    assert result["about"]["num_nodes"] == 60
    text = bench.table(result)
    assert "benchmarks" in text
    for row in rows:
        assert f"{row['median_ms']:.2f}" in text


def test_bench_measures_what_it_says() -> None:
    """All ways of propagation give the same; sorting finds the ranks that evaluation counts."""
    args = bench.parse([str(word) for word in (*SIZES, "--num-items", 62)])
    groups = dict(bench.groups(args, "cpu"))
    propagation = groups["propagation, forward and backward"]
    gradients = [call() for call in propagation.values()]
    for gradient in gradients[1:]:
        assert torch.allclose(gradient, gradients[0], atol=1e-5)
    counted, ranks = (call() for call in groups["ranks of all test targets"].values())
    plain = counted.ranks % 1 == 0
    assert plain.sum() > 10
    assert torch.cat(ranks).numpy()[plain].tolist() == counted.ranks[plain].tolist()
    kept, anew = (call() for call in groups["top 10 for 512 users"].values())
    assert kept.equals(anew)


def test_ratios_are_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])

    def takes(seconds: float) -> Any:
        def run() -> None:
            clock[0] += seconds

        return run

    rows = bench.measure("group", {"a": takes(0.002), "b": takes(0.005)}, 3, "cpu")
    assert [(row["median_ms"], row["times_the_first"]) for row in rows] == [(2.0, 1.0), (5.0, 2.5)]
