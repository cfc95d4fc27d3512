"""Named forms of MDSRec, built from a data set in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from mdsrec_pyg.configs import Config, check_at_least, configure, unknown_option
from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs.centers import NUM_CENTERS, InterestCenters
from mdsrec_pyg.graphs.config import ProductConfig
from mdsrec_pyg.graphs.cooccurrence import count_cooccurrences
from mdsrec_pyg.graphs.neighbors import BEHAVIOR, UnitRows, as_unit
from mdsrec_pyg.graphs.product import product_graph
from mdsrec_pyg.nn.models._effects import OwnParts, without_effect
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.models.mdsrec import MDSRec
from mdsrec_pyg.nn.votes.config import RelationsConfig
from mdsrec_pyg.nn.votes.fit import fit_relations
from mdsrec_pyg.seed import drawn_apart

__all__ = ["PRESETS", "Preset", "build_mdsrec"]


@dataclass(frozen=True, kw_only=True)
class Preset(Config):
    """Everything that MDSRec is built by, beside the data and the seed.

    Args:
        graph: Options of the item graphs.
        relations: Options of the learned relations; ``None`` leaves the relation votes out.
        num_centers: K of the interest centers of each modality; 0 for none.
        model: Options of the model.

    Raises:
        ValueError: An option out of range.
    """

    graph: ProductConfig = field(default_factory=ProductConfig)
    relations: RelationsConfig | None = field(default_factory=RelationsConfig)
    num_centers: int = NUM_CENTERS
    model: MDSRecConfig = field(default_factory=MDSRecConfig)

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 0, "num_centers")


#: The named forms. ``'paper'`` is our reading of the paper's own: E_m alone, centers in queries and
#: keys, gate; no history bias, no relation votes. The paper says that propagation enriches the
#: items' embeddings, which we read as graphs with self-loops: an item is represented by itself and
#: its neighbors. ``graph={"self_loops": 0}`` reads A_m without them, by its neighbors alone;
#: the weight is what validation chose (benchmarks/README.md).
#: ``'best'`` is what validation chose (docs/results.md).
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "paper": Preset(
            graph=ProductConfig(self_loops=0.25),
            relations=None,
            model=MDSRecConfig(
                history_bias=False,
                add_id=False,
                add_features=False,
                add_centers=False,
                center_mode="only",
            ),
        ),
        "best": Preset(),
    }
)


def build_mdsrec(
    features: Mapping[str, ModalFeature | Tensor | NDArray[Any]],
    train: Interactions,
    preset: str | Preset = "best",
    *,
    graph: ProductConfig | Mapping[str, Any] | None = None,
    relations: RelationsConfig | Mapping[str, Any] | bool | None = None,
    num_centers: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    conv: MessagePassing | Callable[[], MessagePassing] | None = None,
    encoder: Callable[[], nn.Module] | None = None,
    fusion: str | nn.Module | None = None,
    **options: Any,
) -> MDSRec:
    """Builds graphs, centers and learned relations from the training part, and the model.

    Every option is checked before anything is fitted.

    Example:
        >>> build_mdsrec(features, split.train)
        >>> build_mdsrec(features, split.train, "paper", channels=128)
        >>> build_mdsrec(features, split.train, graph={"num_neighbors": 20}, relations={"l2": 300})

    Args:
        features: Features of each modality, as they are (a :class:`~mdsrec_pyg.ModalFeature`, or an
            array ``[N, F]`` where no item lacks the modality); the model scales them on training
            items. Without any, ``{}``, the model is one of IDs: votes over the plain ridge, and one
            graph of co-occurrence that carries the ID embeddings, both called ``"behavior"``; there
            are no centers.
        train: Training interactions; nothing else enters.
        preset: ``'best'``, ``'paper'`` or a :class:`Preset` of your own.
        graph: Options of the item graphs, over those of the preset: a
            :class:`~mdsrec_pyg.graphs.ProductConfig` or some of its options by name.
        relations: Options of the learned relations, over those of the preset: a
            :class:`~mdsrec_pyg.nn.RelationsConfig` or some of its options by name; True and False
            put them in and leave them out.
        num_centers: K of the interest centers; 0 for none. Default: the preset's.
        seed: Seed of the centers and of the model's initial weights.
        device: Where graphs, centers and relations are computed, and where the model is. Sums on a
            GPU are rounded in another order: weights of edges differ by some 1e-5 of the largest,
            so that an edge or a center at the limit may be another; initial weights are the same.
        conv: A layer of your own in place of LightGraphConv, or a callable that makes one.
        encoder: Makes sequence encoders of your own, see :class:`~mdsrec_pyg.nn.MDSRec`.
        fusion: A mode, or a module of your own that weighs the modalities.
        **options: Options of the model, over those of the preset: see
            :class:`~mdsrec_pyg.nn.MDSRecConfig`.

    Raises:
        ValueError: An unknown preset or option, features of other items, or an option that the
            parts reject.
    """
    if isinstance(fusion, str):
        options["fusion"] = fusion
    own = OwnParts(conv, encoder, None if isinstance(fusion, str) else fusion)
    chosen = choose(preset, graph, relations, num_centers, options, own, bool(features))
    units = _units(features, train, chosen.num_centers)
    counts = count_cooccurrences(
        train,
        window=chosen.graph.window,
        max_sequence_length=chosen.graph.max_sequence_length,
        diagonal=chosen.graph.self_loops == "count",
    )
    graph_options = chosen.graph.replace(window=None)  # it has gone into the counts
    known = torch.from_numpy(train.item_counts() > 0)
    graphs, centers = {}, {}
    channels: Mapping[str, UnitRows | None] = units or {BEHAVIOR: None}
    for name, unit in channels.items():
        graphs[name] = product_graph(unit, counts, graph_options, device=device)
        graphs[name].train_mask = known
        if chosen.num_centers and unit is not None:
            fit = InterestCenters(chosen.num_centers, random_state=seed).fit
            centers[name] = fit(unit.feature.x, unit.feature.mask, items=known, device=device)
    learned = None
    if chosen.relations is not None:
        own_device = chosen.relations.device
        where = str(device) if own_device == RelationsConfig.device else own_device
        learned = fit_relations(
            units,
            train,
            chosen.relations.replace(device=where),
            seed=seed,
            max_length=chosen.model.max_length,
        )
    with drawn_apart(seed):
        return MDSRec(
            graphs,
            centers or None,
            learned,
            chosen.model,
            conv=own.conv,
            encoder=own.encoder,
            fusion=own.fusion,
        ).to(device)


def _units(
    features: Mapping[str, Any], train: Interactions, num_centers: int
) -> dict[str, UnitRows]:
    """Features as unit rows; a mistake names the modality before anything is fitted."""
    if not isinstance(train, Interactions):
        kind = type(train).__name__
        raise ValueError(f"'train' must be Interactions, such as split.train (got {kind})")
    units = {}
    for name, feature in features.items():
        units[name] = as_unit(feature)
        if len(units[name]) != train.num_items:
            raise ValueError(
                f"'features' must have one row an item (expected {train.num_items:,} of "
                f"{name!r}, got {len(units[name]):,})"
            )
    known = torch.from_numpy(train.item_counts() > 0)
    for name, unit in units.items():  # all of them have the right size by now
        found = int((unit.feature.mask & known).sum())
        if num_centers > found:
            raise ValueError(
                f"'num_centers' must not exceed the number of items with the modality in the "
                f"training part, {found:,} of {name!r} (got {num_centers:,})"
            )
    return units


def _warn_without_features(
    graph: ProductConfig,
    usual_graph: ProductConfig,
    relations: RelationsConfig | None,
    usual_relations: RelationsConfig | None,
) -> None:
    """Warns of what was asked for and has an effect on features only."""
    found = [n for n in ("fill", "fill_weight") if getattr(graph, n) != getattr(usual_graph, n)]
    if relations is not None:
        usual = usual_relations or RelationsConfig()
        if relations.feature_weight != usual.feature_weight:
            found.append("feature_weight")
    if found:
        warnings.warn(f"{found} have no effect without features", stacklevel=4)


def _unknown(name: str, known: list[str]) -> ValueError:
    """The error for an option that ``build_mdsrec`` does not have; a part's names the part."""
    for part, config in (("relations", RelationsConfig), ("graph", ProductConfig)):
        if name in config.names():
            return ValueError(
                f"build_mdsrec has no option {name!r} of its own: it is one of {part!r}, "
                f"{part}={{{name!r}: ...}}"
            )
    return unknown_option("build_mdsrec", name, known)


