"""Ranks given scores with RecBole's own full-sort evaluation, on command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.trainer import Trainer
from torch import Tensor, nn

from benchmarks.peers.recbole_data import item_ids, load
from benchmarks.peers.sequences import Sequences
from benchmarks.peers.worker import Command, Meter, read_spec, serve

spec = read_spec()


class Factors(SequentialRecommender):
    """Scores every item by the product of its vector with the user's."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.users = nn.Parameter(torch.empty(0))  # RecBole's optimizer wants a parameter
        self.items = nn.Parameter(torch.empty(0))

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores [B, N + 1]; item 0 is RecBole's padding."""
        return self.users[interaction["user_id"]] @ self.items.t()


def set_up() -> Mapping[str, Command]:
    """Reads scores and queries; the commands."""
    data = Sequences(spec["data"])
    options = {"eval_batch_size": spec["batch_size"], "loss_type": "CE"}
    config, dataset, (train, _, test) = load(spec, data, Factors, options)
    model = Factors(config, train.dataset)
    with np.load(spec["data"]) as file:
        users, items = torch.from_numpy(file["users"]), torch.from_numpy(file["items"])
    user_id = [dataset.token2id("user_id", str(user)) for user in data.users]
    model.users.data = torch.zeros(dataset.user_num, users.shape[1])
    model.users.data[user_id] = users[torch.from_numpy(data.users)]
    model.items.data = torch.zeros(dataset.item_num, items.shape[1])
    model.items.data[item_ids(dataset, data.num_items)] = items
    trainer = Trainer(config, model.to(config["device"]))
    trainer.eval_collector.data_collect(train)
    meter = Meter(spec["device"])

    def rank() -> dict[str, Any]:
        with meter:
            found = trainer.evaluate(test, load_best_model=False)
        metrics = {name: float(found[name]) for name in sorted(found)}
        return {
            "seconds": meter.seconds,
            "peak": meter.peak,
            "queries": len(data.users),
            "metrics": metrics,
        }

    return {"rank": rank}


if __name__ == "__main__":
    serve(set_up, ["torch", "recbole"])
