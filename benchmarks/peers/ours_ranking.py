"""Ranks given scores with this library for the evaluation benchmark, on command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.peers.factors import Factors
from benchmarks.peers.worker import Command, Meter, read_spec, serve
from mdsrec_pyg import evaluate
from mdsrec_pyg.data.splits import EvaluationSplit

spec = read_spec()


def set_up() -> Mapping[str, Command]:
    """Reads scores and queries; the commands."""
    with np.load(spec["data"]) as data:
        vectors = torch.from_numpy(data["users"]), torch.from_numpy(data["items"])
        model = Factors(*vectors).to(spec["device"])
        count = np.diff(np.append(np.unique(data["user"], return_index=True)[1], len(data["user"])))
        is_target = np.zeros(len(data["user"]), bool)
        is_target[np.cumsum(count) - 1] = True
        split = EvaluationSplit(
            name="test",
            user_id=data["user"][is_target],
            target=data["item"][is_target],
            history_ptr=np.concatenate([[0], np.cumsum(count - 1)]),
            history_item=data["item"][~is_target],
            num_items=int(data["num_items"]),
        )
    meter = Meter(spec["device"])

    def rank() -> dict[str, Any]:
        if spec["scores_only"]:
            return scores()
        with meter:
            found = evaluate(model, split, (10, 20), batch_size=spec["batch_size"])
            metrics = found.metrics  # the means are part of the work
        metrics = {name: metrics[name] for name in sorted(metrics) if name != "mrr"}
        return {
            "seconds": meter.seconds,
            "peak": meter.peak,
            "queries": len(split),
            "metrics": metrics,
        }

    @torch.no_grad()
    def scores() -> dict[str, Any]:
        """What no ranking can do without: a bound for all of them."""
        with meter:
            for _, batch in split.batches(spec["batch_size"], model.max_length):
                model.score(batch.to(spec["device"]))
        return {"seconds": meter.seconds, "peak": meter.peak, "queries": len(split)}

    return {"rank": rank}


if __name__ == "__main__":
    serve(set_up, ["torch"])
