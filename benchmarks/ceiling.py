"""What the best possible recommender reaches on the synthetic data, from their planted truth.

python -m benchmarks.ceiling                                        # seeds 0 to 4, the defaults
python -m benchmarks.ceiling --users 500 --items 4000 --mean-length 100 --drift 0.05
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.about import about
from benchmarks.harness import add_common_arguments, positive, result_path, save, table
from mdsrec_pyg import SyntheticDataset, evaluate, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn.models import Recommender

#: What is known beside the groups of all items, and what has to be found out.
CEILINGS = {
    "known user": "popularity, the user's modality and favorite groups",
    "inferred user": "popularity; the user is inferred from the history (Bayes-optimal)",
    "learned popularity": "nothing; popularity is what the training part tells",
}
METRICS = ("ndcg@10", "recall@10", "ndcg@20", "recall@20")


class Oracle(Recommender):
    """The planted law as a recommender: its chances are the scores.

    Args:
        dataset: The synthetic data.
        known_user: Whether modality and favorites are known, or inferred from the history.
        train: The popularity within the groups is learned from these interactions.
            (default: it is known)
    """

    supports_training = False

    def __init__(
        self,
        dataset: SyntheticDataset,
        *,
        known_user: bool = False,
        train: Interactions | None = None,
    ) -> None:
        super().__init__(dataset.num_items, dataset.num_items)
        self.dataset, self.known_user, self.train_part = dataset, known_user, train

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """Chances [B, N]."""
        histories = [row[mask].numpy() for row, mask in zip(batch.item_id, batch.mask, strict=True)]
        user = batch.user_id.numpy() if self.known_user else None
        return torch.from_numpy(self.dataset.oracle_scores(histories, user, train=self.train_part))


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", help="of the data (default: 0 1 2 3 4)")
    parser.add_argument("--users", type=positive, help="default: 2000")
    parser.add_argument("--items", type=positive, help="default: 2000")
    parser.add_argument("--interests", type=positive, help="groups (default: one for 31 items)")
    parser.add_argument("--mean-length", type=float, default=6.0)
    parser.add_argument("--random-share", type=float, default=0.1)
    parser.add_argument("--drift", type=float, default=0.0)
    add_common_arguments(parser)
    args = parser.parse_args()
    size = 200 if args.short else 2_000
    args.users, args.items = args.users or size, args.items or size
    args.seeds = args.seeds or ([0] if args.short else [0, 1, 2, 3, 4])
    return args


def measure(seed: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row a ceiling: test metrics with seen items masked."""
    dataset = SyntheticDataset(
        args.users,
        args.items,
        num_interests=args.interests,
        mean_length=args.mean_length,
        random_share=args.random_share,
        drift=args.drift,
        seed=seed,
    )
    split = leave_last_out(dataset.interactions)
    oracles = {
        "known user": Oracle(dataset, known_user=True),
        "inferred user": Oracle(dataset),
        "learned popularity": Oracle(dataset, train=split.train),
    }
    for name, oracle in oracles.items():
        found = evaluate(oracle, split.test).metrics_masked
        yield {"ceiling": name, "seed": seed, **{m: round(found[m], 4) for m in METRICS}}


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over the seeds, and the standard deviation of NDCG@10."""
    found = []
    for name, known in CEILINGS.items():
        values = {m: [row[m] for row in rows if row["ceiling"] == name] for m in METRICS}
        means = {m: round(float(np.mean(value)), 4) for m, value in values.items()}
        spread = round(float(np.std(values["ndcg@10"])), 4)
        found.append({"ceiling": name, **means, "sd of ndcg@10": spread, "known": known})
    return found


def main() -> None:
    """Prints a table and writes a file."""
    args = parse()
    torch.set_num_threads(args.threads)
    print(
        "Test of leave-last-out, whole catalog, seen items masked, ties at the mean rank; "
        f"mean of seeds {args.seeds}.\nThe groups of all items are known, and"
    )
    rows = [row for seed in args.seeds for row in measure(seed, args)]
    means = summary(rows)
    print(table(means))
    result = {"benchmark": "ceiling", **about(args.threads), "results": means, "rows": rows}
    save(result, args.out or result_path("ceiling", result["date"], "cpu", args.threads))


if __name__ == "__main__":
    sys.exit(run_script(main))
