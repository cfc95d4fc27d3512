"""What a run is made of: data, split, form of the model, seed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mdsrec_pyg.configs import Config, check_at_least, check_one_of
from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.datasets import SPLITS, FolderDataset, RecommendationDataset, SyntheticDataset
from mdsrec_pyg.nn.models.mdsrec import MDSRec
from mdsrec_pyg.nn.models.presets import PRESETS, Preset, build_mdsrec
from mdsrec_pyg.nn.votes.config import RelationsConfig
from mdsrec_pyg.showing import file_name
from mdsrec_pyg.training.config import TrainerConfig

__all__ = ["RunConfig", "preset_options", "synthetic_settings"]


@dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """What a run is made of, beside the options of the trainer; kept as ``settings.json``.

    Args:
        data: Folder of the data set; ``None``: the synthetic one.
        modalities: Names of the modalities to read; ``None``: all in the folder.
        duplicates: ``'keep'`` or ``'drop'`` further interactions of a user with the same item.
        split: One of :data:`~mdsrec_pyg.datasets.SPLITS`.
        preset: One of :data:`~mdsrec_pyg.nn.PRESETS`.
        seed: Of everything random in building and training.
        options: Further arguments of :func:`~mdsrec_pyg.build_mdsrec`, over those of the preset.

    Raises:
        ValueError: An option out of range.
    """

    data: str | None = None
    modalities: list[str] | None = None
    duplicates: str = "keep"
    split: str = "leave_last_out"
    preset: str = "best"
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_one_of(self, "duplicates", "keep", "drop")
        check_one_of(self, "split", *sorted(SPLITS))
        check_one_of(self, "preset", *sorted(PRESETS))
        check_at_least(self, 0, "seed")

    def read_data(self) -> RecommendationDataset:
        """The data set.

        Raises:
            ValueError: There is no folder ``data``, or a file in it is wrong.
        """
        if self.data is None:
            return SyntheticDataset(seed=0)
        if not Path(self.data).is_dir():
            raise ValueError(
                f"'data' must be the folder of a data set (got {self.data}); mdsrec prepare or "
                "mdsrec_pyg.datasets.from_csv makes one"
            )
        return FolderDataset(self.data, self.modalities, duplicates=self.duplicates)

    def build(
        self,
        dataset: RecommendationDataset,
        split: Split,
        device: str | torch.device = "cpu",
    ) -> MDSRec:
        """The model, not yet trained: graphs, centers and relations from the training part."""
        options = {"seed": self.seed, "device": device, **self.options}
        return build_mdsrec(dataset.features, split.train, self.preset, **options)

    def name(self, trainer: TrainerConfig | None = None) -> str:
        """A name for the run's folder that holds every option, so that no two runs share one.

        Options that are the usual ones do not stand in it: the preset's and the trainer's, and for
        the synthetic data those of :func:`synthetic_settings`.
        """
        data = "synthetic" if self.data is None else Path(self.data).resolve().name
        given = {
            key: getattr(self, key)
            for key in ("modalities", "duplicates", "split")
            if getattr(self, key) != getattr(RunConfig(), key)
        }
        form, usual = PRESETS[self.preset], TrainerConfig()
        if self.data is None:
            form, usual = synthetic_settings(self.preset)
        expected = preset_options(self.preset, form)
        options = {key: self.options.get(key, "preset") for key in (*expected, *self.options)}
        options = {key: value for key, value in options.items() if value != expected.get(key)}
        chosen = trainer or usual
        for key in chosen.names():
            moves = key not in ("seed", "eval_batch_size")
            if moves and getattr(chosen, key) != getattr(usual, key):
                given[key] = getattr(chosen, key)
        rest = "".join(f"-{key}-{_text(value)}" for key, value in flat_options(given | options))
        if len(rest) > 120:  # names of files have an end
            rest = f"{rest[:100]}-{zlib.crc32(rest.encode()):08x}"
        rest = file_name(rest, 130) if rest else ""  # modalities are called as their files are
        return f"{data}-{self.preset}-seed{self.seed}{rest}".replace("_", "-")


def flat_options(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Options with their values, nested ones by names such as ``relations.l2``."""
    found: list[tuple[str, Any]] = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            found += flat_options(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _text(value: object) -> str:
    text = "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text.replace("/", "-")


def synthetic_settings(preset: str = "best") -> tuple[Preset, TrainerConfig]:
    """What validation chose for the synthetic data, where its items have few users each.

    A stronger ridge than on real sets, as many centers as planted groups, and no vector of an
    item's own, as its four users are memorized at once. ``mdsrec train`` and
    ``examples/train_mdsrec.py`` take these where no data are named.

    Args:
        preset: The named form that they are made from.

    Returns:
        The form and the options of the trainer.
    """
    base = PRESETS[preset]
    relations = base.relations and base.relations.replace(l2=300.0, feature_weight=30.0)
    model = base.model.replace(add_id=False, add_features=False)
    form = base.replace(num_centers=64, relations=relations, model=model)
    return form, TrainerConfig(patience=5)


def preset_options(name: str, chosen: Preset) -> dict[str, Any]:
    """What :func:`~mdsrec_pyg.build_mdsrec` takes to make ``chosen`` out of a named preset.

    Args:
        name: One of :data:`~mdsrec_pyg.nn.PRESETS`.
        chosen: The form that is wanted.

    Returns:
        The arguments, only those that differ: ``graph``, ``relations``, ``num_centers`` and the
        options of the model. Without a difference it is empty.
    """
    base = PRESETS[name]
    options = _difference(chosen.model, base.model)
    if chosen.num_centers != base.num_centers:
        options["num_centers"] = chosen.num_centers
    if graph := _difference(chosen.graph, base.graph):
        options["graph"] = graph
    if chosen.relations is None:
        if base.relations is not None:
            options["relations"] = False
    elif changed := _difference(chosen.relations, base.relations or RelationsConfig()):
        options["relations"] = changed
    elif base.relations is None:
        options["relations"] = True
    return options


def _difference(config: Config, base: Config) -> dict[str, Any]:
    names = config.names()
    return {n: getattr(config, n) for n in names if getattr(config, n) != getattr(base, n)}
