"""Trains RecTools' SASRec for the training benchmark, on command."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from benchmarks.peers.sequences import Sequences, save_vectors
from benchmarks.peers.worker import Command, Meter, read_spec, seconds_of_each, serve

spec = read_spec()


class Epoch(Callback):
    """Times an epoch from its start to its end and counts its positions."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.positions = meter, 0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Starts the clock."""
        self.positions = 0
        self.meter.__enter__()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        """Counts the positions that have a target."""
        self.positions += int((batch["y"] != 0).sum())

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stops the clock."""
        self.meter.__exit__()


def training_part(data: Sequences) -> Dataset:
    """The training part as RecTools' data set; the place in the sequence stands for the time."""
    rows = data.in_training
    table = {
        "user_id": data.user[rows],
        "item_id": data.item[rows],
        "weight": 1.0,
        "datetime": pd.Timestamp("2020-01-01") + pd.to_timedelta(data.step[rows], unit="s"),
    }
    return Dataset.construct(pd.DataFrame(table))


def set_up() -> Mapping[str, Command]:
    """Builds the model; the commands."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    seed_everything(spec["seed"])
    data = Sequences(spec["data"])
    model = SASRecModel(
        n_blocks=spec["num_layers"],
        n_heads=spec["num_heads"],
        n_factors=spec["channels"],
        dropout_rate=spec["dropout"],
        session_max_len=spec["max_length"],
        loss="softmax",
        lr=spec["lr"],
        batch_size=spec["batch_size"],
        recommend_torch_device=spec["device"],
    )
    dataset = training_part(data)
    model._build_model_from_dataset(dataset)
    loader = model.data_preparator.get_dataloader_train()
    module, network = model.lightning_model, model.lightning_model.torch_model
    item_id = np.zeros(data.num_items, np.int64)  # items without training interactions have no id
    known = model.data_preparator.get_known_item_ids().astype(np.int64)
    item_id[known] = model.data_preparator.item_id_map.convert_to_internal(known)
    watch = Epoch(Meter(spec["device"]))

    def epoch(steps: int | None) -> dict[str, Any]:
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu" if spec["device"] == "cpu" else "gpu",
            devices=1,
            limit_train_batches=steps,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watch],
        )
        module.train()
        trainer.fit(module, loader)  # the module keeps its weights and its optimizer
        meter = watch.meter
        return {"seconds": meter.seconds, "positions": watch.positions, "peak": meter.peak}

    def rank(split_name: str, path: str) -> dict[str, Any]:
        history, _ = data.histories(split_name, spec["max_length"], item_id, left=True)
        network.to(spec["device"]).eval()
        with torch.no_grad():
            items = network.item_model.get_all_embeddings()
            users = [
                network.encode_sessions({"x": rows.to(spec["device"])}, items)[:, -1].cpu()
                for rows in history.split(512)
            ]
        save_vectors(path, torch.cat(users), items, item_id)
        return {}

    def recommend(calls: int, k: int) -> dict[str, Any]:
        users = data.users[np.isin(data.users, dataset.user_id_map.external_ids)]
        model.is_fitted = True  # untrained weights take as long

        def one(number: int) -> list[int]:
            user = users[number % len(users)]
            found = model.recommend([user], dataset, k, filter_viewed=True)
            return list(map(int, found["item_id"]))

        return {"seconds": seconds_of_each(one, calls), "first": one(0)}

    return {"epoch": epoch, "rank": rank, "recommend": recommend}


if __name__ == "__main__":
    serve(set_up, ["torch", "RecTools", "pytorch-lightning"])
