"""Baselines beside a model of one's own, fitted in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from mdsrec_pyg.data import ModalFeature, Split
from mdsrec_pyg.evaluation import evaluate
from mdsrec_pyg.graphs import RidgeConfig, ridge_memory
from mdsrec_pyg.nn import EASE, Popularity, Recommender, SASRec
from mdsrec_pyg.seed import preserved_random_state, seed_everything
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.trainer import Trainer

__all__ = ["fit_baselines"]


def fit_baselines(
    features: Mapping[str, ModalFeature],
    split: Split,
    *,
    config: TrainerConfig | None = None,
    ridge: RidgeConfig | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, Recommender]:
    """Popularity, SASRec, and EASE with the features: what a new model is to be held against.

    Without features, it is plain EASE.

    Popularity and EASE get a history bias, as the trained models learn one: seen items stay as they
    are or come last, whichever validation NDCG@10 prefers. EASE is left out where its N x N matrix
    exceeds ``ridge.memory_limit``, and ``log`` says so.

    Args:
        features: Features of each modality, as they are.
        split: Training and validation; the test part is not looked at.
        config: Options of SASRec's training.
        ridge: Options of EASE, the ridge of the learned graphs.
        log: Takes a line on what is being done.

    Returns:
        The fitted models by name.

    Raises:
        KeyboardInterrupt: Ctrl-C while SASRec is trained.
    """
    config, ridge, train = config or TrainerConfig(), ridge or RidgeConfig(), split.train
    log("SASRec is trained, a baseline ...")
    with preserved_random_state(torch.device("cpu")):
        seed_everything(config.seed)
        sasrec = SASRec(train.num_items)
    if Trainer(sasrec, config, log=lambda line: None).fit(train, split.val).interrupted:
        raise KeyboardInterrupt
    fitted: dict[str, EASE | Popularity] = {"popularity": Popularity(train)}
    if ridge_memory(train.num_items) <= ridge.memory_limit:
        options = {name: getattr(ridge, name) for name in ("l2", "feature_weight", "denoising")}
        name = "EASE with features" if features else "EASE"
        fitted[name] = EASE(train, [*features.values()], **options)
    else:
        log(f"EASE is left out: memory_limit={ridge.memory_limit:,} bytes are too few for it")
    for model in fitted.values():
        values = {}
        for model.history_bias in (0.0, -1e3):
            values[evaluate(model, split.val).metrics["ndcg@10"]] = model.history_bias
        model.history_bias = values[max(values)]
    return {"popularity": fitted.pop("popularity"), "SASRec": sasrec, **fitted}
