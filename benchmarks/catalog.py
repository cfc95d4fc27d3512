"""A synthetic catalog of any size: features and interactions that have to do with each other."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data import Interactions

# Distinct users an item, and interactions a user: 1M items have 20M interactions.
_LENGTH = 20
_LATENT = 64
_BLOCK = 2**15


@dataclass(frozen=True)
class Catalog:
    """Features ``[N, F]`` float16, mapped from disk, and interactions of as many users as items."""

    x: NDArray[np.float16]
    interactions: Interactions


def load_catalog(folder: Path, num_items: int, num_features: int = 768, seed: int = 0) -> Catalog:
    """Makes the catalog at the first call and reads it from the folder later.

    Topics of about 200 items, popularity of topics and of items within one by Zipf's law. A
    feature is the topic's vector plus the item's own, both of 64 dimensions, turned into
    ``num_features`` with a common offset and a little noise. A user draws 20 items: one in five
    from the whole catalog, the others from the user's two topics.

    Args:
        folder: Where the files are kept.
        num_items: Number of items, and of users.
        num_features: Number of features *F*.
        seed: Seed of everything.
    """
    path = folder / f"catalog_{num_items}_{num_features}_{seed}"
    if not path.exists():
        part = path.with_name(path.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        rng = np.random.default_rng(seed)
        topic = rng.choice(_num_topics(num_items), num_items, p=_zipf(_num_topics(num_items), 0.5))
        _write_features(part / "x.npy", topic, num_features, rng)
        np.save(part / "item.npy", _draw_items(topic, rng))
        part.rename(path)
    item = np.load(path / "item.npy").astype(np.int64)
    interactions = Interactions(
        user_id=np.repeat(np.arange(num_items), item.shape[1]),
        item_id=item.ravel(),
        timestamp=None,
        num_users=num_items,
        num_items=num_items,
    )
    return Catalog(np.load(path / "x.npy", mmap_mode="c"), interactions)


def _num_topics(num_items: int) -> int:
    return max(2, num_items // 200)


def _zipf(size: int, exponent: float) -> NDArray[np.float64]:
    weight = np.arange(1, size + 1.0) ** -exponent
    return weight / weight.sum()


def _write_features(
    path: Path, topic: NDArray[np.int64], num_features: int, rng: np.random.Generator
) -> None:
    shape = (len(topic), num_features)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    center = rng.standard_normal((topic.max() + 1, _LATENT), np.float32)
    turn = rng.standard_normal((_LATENT, num_features), np.float32) / np.sqrt(num_features)
    offset = rng.standard_normal(num_features, np.float32) * 8 / np.sqrt(num_features)
    for start in range(0, len(topic), _BLOCK):
        part = topic[start : start + _BLOCK]
        latent = center[part] + 0.7 * rng.standard_normal((len(part), _LATENT), np.float32)
        noise = rng.standard_normal((len(part), num_features), np.float32)
        out[start : start + len(part)] = latent @ turn + offset + 0.02 * noise
    out.flush()


def _draw_items(topic: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int32]:
    """Items ``[users, 20]``: popular ones first within a topic, found by their rank."""
    num_items = len(topic)
    popularity = rng.permutation(num_items)  # rank of each item
    by_topic = np.lexsort((popularity, topic)).astype(np.int32)
    size = np.bincount(topic)
    start = np.cumsum(size) - size
    choice = _zipf(len(size), 0.5) * (size > 0)
    own = rng.choice(len(size), (num_items, 2), p=choice / choice.sum())
    which = own[np.arange(num_items)[:, None], rng.integers(0, 2, (num_items, _LENGTH))]
    # u ** 3 has a density of u ** (-2/3): the ranks follow Zipf's law with exponent 2/3.
    rank = (size[which] * rng.random(which.shape) ** 3).astype(np.int64)
    item = by_topic[start[which] + rank]
    any_rank = (num_items * rng.random(item.shape) ** 3).astype(np.int64)
    anywhere = np.argsort(popularity).astype(np.int32)[any_rank]
    return np.where(rng.random(item.shape) < 0.2, anywhere, item)
