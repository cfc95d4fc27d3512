from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

import pytest

import mdsrec_pyg
import mdsrec_pyg.nn

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


def test_version_is_that_of_the_project() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["version"] == mdsrec_pyg.__version__


@pytest.mark.parametrize("name", ["", ".nn", ".nn.models", ".nn.conv", ".data", ".datasets"])
def test_every_exported_name_is_there(name: str) -> None:
    module = importlib.import_module(f"mdsrec_pyg{name}")
    assert len(set(module.__all__)) == len(module.__all__)
    for export in module.__all__:
        assert hasattr(module, export)


def test_every_module_can_be_imported() -> None:
    without_triton = importlib.util.find_spec("triton") is None  # comes with torch for CUDA only
    for module in pkgutil.walk_packages(mdsrec_pyg.__path__, "mdsrec_pyg."):
        if not (without_triton and module.name.endswith("._triton")):
            importlib.import_module(module.name)
