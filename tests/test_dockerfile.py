"""The Dockerfile copies what exists and is released, runs what the package has, as nobody."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mdsrec_pyg.cli.main import COMMANDS, load_command
from scripts.check_wheel import IN_ARCHIVE

ROOT = Path(__file__).resolve().parents[1]
STEPS = [
    (step.partition(" ")[0], step.partition(" ")[2])
    for step in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    if step and not step.startswith("#")
]


def of(kind: str) -> list[str]:
    return [rest for name, rest in STEPS if name == kind]


def sources() -> list[str]:
    """What is copied from the checkout."""
    copies = [copy.split() for copy in of("COPY") if not copy.startswith("--from=build")]
    return [source for *part, _ in copies for source in part]


def test_what_is_copied_exists_and_is_in_the_source_archive() -> None:
    assert set(sources()) == {"mdsrec_pyg", *IN_ARCHIVE} - {"PKG-INFO", "Dockerfile"}
    for source in sources():
        assert (ROOT / source).exists()


def test_the_image_is_slim_of_the_cpu_and_runs_as_nobody() -> None:
    assert {image.split()[0] for image in of("FROM")} == {"python:3.12-slim"}
    setup = (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")
    version = re.search(r'^CPU_TORCH="(.*)"', setup, re.MULTILINE)
    index = re.search(r'^CPU_INDEX="(.*)"', setup, re.MULTILINE)
    assert version is not None
    assert index is not None
    installs = [run for run in of("RUN") if "pip install" in run]
    assert f"--index-url {index[1]} torch=={version[1]}" in installs[0]
    assert "[serve]" in installs[1]
    assert "cuda" not in str(installs).lower()
    names = [name for name, _ in STEPS]
    (user,) = of("USER")
    assert user == "10001"
    assert f"--uid {user}" in str(of("RUN"))
    assert "RUN" not in names[names.index("USER") :]


def test_what_is_started_is_a_command_with_its_options() -> None:
    program, command = json.loads(of("ENTRYPOINT")[0])
    assert program == "mdsrec"
    assert command in COMMANDS
    args = load_command(command).parse(json.loads(of("CMD")[0]))
    assert (args.folder, args.host) == ("/model", "0.0.0.0")
    assert of("EXPOSE") == [str(args.port)]
    assert f"127.0.0.1:{args.port}/health" in of("HEALTHCHECK")[0]


@pytest.mark.slow
def test_the_wheel_is_built_from_what_is_copied(tmp_path: Path) -> None:
    for source in sources():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / source)
    (step,) = (run for run in of("RUN") if "pip wheel" in run)
    words = step.replace("/wheels", str(tmp_path / "wheels")).split()
    command = [sys.executable, "-m", *words, "--no-build-isolation", "--quiet"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    files = {path.relative_to(ROOT) for path in (ROOT / "mdsrec_pyg").rglob("*.*")}
    wanted = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    assert wanted <= names
