"""What each system finds after the same time of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.peers.environments import Worker
from benchmarks.peers.factors import Factors
from mdsrec_pyg.data import EvaluationSplit, Split
from mdsrec_pyg.evaluation import ranking_metrics, target_ranks

PATIENCE = 10  # epochs without a better validation after which a system stops


@dataclass
class _Run:
    """How far a system has come."""

    seconds: float = 0.0
    epochs: int = 0
    best_epoch: int = 0
    val: float = -1.0
    test: dict[str, float] = field(default_factory=dict)

    def goes_on(self, budget: float) -> bool:
        return self.seconds < budget and self.epochs - self.best_epoch < PATIENCE


def equal_time(
    workers: Mapping[str, Worker], minutes: float, split: Split, folder: Path
) -> list[dict[str, Any]]:
    """Trains all systems in turn, an epoch each, until each has trained for ``minutes``.

    Only training counts, the set-up and the evaluation do not. After each epoch the validation
    part is ranked, and the test part where NDCG@10 on validation is the best so far; a system
    stops early after 10 epochs without a better one. The whole catalog is ranked, with seen items,
    and ties take the mean rank: for all systems by this library.

    Returns:
        A row for each system: the test metrics of its best epoch.
    """
    runs = {name: _Run() for name in workers}
    path = folder / "ranking.npz"
    with tqdm(desc="epochs", leave=False, disable=None) as bar:
        while going := [name for name in workers if runs[name].goes_on(60 * minutes)]:
            for name in going:
                run, worker = runs[name], workers[name]
                run.seconds += worker.ask("epoch", steps=None)["seconds"]
                run.epochs += 1
                value = ranking_metrics(_ranks(worker, split.val, path), [10])["ndcg@10"]
                if value > run.val:
                    run.val, run.best_epoch = value, run.epochs
                    run.test = ranking_metrics(_ranks(worker, split.test, path), [10, 20])
                bar.set_postfix_str(f"{name}: {run.seconds:.0f} s, validation {value:.4f}")
                bar.update()
    return [
        {
            "system": name,
            "minutes": round(run.seconds / 60, 2),
            "epochs": run.epochs,
            "best_epoch": run.best_epoch,
            "val_ndcg@10": run.val,
            **{f"test_{metric}": value for metric, value in run.test.items()},
        }
        for name, run in runs.items()
    ]


def _ranks(worker: Worker, part: EvaluationSplit, path: Path) -> NDArray[np.float64]:
    """Ranks of the targets: the worker's own, or those that follow from its vectors."""
    worker.ask("rank", split_name=part.name, path=str(path))
    with np.load(path) as found:
        if "ranks" in found:
            ranks: NDArray[np.float64] = found["ranks"]
            return ranks
        users = torch.zeros(int(part.user_id.max()) + 1, found["users"].shape[1])
        users[torch.from_numpy(part.user_id)] = torch.from_numpy(found["users"])
        model = Factors(users, torch.from_numpy(found["items"]), torch.from_numpy(found["known"]))
    return target_ranks(model, part, exclude_seen=False)
