"""The Makefile, CI, the README and the project's metadata do not drift apart."""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SETUP = (ROOT / "scripts" / "setup.sh").read_text()
CI = (ROOT / ".ci" / "run").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def requirements(names: list[str]) -> dict[str, Requirement]:
    return {requirement.name: requirement for requirement in map(Requirement, names)}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))


# ---- CI, Makefile, README and metadata say the same ---------------------------------------------


@pytest.mark.parametrize("command", ["make train", "make test"])
def test_ci_runs_what_the_readme_names(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()
    assert re.search(rf"^{command}\b", CI, flags=re.MULTILINE)
    assert re.search(r"^make lint$", CI, flags=re.MULTILINE)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_every_make_command_has_a_target(document: str) -> None:
    named = re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / document).read_text(), flags=re.MULTILINE)
    assert named
    assert set(named) <= make_targets()


def test_hooks_before_a_commit_are_what_lint_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"entry: \.venv/bin/python -m (.*)", hooks)
    lint = MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0]
    commands = re.findall(r"\$\(RUN\) -m (.*)", lint)
    assert len(commands) == 3
    # A hook is given files and may mend them; with files named, ruff would forget its exclusions.
    assert [words.replace(" --force-exclude", "") for words in entries] == [
        words.replace(" --check", "") for words in commands
    ]


def test_folders_that_contributors_are_told_of_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    folders = re.findall(r"^\| `([a-z]+)/` \|", text, flags=re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "mdsrec_pyg").glob("*/__init__.py")}
    assert sorted(folders) == sorted(there)
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("top", ["benchmarks", "tests"])
def test_tests_and_benchmarks_are_packages(top: str) -> None:
    # Else two test files of the same name clash, and mypy takes a helper for a module of its own.
    for path in (ROOT / top).rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path.parent


def test_citation_names_version_and_paper() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {PROJECT['version']}\n" in citation
    names = re.findall(r"given-names: (\w+)\n +family-names: (\w+)", citation)
    authors = [" ".join(name) for name in names]
    assert authors == ["Changhong Li", "Zhiqiang Guo", "Guohui Li", "Li Zou"]
    assert " and ".join(authors) in (ROOT / "README.md").read_text()
    assert "arXiv:2412.08103" in citation


def test_ci_counts_as_ci_and_stops_at_the_first_failure() -> None:
    assert "set -euo pipefail" in CI
    assert 'export CI="${CI:-true}"' in CI


def test_python_range_agrees() -> None:
    allowed = SpecifierSet(PROJECT["requires-python"])
    accepted = re.search(
        r"not \((\d+), (\d+)\) <= sys.version_info\[:2\] < \((\d+), (\d+)\)", SETUP
    )
    assert accepted is not None
    low, high = tuple(map(int, accepted.groups()[:2])), tuple(map(int, accepted.groups()[2:]))
    for minor in range(8, 17):
        assert allowed.contains(f"3.{minor}") == (low <= (3, minor) < high)
    assert f"Python {low[0]}.{low[1]}" in (ROOT / "README.md").read_text()


def test_torch_of_the_cpu_machine_is_in_range() -> None:
    version = re.search(r'^CPU_TORCH="([\d.]+)"', SETUP, flags=re.MULTILINE)
    assert version is not None
    assert requirements(PROJECT["dependencies"])["torch"].specifier.contains(version[1])


@pytest.mark.parametrize("name", ["torch", "torch-scatter", "torch-sparse", "setuptools"])
def test_setup_reads_its_versions_from_pyproject(name: str) -> None:
    assert re.search(rf"requirement {name}\b", SETUP)
    function = re.search(r"^requirement\(\).*$", SETUP, flags=re.MULTILINE)
    assert function is not None
    text = subprocess.check_output(
        ["bash", "-c", f"{function[0]}\nrequirement {name}"], cwd=ROOT, text=True
    )
    assert Requirement(text.strip()).name == name
    assert f'"{text.strip()}"' in (ROOT / "pyproject.toml").read_text()


def test_scipy_has_the_rng_argument_of_the_paired_tests() -> None:
    # New in SciPy 1.15 (https://scientific-python.org/specs/spec-0007).
    assert "rng=" in (ROOT / "mdsrec_pyg" / "evaluation" / "significance.py").read_text()
    scipy = requirements(PROJECT["dependencies"])["scipy"].specifier
    assert not scipy.contains("1.14.1")
    assert scipy.contains("1.15.0")


def test_compiled_extras_stay_out_of_the_plain_install() -> None:
    compiled = {"torch-scatter", "torch-sparse"}
    extras = PROJECT["optional-dependencies"]
    assert not compiled & set(requirements(PROJECT["dependencies"]))
    assert not compiled & set(requirements(extras["dev"]))
    assert set(requirements(extras["sparse"])) == compiled


def test_every_import_of_the_library_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    lists = [PROJECT["dependencies"], *(extras[name] for name in extras if name != "dev")]
    declared = {name.replace("-", "_") for part in lists for name in requirements(part)}
    # Imported by another name than installed by; triton comes with torch where there is CUDA, the
    # last two with httpx.
    names_of = {"scikit_learn": "sklearn", "faiss_cpu": "faiss", "pillow": "PIL"}
    assert set(names_of) < declared
    declared |= {*names_of.values(), "mdsrec_pyg", "triton", "httpcore", "anyio"}
    declared |= {"starlette"}  # what FastAPI is made of
    for path in (ROOT / "mdsrec_pyg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for top in (name.partition(".")[0] for name in names):
                assert top in declared or top in sys.stdlib_module_names, f"{path} imports {top}"


# ---- the library without the extras -------------------------------------------------------------


def test_library_imports_without_the_extras() -> None:
    code = """
import importlib, pkgutil, sys
for name in ("torch_sparse", "torch_scatter", "faiss", "triton", "matplotlib", "httpx", "PIL",
             "sentence_transformers", "transformers", "timm"):
    sys.modules[name] = None
import mdsrec_pyg
# What the public functions import when they are called.
later = ("nn.conv._triton", "inspection.figures", "encoders._fetch", "encoders._transport")
for module in pkgutil.walk_packages(mdsrec_pyg.__path__, "mdsrec_pyg."):
    if not module.name.endswith(later):
        importlib.import_module(module.name)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("script", ["scripts/setup.sh", ".ci/run"])
def test_shell_scripts_parse_and_may_be_run(script: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
    assert (ROOT / script).stat().st_mode & stat.S_IXUSR
