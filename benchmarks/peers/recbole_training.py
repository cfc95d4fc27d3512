"""Trains RecBole's SASRec for the training benchmark, on command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils.case_study import full_sort_topk

from benchmarks.peers.recbole_data import item_ids, load
from benchmarks.peers.sequences import Sequences, save_vectors
from benchmarks.peers.worker import Command, Meter, first, read_spec, seconds_of_each, serve

spec = read_spec()


def set_up() -> Mapping[str, Command]:
    """Builds the model; the commands."""
    data = Sequences(spec["data"])
    options = {
        "hidden_size": spec["channels"],
        "inner_size": 2 * spec["channels"],
        "n_layers": spec["num_layers"],
        "n_heads": spec["num_heads"],
        "hidden_dropout_prob": spec["dropout"],
        "attn_dropout_prob": spec["dropout"],
        "loss_type": "CE",
        "learning_rate": spec["lr"],
        "train_batch_size": spec["batch_size"],
    }
    config, dataset, (loader, _, test) = load(spec, data, "SASRec", options)
    model = SASRec(config, loader.dataset).to(config["device"])
    trainer = Trainer(config, model)
    item_id = item_ids(dataset, data.num_items)
    meter = Meter(spec["device"])
    finished = 0

    def epoch(steps: int | None) -> dict[str, Any]:
        nonlocal finished
        positions = 0

        def counted() -> Iterator[Any]:
            nonlocal positions
            for batch in first(loader, steps):
                positions += len(batch)  # a sample for each position
                yield batch

        with meter:
            trainer._train_epoch(counted(), finished)
        finished += 1
        return {"seconds": meter.seconds, "positions": positions, "peak": meter.peak}

    def rank(split_name: str, path: str) -> dict[str, Any]:
        history, count = data.histories(split_name, spec["max_length"], item_id, left=False)
        model.eval()
        with torch.no_grad():
            users = [
                model(rows.to(config["device"]), n.to(config["device"])).cpu()
                for rows, n in zip(history.split(512), count.split(512), strict=True)
            ]
        save_vectors(path, torch.cat(users), model.item_embedding.weight, item_id)
        return {}

    def recommend(calls: int, k: int) -> dict[str, Any]:
        # No seen item is masked: RecBole does so for none of its sequential models.
        users = dataset.token2id("user_id", [str(user) for user in data.users])
        model.eval()

        def one(number: int) -> list[str]:
            user = users[number % len(users)]
            _, items = full_sort_topk([user], model, test, k, device=config["device"])
            return list(dataset.id2token("item_id", items[0].cpu()))

        with torch.no_grad():
            seconds = seconds_of_each(one, calls)
            return {"seconds": seconds, "first": [int(item) for item in one(0)]}

    return {"epoch": epoch, "rank": rank, "recommend": recommend}


if __name__ == "__main__":
    serve(set_up, ["torch", "recbole"])
