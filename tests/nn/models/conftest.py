"""MDSRec over the small world of tests/nn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mdsrec_pyg.nn import MDSRec

DEFAULTS: dict[str, Any] = {"channels": 4, "max_length": 12, "vote_hidden": 6}


@pytest.fixture
def make_mdsrec(world, perturb) -> Callable[..., MDSRec]:
    """Builds a model with everything on, in evaluation mode, away from its start."""

    def build(**options: Any) -> MDSRec:
        parts = {name: getattr(world, name) for name in ("graphs", "centers", "relations")}
        torch.manual_seed(0)
        defaults = dict(DEFAULTS)
        if options.get("relations", world.relations) is None:  # what would have no effect warns
            del defaults["vote_hidden"]
        model = MDSRec(**{**parts, **defaults, **options})
        perturb(model)
        return model.eval()

    return build


@pytest.fixture
def folder(make_mdsrec: Callable[..., MDSRec], tmp_path: Path) -> Path:
    """A saved model with everything on, and the ids i0 to i23."""
    make_mdsrec().save(tmp_path / "model", item_ids=[f"i{i}" for i in range(24)])
    return tmp_path / "model"
