"""Whether validation masks seen items: where a model has no history bias, unless it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg import GRU4Rec, SASRec, SyntheticDataset
from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.evaluation import ranking_metrics, target_ranks
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.training import RunConfig, TrainerConfig, train_run
from mdsrec_pyg.training.checkpoint import load_checkpoint
from mdsrec_pyg.training.settings import masks_seen
from mdsrec_pyg.training.trainer import Trainer

from .step_cases import NUM_ITEMS, SMALL, mdsrec

MODELS: dict[str, tuple[Callable[[], SequentialRecommender], bool]] = {
    "SASRec": (lambda: SASRec(NUM_ITEMS, **SMALL), False),
    "SASRec without": (lambda: SASRec(NUM_ITEMS, history_bias=False, **SMALL), True),
    "GRU4Rec without": (lambda: GRU4Rec(NUM_ITEMS, history_bias=False, **SMALL), True),
    "MDSRec": (mdsrec(), False),
    "MDSRec, votes only": (mdsrec(vectors=False), False),
    "MDSRec without": (mdsrec(history_bias=False), True),
    "MDSRec, paper": (mdsrec("paper"), True),
    "MDSRec, paper with": (mdsrec("paper", history_bias=True), False),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_model_decides_what_the_options_leave_open(name: str) -> None:
    make, masked = MODELS[name]
    model = make()
    assert masks_seen(TrainerConfig(), model) is masked
    for said in (False, True):
        assert masks_seen(TrainerConfig(exclude_seen=said), model) is said


def fit(split: Split, folder: Path, bias: bool, **options: Any) -> tuple[Any, str]:
    """A short run: its history, and what it said."""
    lines: list[str] = []
    model = SASRec(split.train.num_items, history_bias=bias, **SMALL)
    options = {"epochs": 2, "batch_size": 8, "progress": False, "device": "cpu", **options}
    trainer = Trainer(model, directory=folder, log=lines.append, **options)
    resume = (folder / "last.pt").exists()
    history = trainer.fit(split.train, split.val, resume=resume)
    ranks = {seen: target_ranks(model, split.val, exclude_seen=seen) for seen in (False, True)}
    found = {seen: ranking_metrics(rank)["ndcg@10"] for seen, rank in ranks.items()}
    assert found[False] != found[True]
    assert history.best_value == pytest.approx(found[history.rows[0]["exclude_seen"]])
    return history, "\n".join(lines)


@pytest.mark.parametrize("bias", [False, True])
def test_a_run_is_chosen_by_the_rule_and_says_which(
    toy_split: Split, tmp_path: Path, bias: bool
) -> None:
    history, said = fit(toy_split, tmp_path / "run", bias)
    assert {row["exclude_seen"] for row in history.rows} == {not bias}
    wanted = "kept as candidates; the model learns a" if bias else "masked; the model learns no"
    assert f"{wanted} history bias" in said
    assert load_checkpoint(tmp_path / "run" / "last.pt")["settings"]["exclude_seen"] is (not bias)
    # Said or left open, it is the same run; another answer is another one.
    fit(toy_split, tmp_path / "run", bias, epochs=3, exclude_seen=not bias)
    with pytest.raises(ValueError, match="to resume, 'exclude_seen' must be as before"):
        fit(toy_split, tmp_path / "run", bias, epochs=3, exclude_seen=bias)


def test_the_result_of_a_run_says_what_chose_it(tmp_path: Path) -> None:
    SyntheticDataset(120, 60, num_interests=6, seed=0).save(tmp_path / "shop")
    quiet: dict[str, Any] = {"progress": False, "log": lambda text: None, "device": "cpu"}
    for seen, rule in ((None, "masked"), (False, "kept")):
        config = RunConfig(
            data=str(tmp_path / "shop"), preset="paper", options={"num_centers": 0, "channels": 4}
        )
        trainer = TrainerConfig(epochs=1, monitor="recall@20", exclude_seen=seen)
        train_run(config, trainer, tmp_path / rule, **quiet)
        result = json.loads((tmp_path / rule / "result.json").read_text())
        assert result["chosen_by"] == f"recall@20, seen items {rule}"
        card = (tmp_path / rule / "model" / "README.md").read_text()
        assert ("masked" in card) is (rule == "masked")
        assert f"{result['test'][f'seen_{rule}']['recall@10']:.4f}" in card
