"""The public surface: what the top level exports, and what importing it does to the process."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys

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
    *("data", "datasets", "encoders", "evaluation", "graphs", "inspection", "nn", "retrieval"),
    "training",
]
# Heavy, or for one task only: each is imported where it is used.
LAZY = [
    *("matplotlib", "transformers", "sentence_transformers", "faiss", "timm", "PIL", "httpx"),
    *("huggingface_hub", "tensorboard", "mlflow", "wandb", "jsonargparse", "pytest"),
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
print(json.dumps({"same": before == state(), "modules": sorted(set(sys.modules) - held)}))
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


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_name_says_what_it_is(folder: str) -> None:
    module = importlib.import_module(f"mdsrec_pyg.{folder}")
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert (inspect.getdoc(value) or "").strip(), f"{folder}.{name}"
            own = (value.__doc__ or "").strip()
            assert own, f"{folder}.{name} has no docstring of its own"
