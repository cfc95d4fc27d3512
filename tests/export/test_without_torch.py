"""The guide's few lines answer where there is neither torch nor this library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg.retrieval import Retriever
from tests.export.export_cases import NUM_ITEMS, make

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "export.md"
HISTORIES = [["item-3", "item-14"], ["item-7"], ["item-1", "item-1", "item-5"] * 5]
#: An import of either is an error in this process.
BEFORE = "import sys\nsys.modules['torch'] = sys.modules['mdsrec_pyg'] = None\n"
AFTER = f"""
print(json.dumps(program.recommend({HISTORIES})))
assert sys.modules["torch"] is None and not any(name.startswith("torch.") for name in sys.modules)
"""


def lines() -> str:
    """The block of the guide that has the class."""
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.M | re.S)
    (found,) = [block for block in blocks if "class Program" in block]
    return str(found)


def test_the_guide_answers_as_the_retriever(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model: Any = make("sasrec")
    model.item_ids = [f"item-{i}" for i in range(NUM_ITEMS)]
    model.export(tmp_path / "shop-onnx", k=5, exclude_seen=True)
    script = BEFORE + lines().replace('"item-141"', '"item-14"') + AFTER
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    table = Retriever(model).recommend(HISTORIES, 5, exclude_seen=True)
    assert [item for row in found for item, _ in row] == table["item"].tolist()
    scores = [score for row in found for _, score in row]
    assert scores == pytest.approx(table["score"].tolist(), abs=1e-5)
    (tmp_path / "shop-onnx" / "items.json").write_text("[]")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "items.json is not as it was exported" in done.stderr
