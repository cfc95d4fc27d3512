"""Reads interactions with RecBole for the benchmark of the readers, on command."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole.config import Config
from recbole.data import create_dataset

from benchmarks.peers.histories import describe
from benchmarks.peers.worker import Command, Meter, read_spec, serve

spec = read_spec()


def configuration(path: Path) -> Config:
    """The three columns of a file ``<name>/<name>.inter``; nothing filtered, nothing saved."""
    settings = {
        "data_path": str(path.parents[1]),
        "checkpoint_dir": spec["scratch"],
        "use_gpu": False,
        "state": "ERROR",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "user_inter_num_interval": None,
        "item_inter_num_interval": None,
        "rm_dup_inter": None,
        "train_neg_sample_args": None,
    }
    return Config(model="SASRec", dataset=path.stem, config_dict=settings)


def set_up() -> Mapping[str, Command]:
    """The command."""

    def read(reader: str, form: str, path: str, warm_up: str) -> dict[str, Any]:
        create_dataset(configuration(Path(warm_up)))
        config = configuration(Path(path))
        meter = Meter("cpu")
        busy = time.process_time()
        with meter:
            dataset = create_dataset(config)
        used = {"seconds": meter.seconds, "cpu": time.process_time() - busy, "peak": meter.peak}
        # Rows in the order of the file: RecBole sorts later, when it splits.
        columns = [dataset.inter_feat[name] for name in ("user_id", "item_id", "timestamp")]
        user, item, seconds = (getattr(column, "values", column) for column in columns)
        raw = [dataset.field2id_token[name] for name in ("user_id", "item_id")]
        return {**used, **describe(user, item, seconds, *raw)}

    return {"read": read}


if __name__ == "__main__":
    serve(set_up, ["recbole", "pandas", "numpy"])
