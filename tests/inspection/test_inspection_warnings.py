"""Each warning: a data set that causes it, and a sound one that does not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import mdsrec_pyg
from mdsrec_pyg import Interactions, ModalFeature, SyntheticDataset
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.graphs import ProductConfig
from mdsrec_pyg.inspection import (
    DataWarning,
    Inspection,
    Thresholds,
    find_warnings,
    inspect_dataset,
)
from mdsrec_pyg.nn import RelationsConfig
from mdsrec_pyg.training import TrainerConfig

NOW = 1_900_000_000
Change = Callable[[], RecommendationDataset]


def sound(**options: Any) -> RecommendationDataset:
    return SyntheticDataset(400, 310, seed=0, **options)


def look(dataset: RecommendationDataset, **options: Any) -> Inspection:
    return inspect_dataset(dataset, k=options.pop("k", 10), now=NOW, **options)


def codes(dataset: RecommendationDataset, **options: Any) -> list[str]:
    return [warning.code for warning in look(dataset, **options).warnings]


def times() -> Any:
    """A copy of the timestamps of the sound data set."""
    seconds = sound().interactions.timestamp
    assert seconds is not None
    return seconds.copy()


def with_rows(**arrays: Any) -> RecommendationDataset:
    """The sound data set with other users, items or times, sorted again."""
    dataset = sound()
    rows = dataset.interactions
    parts = {"user_id": rows.user_id, "item_id": rows.item_id, "timestamp": rows.timestamp} | arrays
    dataset.interactions = Interactions.from_arrays(**parts, num_users=400, num_items=310)
    return dataset


def with_text(change: Callable[[torch.Tensor], Any], hidden: int = 0) -> RecommendationDataset:
    """The sound data set with other texts, and ``hidden`` items without one."""
    dataset = sound()
    x = dataset.features["text"].x.clone()
    change(x)
    dataset.features["text"] = ModalFeature(x, torch.arange(310) >= hidden)
    return dataset


def rare_items() -> RecommendationDataset:
    return SyntheticDataset(400, 1240, seed=0)


def concentrated() -> RecommendationDataset:
    """Each user began with the items 0 to 3, more than a hundredth of the items."""
    rows = sound().interactions
    pairs = np.setdiff1d(
        np.arange(400)[:, None] * 310 + np.arange(4), rows.user_id * 310 + rows.item_id
    )
    user, item = np.divmod(pairs, 310)
    return with_rows(
        user_id=np.concatenate([user, rows.user_id]),
        item_id=np.concatenate([item, rows.item_id]),
        timestamp=np.concatenate([1_500_000_000 + item, times()]),
    )


def popular() -> RecommendationDataset:
    """A fifth of the users took item 0 as their last in training, another fifth as their first."""
    rows = sound().interactions
    item = rows.item_id.copy()
    users = np.setdiff1d(np.arange(400), rows.user_id[item == 0])
    item[rows.user_ptr[1:][users[:80]] - 3] = 0
    return with_rows(
        user_id=np.concatenate([users[80:160], rows.user_id]),
        item_id=np.concatenate([np.zeros(80, int), item]),
        timestamp=np.concatenate([np.full(80, 1_500_000_000), times()]),
    )


def repeated() -> RecommendationDataset:
    rows = sound().interactions
    item = rows.item_id.copy()
    item[rows.user_ptr[:40] + 1] = item[rows.user_ptr[:40]]
    return with_rows(item_id=item)


def copied_users() -> RecommendationDataset:
    rows = sound().interactions
    user, item = rows.user_id, rows.item_id
    keep = user >= 6
    copies = [item[user == 10]] * 6
    return with_rows(
        user_id=np.concatenate([np.repeat(np.arange(6), len(copies[0])), user[keep]]),
        item_id=np.concatenate([*copies, item[keep]]),
        timestamp=np.concatenate([np.tile(times()[user == 10], 6), times()[keep]]),
    )


def cold() -> RecommendationDataset:
    rows = sound().interactions
    item = rows.item_id.copy()
    item[rows.item_id == 300] = 301
    item[rows.user_ptr[1:11] - 1] = 300
    return with_rows(item_id=item)


def short_users() -> RecommendationDataset:
    rows = sound().interactions
    place = np.arange(len(rows)) - rows.user_ptr[rows.user_id]
    keep = (rows.user_id >= 60) | (place < 2)
    return with_rows(
        user_id=rows.user_id[keep], item_id=rows.item_id[keep], timestamp=times()[keep]
    )


def same_day() -> RecommendationDataset:
    # The first two of each user; no target is among them.
    rows = sound().interactions
    time = times()
    time[rows.user_ptr[:-1] + 1] = time[rows.user_ptr[:-1]]
    return with_rows(timestamp=time)


def tied_last() -> RecommendationDataset:
    # The last two of a fifth of the users: 3 % of all steps.
    rows = sound().interactions
    time = times()
    time[rows.user_ptr[1:81] - 1] = time[rows.user_ptr[1:81] - 2]
    return with_rows(timestamp=time)


def old() -> RecommendationDataset:
    time = times()
    time[0] = 0
    return with_rows(timestamp=time)


def copy_of_image() -> RecommendationDataset:
    dataset = sound()
    dataset.features["text"] = dataset.features["image"]
    return dataset


CASES: dict[str, Change] = {
    "not_aligned": lambda: sound(shuffle_modality="text"),
    "weak_modality": popular,
    "missing_modality": lambda: with_text(torch.Tensor.clone, hidden=60),
    "zero_rows": lambda: with_text(lambda x: x[5].zero_()),
    "duplicated_rows": lambda: with_text(lambda x: x[:5].copy_(x[0].repeat(5, 1))),
    "constant_columns": lambda: with_text(lambda x: x[:, 3].fill_(0.5)),
    "extreme_rows": lambda: with_text(lambda x: x[5].mul_(100)),
    "same_modalities": copy_of_image,
    "cold_targets": cold,
    "users_without_history": short_users,
    "identical_histories": copied_users,
    "repeated_pairs": repeated,
    "baskets": same_day,
    "tied_targets": tied_last,
    "time_out_of_range": old,
    "rare_items": rare_items,
}


@cache
def inspected(code: str) -> Inspection:
    return look(CASES[code]())


def test_a_sound_data_set_has_none() -> None:
    assert codes(sound()) == []


@pytest.mark.parametrize("code", CASES)
def test_causes(code: str) -> None:
    found = [warning.code for warning in inspected(code).warnings]
    assert code in found
    # Rare items cannot help being missing from training now and then.
    assert set(found) - {code} <= ({"cold_targets"} if code == "rare_items" else set())


def test_concentrated() -> None:
    assert codes(concentrated()) == []
    assert codes(concentrated(), thresholds=Thresholds(concentration=0.3)) == ["concentrated"]


def test_an_advice_that_asks_ends_once() -> None:
    text = " ".join(str(inspect_dataset(sound(), max_queries=99)).split())
    assert "is i in the items file? " in text + " "
    assert "?." not in text


def test_alignment_unclear() -> None:
    assert codes(sound(), max_queries=99) == ["alignment_unclear"] * 2
    assert codes(sound(), max_queries=100) == ["alignment_unclear"] * 2  # for another reason
    first, second = (look(sound(), max_queries=size).warnings[0] for size in (99, 100))
    assert "too few to tell" in first.message
    assert "may be chance" in second.message
    assert codes(sound(), max_queries=300) == []
    assert codes(sound(), k=63) == ["alignment_unclear"] * 2  # 310 < 5 * 63


@pytest.mark.parametrize(
    ("code", "limits"),
    [
        ("not_aligned", {"aligned_ratio": 0.1, "aligned_z": -10.0}),
        ("missing_modality", {"missing": 0.5}),
        ("duplicated_rows", {"duplicates": 0.1}),
        ("same_modalities", {"common_neighbors": 1.0, "agreement": 1.0}),
        ("cold_targets", {"unknown_targets": 0.1}),
        ("users_without_history", {"users_not_asked": 0.5}),
        ("identical_histories", {"identical_users": 0.1}),
        ("repeated_pairs", {"repeated_pairs": 0.1}),
        ("baskets", {"baskets": 0.5}),
        ("tied_targets", {"tied_targets": 0.5}),
        ("rare_items", {"rare_items": 1.0}),
    ],
)
def test_thresholds_can_be_moved(code: str, limits: dict[str, Any]) -> None:
    found = find_warnings(inspected(code), replace(Thresholds(), **limits))
    assert code not in [warning.code for warning in found]


def test_alignment_needs_ratio_and_distance() -> None:
    rate = look(sound()).alignment["image"]
    ratio = rate.hit_rate / rate.shuffled
    assert "not_aligned" in codes(sound(), thresholds=Thresholds(aligned_ratio=ratio + 0.01))
    far = codes(sound(), thresholds=Thresholds(aligned_z=rate.z + 0.01))
    assert "alignment_unclear" in far


def test_zero_columns_are_many_or_harmless() -> None:
    assert codes(with_text(lambda x: x[:, :3].zero_())) == []
    assert codes(with_text(lambda x: x[:, :4].zero_())) == ["constant_columns"]  # 4 > 3.2


def test_milliseconds_are_named() -> None:
    dataset = with_rows(timestamp=times() * 1000)
    (warning,) = look(dataset).warnings
    assert warning.code == "time_out_of_range"
    assert f"{len(dataset.interactions):,} in the future" in warning.message
    assert "divide the timestamp column" in warning.advice
    (other,) = inspected("time_out_of_range").warnings
    assert "divide" not in other.advice
    assert "1 row before 1990" in other.message


def all_warnings() -> list[DataWarning]:
    found = [warning for code in CASES for warning in inspected(code).warnings]
    found += look(sound(), max_queries=99).warnings + look(sound(), max_queries=100).warnings
    return found + look(concentrated(), thresholds=Thresholds(concentration=0.3)).warnings


#: What the advice calls, and the arguments that it names.
CALLED: dict[str, tuple[Callable[..., Any], set[str]]] = {
    "FolderDataset": (mdsrec_pyg.FolderDataset, {"modalities", "duplicates"}),
    "Trainer": (TrainerConfig, {"shuffle_ties"}),  # Trainer takes its options by name
    "build_mdsrec": (mdsrec_pyg.build_mdsrec, {"graph", "relations"}),
    "inspect_dataset": (inspect_dataset, {"max_queries"}),
    "recommend": (mdsrec_pyg.recommend, {"exclude_seen"}),
    "temporal_split": (mdsrec_pyg.temporal_split, set()),
}


def test_advice_names_what_exists() -> None:
    found = all_warnings()
    assert {warning.code for warning in found} == {*CASES, "alignment_unclear", "concentrated"}
    text = " ".join(warning.advice for warning in found)
    assert "--" not in text  # options belong to a program, not to the library
    for name, (function, arguments) in CALLED.items():
        calls = re.findall(rf"\b{name}\(((?:[^()]|\([^()]*\))*)\)", text)
        assert calls, name
        named = {word for call in calls for word in re.findall(r"\b(\w+)=", call)}
        assert named == arguments, name
        assert named <= set(inspect.signature(function).parameters), name
    assert "fill" in ProductConfig.names()
    assert "l2" in RelationsConfig.names()
    assert hasattr(mdsrec_pyg.evaluation, "metrics_by_popularity")
    assert hasattr(mdsrec_pyg.FolderDataset, "k_core")
