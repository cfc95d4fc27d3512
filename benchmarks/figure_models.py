"""What ``figures.py`` makes and asks of the library: every call that the API decides is here.

The options themselves, a row each, are in ``figure_rows.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import mdsrec_pyg
from mdsrec_pyg import Retriever, Trainer, build_mdsrec, evaluate, recommend, seed_everything
from mdsrec_pyg.data import FeatureScaler, Split, leave_last_out
from mdsrec_pyg.datasets import FolderDataset, RecommendationDataset, SyntheticDataset
from mdsrec_pyg.evaluation import Evaluation
from mdsrec_pyg.graphs import InterestCenters, build_item_graph
from mdsrec_pyg.nn import (
    EASE,
    GRU4Rec,
    MDSRec,
    Popularity,
    Recommender,
    SASRec,
    SequentialRecommender,
)
from mdsrec_pyg.retrieval import FaissIndex

#: The code whose figures these are.
PACKAGE = Path(mdsrec_pyg.__file__).parent
SEED = 0
Edges = tuple[Tensor, Tensor]
NUM_USERS = 50  # whose recommendations are compared


@dataclass
class World:
    """A data set and its split."""

    data: RecommendationDataset
    split: Split = field(init=False)
    known: Tensor = field(init=False)  # items of the training part

    def __post_init__(self) -> None:
        """Splits."""
        self.split = leave_last_out(self.data.interactions)
        self.known = torch.from_numpy(self.split.train.item_counts() > 0)


def synthetic(num_users: int) -> World:
    """The synthetic data set, with groups of 31 items as in its default size."""
    return World(SyntheticDataset(num_users, 31 * max(4, num_users // 50), seed=SEED))


def folder(path: Path) -> World:
    """A folder of real data, with two modalities as in the accuracy benchmark."""
    return World(FolderDataset(path, modalities=["image", "text"]))


# ---- what a model is made from --------------------------------------------------------------


def popularity(world: World, **options: Any) -> Recommender:
    """Popularity."""
    return Popularity(world.split.train, **options)


def ease(world: World, features: bool, **options: Any) -> Recommender:
    """EASE, without or with features."""
    given = list(world.data.features.values()) if features else []
    return EASE(world.split.train, given, **options)


def gru4rec(world: World, **options: Any) -> Recommender:
    """GRU4Rec."""
    return GRU4Rec(world.data.num_items, **options)


def sasrec(world: World, features: bool, by_count: bool = False, **options: Any) -> Recommender:
    """SASRec, without or with features; ``by_count``: negatives are drawn by popularity."""
    scaled = scaled_features(world).values() if features else []
    model = SASRec(world.data.num_items, list(scaled), **options)
    if by_count:
        model.set_item_counts(torch.from_numpy(world.split.train.item_counts()))
    return model


def mdsrec(
    world: World,
    preset: str,
    *,
    graph: Mapping[str, Any] | None = None,
    relations: Mapping[str, Any] | bool | None = None,
    **options: Any,
) -> Recommender:
    """A preset of MDSRec; options of its item graphs and learned relations stand apart."""
    return build_mdsrec(
        world.data.features,
        world.split.train,
        preset,
        graph=graph,
        relations=relations,
        seed=SEED,
        **options,
    )


# ---- what is asked of it --------------------------------------------------------------------


def seeded(seed: int = SEED) -> None:
    """Whatever ran before, a row starts here."""
    seed_everything(seed)


def train(model: Recommender, world: World, **options: Any) -> list[dict[str, float]]:
    """Trains a model that can be trained; loss and validation metrics of each epoch."""
    if not isinstance(model, SequentialRecommender):
        return []
    settings: dict[str, Any] = {"lr": 1e-3, "batch_size": 128, "patience": 100, "seed": SEED}
    settings |= {"exclude_seen": False, **options}
    trainer = Trainer(model, device="cpu", progress=False, log=lambda line: None, **settings)
    history = trainer.fit(world.split.train, world.split.val)
    kept = ("loss", "recall@", "ndcg@", "mrr")
    return [{k: v for k, v in epoch.items() if k.startswith(kept)} for epoch in history.rows]


def test(model: Recommender, world: World) -> Evaluation:
    """Ranks of the test targets, seen items kept and masked."""
    return evaluate(model, world.split.test, device="cpu")


def scores(model: Recommender, world: World) -> Tensor:
    """Scores [B, N] of a batch of test users."""
    model.eval()
    _, batch = next(iter(world.split.test.batches(NUM_USERS, model.max_length)))
    with torch.no_grad():
        return model.score(batch)


def recommendations(model: Recommender, world: World) -> Iterator[tuple[str, pd.DataFrame]]:
    """Tables of recommendations for test users: all there is, unseen only, by candidates."""
    queries, raw = world.split.test, world.data.item_ids
    histories = [list(raw[queries.history(q)]) for q in range(min(NUM_USERS, len(queries)))]
    options: dict[str, Any] = {"item_ids": raw, "explain": isinstance(model, MDSRec)}
    yield "kept", recommend(model, histories, 10, exclude_seen=False, **options)
    yield "masked", recommend(model, histories, 10, exclude_seen=True, **options)
    if (
        isinstance(model, SequentialRecommender)
        and getattr(model, "dense_weight", None) is not None
    ):
        retriever = Retriever(model, raw, index=FaissIndex(20))
        yield "by candidates", retriever.recommend(histories, 10, exclude_seen=False)


def edges_of(model: Recommender) -> Iterator[tuple[str, Edges]]:
    """Edges and weights of the graphs that a model was built on."""
    if not isinstance(model, MDSRec):
        return
    for m, name in enumerate(model.modalities):
        if model.config.vectors:
            index, weight = (model.get_buffer(f"edge_{part}_{m}") for part in ("index", "weight"))
            yield f"graph {name}", (index, weight)
        if model.votes is not None:
            yield f"relations {name}", model.votes.edges(m)


def fitted_tensors(model: Recommender) -> Iterator[tuple[str, Tensor]]:
    """What a model without training was fitted to."""
    if isinstance(model, EASE):
        yield "weight", model.weight
    if isinstance(model, Popularity):
        yield "log_count", model.log_count


def item_graph(world: World, modality: str, options: Mapping[str, Any]) -> Edges:
    """One item graph on its own."""
    graph = build_item_graph(world.data.features[modality], world.split.train, **options)
    return graph.edge_index, graph.edge_weight


def scaled_features(world: World) -> dict[str, Tensor]:
    """What models read of the features."""
    given = world.data.features.items()
    return {name: FeatureScaler().fit_transform(feature, world.known).x for name, feature in given}


def interest_centers(world: World) -> dict[str, Tensor]:
    """Interest centers of each modality."""
    found = {}
    for name, feature in world.data.features.items():
        centers = InterestCenters(32, random_state=SEED)
        centers.fit(feature.x, feature.mask, items=world.known)
        found[f"{name}: labels"] = centers.labels_
        found[f"{name}: directions"] = centers.directions()
    return found


def data_and_split(world: World) -> dict[str, Any]:
    """What was read and how it was split."""
    data, split = world.data, world.split
    found: dict[str, Any] = {"user": data.interactions.user_id, "item": data.interactions.item_id}
    for name, feature in data.features.items():
        found |= {f"{name}: features": feature.x, f"{name}: mask": feature.mask}
    found |= {"train: user": split.train.user_id, "train: item": split.train.item_id}
    for part in (split.val, split.test):
        found |= {f"{part.name}: target": part.target, f"{part.name}: history": part.history_item}
    return found


#: Whatever is no model and no graph.
ARRAYS: dict[str, Callable[[World], dict[str, Any]]] = {
    "data and split": data_and_split,
    "scaled features": scaled_features,
    "interest centers": interest_centers,
}
