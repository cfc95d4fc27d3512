"""Every public name has its entry in the API pages, and no entry is of a name that has gone."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import mdsrec_pyg

API = Path(__file__).parents[2] / "docs" / "api"
PACKAGES = [
    found.name
    for found in pkgutil.walk_packages(mdsrec_pyg.__path__, "mdsrec_pyg.")
    # What reads files and what runs the command line are used by this library only.
    if found.ispkg and not found.name.startswith(("mdsrec_pyg.datasets.reading", "mdsrec_pyg.cli"))
]


def entries(folder: str) -> set[str]:
    """Full names that the page of a folder has: of its tables and its single data."""
    text = (API / f"{folder}.rst").read_text(encoding="utf-8")
    names = re.findall(r"^   ([A-Za-z_][\w.]*)$|^\.\. py:data:: ([\w.]+)$", text, re.MULTILINE)
    return {f"mdsrec_pyg.{folder}.{first or second}" for first, second in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_its_entry(package: str) -> None:
    folder = package.split(".")[1]
    listed = {id(_value(name)) for name in entries(folder)}
    module = importlib.import_module(package)
    missing = [name for name in module.__all__ if id(getattr(module, name)) not in listed]
    assert missing == [], f"docs/api/{folder}.rst has no entry for these names of {package}"


@pytest.mark.parametrize("page", sorted(path.stem for path in API.glob("*.rst")))
def test_every_entry_exists(page: str) -> None:
    if page != "index":
        for name in entries(page):
            _value(name)


def test_the_top_level_is_complete() -> None:
    text = (API / "index.rst").read_text(encoding="utf-8")
    named = set(re.findall(r":obj:`(\w+)`", text))
    assert named == set(mdsrec_pyg.__all__)
    pages = set(re.findall(r"^   (\w+)$", text.split("toctree::")[1], re.MULTILINE))
    folders = {package.split(".")[1] for package in PACKAGES}
    assert pages == folders


def _value(name: str) -> object:
    value: object = mdsrec_pyg
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value