def choose(
    preset: str | Preset,
    graph: ProductConfig | Mapping[str, Any] | None,
    relations: RelationsConfig | Mapping[str, Any] | bool | None,
    num_centers: int | None,
    options: Mapping[str, Any],
    own: OwnParts,
    features: bool = True,
) -> Preset:
    """The preset with what was asked for, less what that leaves without effect.

    Raises:
        ValueError: An unknown preset or option, a value out of range, or centers where there are no
            features to find them in.
    """
    if num_centers and not features:
        raise ValueError(f"'num_centers' must be 0 without features (got {num_centers})")
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"'preset' must be one of {sorted(PRESETS)} (got {preset!r})")
        preset = PRESETS[preset]
    for name in options:
        if name not in MDSRecConfig.names():
            known = [*MDSRecConfig.names(), "graph", "relations", "num_centers", "conv", "encoder"]
            raise _unknown(name, known)
    fitted = preset.relations
    if relations is False:
        fitted = None
    elif relations is not None and relations is not True:
        fitted = configure(fitted or RelationsConfig(), relations)
    elif relations is True:
        fitted = fitted or RelationsConfig()
    item_graphs = configure(preset.graph, graph)
    if not features:
        _warn_without_features(item_graphs, preset.graph, fitted, preset.relations)
    centers = preset.num_centers if num_centers is None else num_centers
    centers = centers if features else 0
    asked = preset.model.replace(**options)
    idle = without_effect(asked, own, centers > 0, fitted is not None, features)
    default = {field.name: field.default for field in fields(MDSRecConfig)}
    unused = {name for names in idle.values() for name in names} - set(options)
    return Preset(
        graph=item_graphs,
        relations=fitted,
        num_centers=centers,
        model=asked.replace(**{name: default[name] for name in unused}),
    )
