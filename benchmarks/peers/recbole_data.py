"""RecBole's configuration and data set, made of the interactions that every peer gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import init_seed

from benchmarks.peers.sequences import Sequences

NAME = "data"


def load(
    spec: dict[str, Any], data: Sequences, model: Any, options: dict[str, Any]
) -> tuple[Config, Any, tuple[Any, ...]]:
    """Configuration, data set, and the loaders of training, validation and test.

    RecBole splits by itself: the last interaction of each user, the last but one, the rest. Every
    item of the catalog stands in an item file, so that items without interactions are ranked, too.
    """
    _write(Path(spec["scratch"]) / NAME, data)
    settings = {
        "data_path": spec["scratch"],
        "checkpoint_dir": spec["scratch"],
        "use_gpu": spec["device"] != "cpu",
        "seed": spec["seed"],
        "state": "ERROR",
        "show_progress": False,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]},
        "MAX_ITEM_LIST_LENGTH": spec["max_length"],
        "eval_args": {
            "split": {"LS": "valid_and_test"},
            "group_by": "user",
            "order": "TO",
            "mode": "full",
        },
        "train_neg_sample_args": None,
        "metrics": ["Recall", "NDCG"],
        "topk": [10, 20],
        "valid_metric": "NDCG@10",
        "metric_decimal_place": 12,
    }
    config = Config(model=model, dataset=NAME, config_dict={**settings, **options})
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    return config, dataset, data_preparation(config, dataset)


def item_ids(dataset: Any, num_items: int) -> np.ndarray:
    """RecBole's id of each of our items."""
    return np.array([dataset.token2id("item_id", str(item)) for item in range(num_items)])


def _write(folder: Path, data: Sequences) -> None:
    folder.mkdir()
    rows = zip(data.user, data.item, data.step, strict=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"{user}\t{item}\t{step}" for user, item, step in rows]
    (folder / f"{NAME}.inter").write_text("\n".join(lines) + "\n")
    items = "\n".join(map(str, range(data.num_items)))
    (folder / f"{NAME}.item").write_text(f"item_id:token\n{items}\n")
