"""The public surface: what the top level exports, and what importing it does to the process."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import mdsrec_pyg

#: What the README uses. A name more or less is a decision: it stands here, and it has a page.
NAMES = [
    *("EASE", "FolderDataset", "GRU4Rec", "Interactions", "LightGraphConv", "MDSRec"),
    *("ModalFeature", "Popularity", "Retriever", "SASRec", "SyntheticDataset", "Trainer"),
    *("__version__", "build_item_graph", "build_mdsrec", "evaluate", "leave_last_out"),
    *("recommend", "seed_everything", "temporal_split"),
]
FOLDERS = [
    *("data", "datasets", "encoders", "evaluation", "export", "graphs", "inspection", "nn"),
    *("retrieval", "training"),
]
# Heavy, or for one task only: each is imported where it is used.
LAZY = [
    *("fastapi", "uvicorn", "prometheus_client"),
    *("matplotlib", "transformers", "sentence_transformers", "faiss", "timm", "PIL", "httpx"),
    *("huggingface_hub", "tensorboard", "mlflow", "wandb", "jsonargparse", "pytest"),
    *("onnx", "onnxscript", "onnxruntime"),
]

# What the requirements do on import (scikit-learn sets variables of OpenMP, for one) is theirs.
PROBE = """
import json, os, random, sys, warnings
warnings.simplefilter("ignore")
import numpy, pandas, pyarrow.parquet, scipy.linalg, scipy.sparse, scipy.stats, sklearn.cluster
import torch, torch_geometric.nn, tqdm
try:
    import torch_scatter, torch_sparse
except ImportError:
    pass
torch.manual_seed(3), numpy.random.seed(3), random.seed(3)

def state():
    numbers = random.getstate(), numpy.random.get_state(), torch.get_rng_state().tolist()
    settings = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    process = dict(os.environ), numpy.geterr(), os.getcwd(), warnings.filters[:]
    return str((numbers, settings, process))

before, held = state(), set(sys.modules)
import mdsrec_pyg
alone = sorted(set(sys.modules) - held)
for name in mdsrec_pyg.__all__:  # each is imported when it is first used
    getattr(mdsrec_pyg, name)
modules = sorted(set(sys.modules) - held)
print(json.dumps({"same": before == state(), "modules": modules, "alone": alone}))
"""


@pytest.fixture(scope="module")
def after_import() -> dict:
    command = [sys.executable, "-c", PROBE]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_the_top_level_exports_what_the_readme_uses() -> None:
    assert sorted(mdsrec_pyg.__all__) == sorted(NAMES)


def test_importing_leaves_the_process_as_it_was(after_import: dict) -> None:
    assert after_import["same"]


def test_importing_is_not_importing_everything(after_import: dict) -> None:
    found = {name.split(".")[0] for name in after_import["modules"]}
    assert found.isdisjoint(LAZY)


def test_the_top_level_imports_a_name_when_it_is_used(after_import: dict) -> None:
    assert after_import["alone"] == ["mdsrec_pyg", "mdsrec_pyg.version"]
    assert {"mdsrec_pyg.nn", "mdsrec_pyg.retrieval"} <= set(after_import["modules"])
    assert set(mdsrec_pyg.__all__) <= set(dir(mdsrec_pyg))
    with pytest.raises(AttributeError, match="'mdsrec_pyg' has no attribute 'Modle'"):
        mdsrec_pyg.Modle  # noqa: B018


def test_the_lazy_names_are_the_exported_ones() -> None:
    """Type checkers read the imports, Python the table: they must name the same."""
    source = ast.parse(Path(mdsrec_pyg.__file__).read_text(encoding="utf-8"))
    imports = {
        (node.module, alias.name)
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mdsrec_pyg.")
        for alias in node.names
    }
    table = {(f"mdsrec_pyg.{home}", n) for home, names in mdsrec_pyg._HOMES.items() for n in names}
    assert imports == table | {("mdsrec_pyg.version", "__version__")}
    assert {name for _, name in imports} == set(mdsrec_pyg.__all__)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_name_says_what_it_is(folder: str) -> None:
    module = importlib.import_module(f"mdsrec_pyg.{folder}")
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert (inspect.getdoc(value) or "").strip(), f"{folder}.{name}"
            own = (value.__doc__ or "").strip()
            assert own, f"{folder}.{name} has no docstring of its own"
