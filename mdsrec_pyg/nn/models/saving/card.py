"""What a saved model says about itself to people: its model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.nn.models.saving.folder import CARD, CONFIG, read_config, versions
from mdsrec_pyg.showing import markdown_text, showable

__all__ = ["ModelCard"]

_UNSTATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Where a model comes from and how good it is: ``README.md`` of its folder.

    A number without its rules says nothing, so that metrics need all of them.

    Example:
        >>> card = ModelCard(
        ...     data="scientific_clip",
        ...     split="leave_last_out",
        ...     metrics={"ndcg@10": 0.0953},
        ...     seed=0,
        ...     exclude_seen=False,
        ...     command="python examples/train_mdsrec.py --data data/scientific_clip",
        ... )
        >>> model.save("my-model", card=card)

    Args:
        data: Name and version of the data set.
        split: Name of the split.
        metrics: Values by name; the name holds the cutoff, such as ``'ndcg@10'``.
        seed: Of the training.
        exclude_seen: Whether seen items were taken out of the candidates.
        ties: Rank of a target among equal scores.
        command: The exact command that made the model.
        license: Identifier of the license, such as ``'mit'``.

    Raises:
        ValueError: Metrics without ``data``, ``split``, ``seed``, ``exclude_seen`` or ``command``.
    """

    data: str | None = None
    split: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    exclude_seen: bool | None = None
    ties: str = "mean rank"
    command: str | None = None
    license: str | None = None

    def __post_init__(self) -> None:
        """Checks that metrics have their rules."""
        rules = ("data", "split", "seed", "exclude_seen", "command")
        missing = [name for name in rules if getattr(self, name) is None]
        if self.metrics and missing:
            raise ValueError(f"{missing[0]!r} must be stated beside 'metrics' (got None)")

    def text(self, kind: str, num_items: int) -> str:
        """The card in Markdown, with a YAML head.

        Args:
            kind: Class of the model.
            num_items: N.
        """
        rows = "".join(
            f"| {markdown_text(name)} | {value:.4f} |\n" for name, value in self.metrics.items()
        )
        table = f"| metric | value |\n|---|---|\n{rows}" if rows else f"{_UNSTATED}\n"
        seen = {None: _UNSTATED, True: "masked", False: "kept as candidates"}[self.exclude_seen]
        used = ", ".join(f"{name} {version}" for name, version in versions().items())
        command = "" if self.command is None else f"\n```\n{showable(self.command)}\n```\n"
        data = _UNSTATED if self.data is None else markdown_text(self.data)
        split = _UNSTATED if self.split is None else markdown_text(self.split)
        return f"""{self._head()}
# {kind} over {num_items:,} items

It needs neither its data set nor training to recommend: users are histories.

```python
from mdsrec_pyg import recommend
from mdsrec_pyg.nn import Recommender

model = Recommender.from_pretrained("this folder or repository")
recommend(model, [histories of raw item ids], k=10, exclude_seen=True)
```

## Data
{data}, split: {split}

## Metrics
{table}
- seed: {_UNSTATED if self.seed is None else self.seed}
- candidates: the whole catalog, seen items {seen}
- equal scores: {self.ties}

## Made by
{used}
{command}"""

    def _head(self) -> str:
        """The YAML head that model hubs read; a JSON string is a YAML string, too."""
        lines = ["library_name: mdsrec_pyg"]
        lines += ["tags: [recommendation, sequential-recommendation, multimodal, pyg]"]
        if self.license is not None:
            lines.append(f"license: {json.dumps(self.license)}")
        if self.data is not None:
            lines.append(f"datasets: [{json.dumps(self.data)}]")
        return "\n".join(["---", *lines, "---"])

    def write(self, folder: str | PathLike[str]) -> None:
        """Writes the card of a model that is saved already, as metrics come after it.

        Raises:
            ValueError: No saved model in ``folder``.
        """
        path = Path(folder)
        config = read_config(path / CONFIG)
        num_items = config["hyperparameters"].get("num_items")
        with atomic_write(path / CARD) as temporary:
            temporary.write_text(self.text(config["class"], num_items), encoding="utf-8")
