"""Option sets: frozen, checked where they are made, and helpful where a name is misspelled."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

from mdsrec_pyg import SyntheticDataset, build_mdsrec, nn
from mdsrec_pyg.configs import configure
from mdsrec_pyg.data import SequenceLoader, temporal_split
from mdsrec_pyg.graphs import (
    InterestCenters,
    ProductConfig,
    RidgeConfig,
    count_cooccurrences,
    product_graph,
    ridge_precision,
)
from mdsrec_pyg.nn import MDSRecConfig, Preset, RelationsConfig, SASRec
from mdsrec_pyg.nn.items.features import FeatureProjection, ItemIDs
from mdsrec_pyg.training import Trainer, TrainerConfig

CONFIGS = [ProductConfig, RidgeConfig, RelationsConfig, MDSRecConfig, Preset, TrainerConfig]


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_is_a_value(kind: Any) -> None:
    config = kind()
    assert config == kind()
    for name in kind.names():
        with pytest.raises(FrozenInstanceError):
            setattr(config, name, None)
    with pytest.raises(TypeError):
        kind(3)  # by name only
    assert list(config.to_dict()) == kind.names()


def test_another_value_leaves_the_first_as_it_is() -> None:
    config = RidgeConfig(l2=3.0)
    assert config.replace(num_neighbors=7) == RidgeConfig(l2=3.0, num_neighbors=7)
    assert config == RidgeConfig(l2=3.0)
    with pytest.raises(ValueError, match=r"'l2' must be positive \(got 0.0\)"):
        config.replace(l2=0.0)


def test_nested_configurations_become_dictionaries() -> None:
    found = Preset(relations=RelationsConfig(l2=3.0)).to_dict()
    assert found["relations"]["l2"] == 3.0
    assert found["graph"] == ProductConfig().to_dict()
    assert Preset(relations=None).to_dict()["relations"] is None


@dataclass(frozen=True, kw_only=True)
class Special(RidgeConfig):
    num_folds: int = 2


def test_what_is_given_stands_over_the_default_and_names_over_both() -> None:
    default = RidgeConfig(l2=3.0, num_neighbors=7)
    assert configure(default) == default
    assert configure(default, {"l2": 5.0}) == RidgeConfig(l2=5.0, num_neighbors=7)
    assert configure(default, {"l2": 5.0}, l2=6.0) == RidgeConfig(l2=6.0, num_neighbors=7)
    # One given whole does not keep anything of the default.
    assert configure(default, RidgeConfig()) == RidgeConfig()
    assert configure(default, RidgeConfig(), l2=6.0) == RidgeConfig(l2=6.0)
    # A more special kind is one, too, and stays what it is.
    special = Special(num_folds=3)
    assert configure(default, special, l2=6.0) == Special(num_folds=3, l2=6.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ProductConfig().replace(behaviour="log"), "did you mean 'behavior'?"),
        (lambda: RidgeConfig().replace(zzz=1), "RidgeConfig has no option 'zzz': it has "),
        (lambda: configure(RidgeConfig(), {"l2_": 1}), "no option 'l2_': did you mean 'l2'?"),
        (
            lambda: configure(RelationsConfig(), RidgeConfig()),
            "expected a RelationsConfig or some of its options (got a RidgeConfig)",
        ),
        (
            lambda: Trainer(SASRec(9, channels=4), eval_evry=2),
            "TrainerConfig has no option 'eval_evry': did you mean 'eval_every'?",
        ),
        (
            lambda: product_graph(None, None, windw=2),
            "ProductConfig has no option 'windw': did you mean 'window'?",
        ),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("kind", [ProductConfig, RidgeConfig, RelationsConfig])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_neighbors": 0}, "'num_neighbors' must be at least 1 (got 0)"),
        ({"max_sequence_length": 0}, "'max_sequence_length' must be at least 1 (got 0)"),
        ({"block_size": 0}, "'block_size' must be at least 1 (got 0)"),
        ({"num_probes": 0}, "'num_probes' must be at least 1 (got 0)"),
        ({"search": "fast"}, "'search' must be 'exact', 'cells' or None (got 'fast')"),
    ],
)
def test_every_kind_of_graph_checks_what_all_have(kind: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**options)


def test_a_trainer_takes_a_configuration_and_names_over_it() -> None:
    sasrec = SASRec(9, channels=4)
    config = TrainerConfig(lr=0.5, epochs=4)
    trainer = Trainer(sasrec, config, epochs=6, log=lambda line: None)
    assert trainer.config == TrainerConfig(lr=0.5, epochs=6)
    assert Trainer(sasrec).config == TrainerConfig()


@pytest.mark.parametrize(
    ("config", "callables"),
    [
        (MDSRecConfig, [nn.SASRec, nn.GRU4Rec, nn.EASE, nn.Popularity, nn.SequentialRecommender]),
        (MDSRecConfig, [nn.InterestTransformer, SequenceLoader]),
        (TrainerConfig, [SequenceLoader]),
        (Preset, [InterestCenters]),
        (ProductConfig, [count_cooccurrences]),
        (RidgeConfig, [count_cooccurrences, nn.EASE]),
    ],
)
def test_an_option_has_the_same_default_at_every_entrance(config: Any, callables: Any) -> None:
    options, compared = config(), 0
    for function in callables:
        for name, parameter in inspect.signature(function).parameters.items():
            differs = name in ("seed", "history_bias") or parameter.default is inspect._empty
            if name in config.names() and not differs:
                compared += 1
                assert parameter.default == getattr(options, name), (function, name)
    assert compared


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TrainerConfig, {"batch_size": 2.5}, "'batch_size' must be a whole number (got 2.5)"),
        (TrainerConfig, {"epochs": True}, "'epochs' must be a whole number (got True)"),
        (TrainerConfig, {"epochs": "3"}, "'epochs' must be a whole number (got '3')"),
        (TrainerConfig, {"lr": "0.1"}, "'lr' must be a number (got '0.1')"),
        (TrainerConfig, {"exclude_seen": "yes"}, "'exclude_seen' must be True, False or None (got"),
        (TrainerConfig, {"grad_clip": "1"}, "'grad_clip' must be a number or None (got '1')"),
        (MDSRecConfig, {"fusion": None}, "'fusion' must be text (got None)"),
        (RidgeConfig, {"l2": None}, "'l2' must be a number (got None)"),
        (RelationsConfig, {"l2": "aut"}, "'l2' must be a number, numbers by name or 'auto' (got"),
        (RelationsConfig, {"l2": {"image": True}}, "'l2' must be a number, numbers by name or"),
        (RelationsConfig, {"l2": {}}, "'l2' must hold a number for each modality (got none)"),
        (RelationsConfig, {"l2": {"image": 0.0}}, "'l2' must be positive (got 0.0 of 'image')"),
        (RelationsConfig, {"l2": 0}, "'l2' must be positive (got 0)"),
        (
            RelationsConfig,
            {"feature_weight": {"image": 2.0, "text": -1.0}},
            "'feature_weight' must not be negative (got -1.0 of 'text')",
        ),
        (
            RelationsConfig,
            {"feature_weight": {"text": float("nan")}},
            "'feature_weight' must be finite (got nan of 'text')",
        ),
        (ProductConfig, {"fill": 3}, "'fill' must be 'semantic' or None (got 3)"),
        (Preset, {"model": None}, "'model' must be a MDSRecConfig (got None)"),
    ],
)
def test_a_value_of_another_type_is_an_error(
    kind: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**options)


def test_numbers_of_numpy_are_numbers() -> None:
    options: dict[str, Any] = {"epochs": np.int64(3), "lr": np.float32(0.5)}
    config = TrainerConfig(**options)
    assert (config.epochs, config.lr) == (3, 0.5)


def test_an_option_of_a_part_names_the_part() -> None:
    empty = SyntheticDataset(20, 30, num_interests=2, channels=2)
    for name, part in (("l2", "relations"), ("window", "graph")):
        option: dict[str, Any] = {name: 3}
        with pytest.raises(ValueError, match=rf"it is one of '{part}', {part}={{'{name}': ...}}"):
            build_mdsrec(empty.features, empty.interactions, **option)


FLOATS = [
    (kind, name)
    for kind in CONFIGS
    for name, hint in get_type_hints(kind).items()
    if "float" in str(hint)
]


@pytest.mark.parametrize(("kind", "name"), FLOATS)
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**400])
def test_every_number_of_every_configuration_is_finite(kind: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"'{name}' must be finite"):
        kind(**{name: value})


def test_the_floats_above_are_there() -> None:
    assert len(FLOATS) > 10


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("l2", lambda world, v: ridge_precision(world.interactions, l2=v)),
        ("feature_weight", lambda world, v: ridge_precision(world.interactions, feature_weight=v)),
        ("denoising", lambda world, v: ridge_precision(world.interactions, denoising=v)),
        ("history_bias", lambda world, v: nn.EASE(world.interactions, history_bias=v)),
        ("history_bias", lambda world, v: nn.Popularity(world.interactions, history_bias=v)),
        ("scale", lambda _, v: nn.HistoryBias(5, v)),
        ("scale", lambda _, v: FeatureProjection(torch.ones(3, 2), 4, v)),
        ("std", lambda _, v: ItemIDs(3, 4, v)),
        ("test_fraction", lambda world, v: temporal_split(world.interactions, test_fraction=v)),
    ],
)
def test_a_number_that_is_an_argument_is_finite(name: str, make: Any, value: float) -> None:
    world = SyntheticDataset(20, 30, num_interests=2, channels=2)
    with pytest.raises(ValueError, match=f"'{name}' must"):
        make(world, value)
