"""Builds the source archive and the wheel, and tries the wheel outside of the checkout.

    python scripts/check_wheel.py             # make wheel-check
    python scripts/check_wheel.py --keep DIR  # and keeps both files

The wheel is built from the source archive, so both are tried. Then an environment is made in a
temporary folder, the wheel installed without its requirements, and ``wheel_smoke.py`` run there.
The requirements (gigabytes) are borrowed: a ``.pth`` file appends this interpreter's package
folders to the search path. A folder that is added so has its own ``.pth`` files ignored, through
which alone an editable install finds the checkout.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

from mdsrec_pyg.cli.ending import run_script

ROOT = Path(__file__).resolve().parents[1]
#: Beside the package itself and its metadata.
IN_ARCHIVE = {
    "Dockerfile",
    "LICENSE",
    "MANIFEST.in",
    "PKG-INFO",
    "README.md",
    "pyproject.toml",
    "setup.cfg",
}
LICENSE_AND_METADATA = {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE", "top_level.txt"}


def copy_checkout(to: Path) -> None:
    """What git tracks or would: nothing that earlier builds left behind."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # else removed, but still in git's index
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def run(*command: str | Path, cwd: Path, quiet: bool = True) -> None:
    """A command without Python's settings of the environment; its output where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    output = subprocess.PIPE if quiet else None
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout or "")
        raise SystemExit(f"failed: {' '.join(map(str, command))}")


def build(work: Path) -> tuple[Path, Path]:
    """The source archive, and the wheel made from it."""
    checkout, dist = work / "checkout", work / "dist"
    copy_checkout(checkout)
    backend = "from setuptools import build_meta; import sys; build_meta.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", backend, dist, cwd=checkout)
    (archive,) = dist.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    run(*pip, "-w", dist, archive, cwd=work)
    (wheel,) = dist.glob("*.whl")
    return archive, wheel


def expect(what: Path, found: set[str], expected: set[str]) -> None:
    """Both sets are the same, or the difference is the error."""
    if found != expected:
        missing, more = sorted(expected - found), sorted(found - expected)
        raise SystemExit(f"error: {what.name} lacks {missing} and has {more} that do not belong")
    print(f"{what.name}: {len(found)} files, {what.stat().st_size // 1024} KiB")


def check_contents(work: Path, archive: Path, wheel: Path) -> None:
    """The package with its marker of types, metadata, license: no tests, no benchmarks."""
    package = work / "checkout" / "mdsrec_pyg"
    files = {path.relative_to(package.parent).as_posix() for path in package.rglob("*.*")}
    assert "mdsrec_pyg/py.typed" in files
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/"
    metadata = {info + name for name in LICENSE_AND_METADATA}
    if "\n[project.scripts]\n" in (ROOT / "pyproject.toml").read_text():
        metadata.add(f"{info}entry_points.txt")
    with zipfile.ZipFile(wheel) as opened:
        expect(wheel, set(opened.namelist()), files | metadata)
    with tarfile.open(archive) as unpacked:
        members = [member.name for member in unpacked if member.isfile()]
    names = {name.partition("/")[2] for name in members}
    expect(archive, {name for name in names if ".egg-info/" not in name}, files | IN_ARCHIVE)


def make_environment(folder: Path, wheel: Path) -> Path:
    """The interpreter of an environment with the wheel, which borrows its requirements."""
    venv.create(folder)
    python = folder / "bin" / "python"
    install = ["install", "-q", "--no-deps", "--no-index", "--no-compile"]
    run(sys.executable, "-m", "pip", "--python", python, *install, wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    ends = ("site-packages", "dist-packages")
    borrowed = [path for path in sys.path if path.rstrip("/").endswith(ends)]
    (packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    return python


def main() -> None:
    """Builds, looks into both files, runs what a user would run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keep", type=Path, help="takes the source archive and the wheel")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="mdsrec-wheel-") as name:
        work = Path(name).resolve()
        archive, wheel = build(work)
        check_contents(work, archive, wheel)
        python = make_environment(work / "fresh", wheel)
        elsewhere = work / "elsewhere"
        elsewhere.mkdir()
        shutil.copy(ROOT / "scripts" / "wheel_smoke.py", elsewhere)
        run(python, "wheel_smoke.py", ROOT, cwd=elsewhere, quiet=False)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for path in (archive, wheel):
                shutil.copy(path, keep)


if __name__ == "__main__":
    sys.exit(run_script(main))
