"""From what a source says to a data set: order, repetitions, k-core, new numbers, alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.interactions import k_core as core_mask
from mdsrec_pyg.datasets._align import Aligned, one_type
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.showing import counted

__all__ = ["prepare"]

REPEATS = ("keep", "first", "last")
ItemReader = Callable[[NDArray[Any]], RawItems]


def prepare(
    raw: RawInteractions,
    items: RawItems | ItemReader | None = None,
    *,
    name: str,
    repeats: str,
    k_core: int | None = None,
    require: Sequence[str] = (),
    keep_cold: bool = False,
    min_coverage: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> RecommendationDataset:
    """Makes a data set of what a source says, the same way for every source.

    In this order: sorting by user and time, ties in the order of the source; repeated (user, item)
    pairs; items that lack something required; k-core, over and over; new numbers, in the order of
    the source's codes; features, texts and image URLs of the items that are left. The counts after
    each step are in ``report`` and, for programs, in ``meta['steps']``. Where the interactions have
    integers as item ids and ``items`` text, or the other way round, both become text.

    Args:
        raw: The interactions.
        items: What the source says of its items, or a function that reads it for given raw ids.
            Only items that are still there are asked for.
        name: Name of the data set.
        repeats: What becomes of repeated pairs of a user and an item: ``'keep'`` all, or only the
            ``'first'`` or the ``'last'`` in time.
        k_core: Users and items with fewer interactions are dropped until none is left to drop
            (:func:`mdsrec_pyg.data.k_core`). ``None``: nobody is.
        require: Items without it are dropped: the name of a modality of ``items.features``, or
            ``'text'`` or ``'image_url'`` where no modality has that name.
        keep_cold: Keep items of ``items`` that have no interaction in the catalog, behind the
            others: those that nobody took and those that a step left without one. Not with
            ``require``.
        min_coverage: Least share of the items, 0 to 1, that ``items`` and each of its features
            must know: a file of another category knows next to none. At least one in any case.
        options: Settings of the reader, for ``meta['options']``.

    Returns:
        The data set. Its ``meta`` has ``source``, ``options``, ``steps``, ``notes`` and ``items``.

    Raises:
        ValueError: An argument is not as above, nothing is left after a step, or ``items`` are not
            the items of the interactions. The message has the counts.
    """
    check_options(repeats, k_core, require, min_coverage)
    if require and items is None:
        raise ValueError(f"'require' needs 'items' (got {list(require)} and no items)")
    if keep_cold and (require or not isinstance(items, RawItems)):
        raise ValueError("'keep_cold' needs all 'items', and nothing in 'require'")
    raw = _drop_repeats(raw.sort(), repeats)
    found = items if isinstance(items, RawItems) else None
    if require:
        assert items is not None
        found = items if isinstance(items, RawItems) else items(_left(raw))
        raw, found = one_type(raw, found)
        has = Aligned(found, raw, min_coverage).has(require)
        mask = np.zeros(len(raw.item_ids), bool)
        mask[raw.present_items()] = has
        raw = raw.select(mask[raw.item], f"items with {' and '.join(require)}")
    if k_core is not None:
        sizes = len(raw.user_ids), len(raw.item_ids)
        rows = Interactions(raw.user, raw.item, raw.seconds, *sizes)
        raw = raw.select(core_mask(rows, k_core), f"{k_core}-core")
    if found is None and callable(items):
        found = items(_left(raw))
    if found is not None:
        raw, found = one_type(raw, found)
    settings = {
        "repeats": repeats,
        "k_core": k_core,
        "require": list(require),
        "keep_cold": keep_cold,
        "min_coverage": min_coverage,
    }
    aligned = None if found is None else Aligned(found, raw, min_coverage, keep_cold)
    return _assemble(raw, aligned, name, {**(options or {}), **settings})


def _left(raw: RawInteractions) -> NDArray[Any]:
    return raw.item_ids[raw.present_items()]


def _drop_repeats(raw: RawInteractions, repeats: str) -> RawInteractions:
    pairs = pd.Series(raw.user * len(raw.item_ids) + raw.item)
    repeated = pairs.duplicated(keep="last" if repeats == "last" else "first").to_numpy()
    note = counted(int(repeated.sum()), "repetition")
    if repeats == "keep":
        return raw.select(np.ones(len(raw), bool), "repeated pairs kept", note)
    return raw.select(~repeated, f"only the {repeats} of repeated pairs", f"{note} dropped")


def _assemble(
    raw: RawInteractions, aligned: Aligned | None, name: str, options: dict[str, Any]
) -> RecommendationDataset:
    """New numbers for users and items, and everything said."""
    users, items = raw.present_users(), raw.present_items()
    new_user = np.full(len(raw.user_ids), -1)
    new_user[users] = np.arange(len(users))
    new_item = np.full(len(raw.item_ids), -1)
    new_item[items] = np.arange(len(items))
    item_ids = raw.item_ids[items] if aligned is None else aligned.item_ids
    features: dict[str, ModalFeature] = {} if aligned is None else aligned.features()
    notes = [] if aligned is None else aligned.notes()
    meta = {
        "source": raw.source,
        "items_source": None if aligned is None else aligned.items.source,
        "options": options,
        "steps": [asdict(step) for step in raw.steps],
        "notes": list(raw.notes),
        "items": notes,
    }
    return RecommendationDataset(
        name=name,
        interactions=Interactions(
            new_user[raw.user], new_item[raw.item], raw.seconds, len(users), len(item_ids)
        ),
        features=features,
        user_ids=raw.user_ids[users],
        item_ids=item_ids,
        item_text=None if aligned is None else aligned.text(),
        image_urls=None if aligned is None else aligned.image_urls(),
        labels=raw.labels,
        report=[*map(str, raw.steps), *raw.notes, *notes],
        meta=meta,
    )


def check_options(
    repeats: str, k_core: int | None, require: Sequence[str] = (), min_coverage: float = 0.0
) -> None:
    """Raises an error about options of :func:`prepare`: before hours of reading, not after."""
    if repeats not in REPEATS:
        raise ValueError(f"'repeats' must be one of {', '.join(REPEATS)} (got {repeats!r})")
    if k_core is not None and k_core < 1:
        raise ValueError(f"'k_core' must be at least 1 or None (got {k_core})")
    if isinstance(require, str):
        raise ValueError(f"'require' must be a sequence of names (got the string {require!r})")
    if not 0 <= min_coverage <= 1:
        raise ValueError(f"'min_coverage' must lie in 0..1 (got {min_coverage})")
