"""Trains a model of this library for the training benchmark, on command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.peers.worker import Command, Meter, first, read_spec, seconds_of_each, serve
from benchmarks.trials import make_model
from mdsrec_pyg import FolderDataset, seed_everything
from mdsrec_pyg.data import SequenceLoader
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.evaluation import target_ranks
from mdsrec_pyg.nn.models import SequentialRecommender
from mdsrec_pyg.retrieval import Retriever
from mdsrec_pyg.training.optimizer import make_optimizer

spec = read_spec()


def set_up() -> Mapping[str, Command]:
    """Builds the model; the commands."""
    device = torch.device(spec["device"])
    dataset = FolderDataset(spec["folder"], modalities=spec["modalities"])
    split = SPLITS[spec["split"]](dataset)
    seed_everything(spec["seed"])
    names = ("channels", "num_layers", "num_heads", "dropout", "max_length")
    options = {**{name: spec[name] for name in names}, **spec["options"]}
    model = make_model(spec["model"], dataset, split.train, spec["seed"], options).to(device)
    assert isinstance(model, SequentialRecommender)
    loader = SequenceLoader(split.train, spec["max_length"], spec["batch_size"], seed=spec["seed"])
    optimizer = make_optimizer(model, spec["lr"], 0.0)
    meter = Meter(spec["device"])

    def epoch(steps: int | None) -> dict[str, Any]:
        model.train()
        positions = 0
        with meter:
            for batch in first(loader, steps):
                positions += batch.num_positions
                optimizer.zero_grad()
                model.loss(batch.to(device)).backward()
                optimizer.step()
        loader.set_epoch(loader.epoch + 1)
        return {"seconds": meter.seconds, "positions": positions, "peak": meter.peak}

    def rank(split_name: str, path: str) -> dict[str, Any]:
        part = split.val if split_name == "val" else split.test
        np.savez(path, ranks=target_ranks(model, part, exclude_seen=False))
        return {}

    def recommend(calls: int, k: int) -> dict[str, Any]:
        retriever = Retriever(model)

        def one(number: int) -> list[int]:
            history = split.test.history(number % len(split.test)).tolist()
            return retriever.recommend([history], k, exclude_seen=True)["item"].tolist()

        return {"seconds": seconds_of_each(one, calls), "first": one(0)}

    return {"epoch": epoch, "rank": rank, "recommend": recommend}


if __name__ == "__main__":
    serve(set_up, ["torch"])
