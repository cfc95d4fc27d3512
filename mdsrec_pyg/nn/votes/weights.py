"""Ridge and feature weight of each modality, chosen by the training part alone (ours)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.data.sequences import MAX_LENGTH
from mdsrec_pyg.graphs.neighbors import UnitRows
from mdsrec_pyg.nn.votes.config import AUTO, RelationsConfig, Weight
from mdsrec_pyg.nn.votes.inner_split import InnerSplit, State, some_items
from mdsrec_pyg.showing import counted

__all__ = ["RidgeWeights", "choose_weights"]

#: What may be chosen; the climb starts from what validation chose on real sets.
GRID: dict[str, tuple[float, ...]] = {
    "l2": (7.0, 20.0, 70.0, 200.0, 700.0, 2000.0),
    "feature_weight": (0.0, 2.0, 7.0, 20.0, 70.0, 200.0, 700.0),
}
START = {"l2": 70.0, "feature_weight": 20.0}
#: Standard errors that a move must gain.
ERRORS = 1.0
#: Users that must be asked; what fewer say is chance.
FEWEST = 30
#: Moves, at most. The first looks at 6 fits a modality, each further one at 4 more.
MOVES = 20


@dataclass(frozen=True)
class RidgeWeights:
    r"""Ridge and feature weight of each modality, given or chosen by the training part (ours).

    The newest training item of each user is the target of an inner split; :math:`S_m` are the
    graphs of :func:`~mdsrec_pyg.graphs.ridge_graph` over what is left. Plain votes over all of them

    .. math::
        s(u, j) = \sum_m \sum_{i \in \mathcal{H}_u} .85^{d(i)} S_m[i, j], \qquad
        j \notin \mathcal{H}_u,

    rank the targets, and a hill climb from *l* = 70 and *a* = 20 takes the step along a grid, of
    one number of one modality, that gains most. With :math:`\Delta_u` what a step adds to the
    NDCG@10 of one of *U* users, it must be more than noise in the mean,

    .. math::
        \bar\Delta > k \, \sqrt{\mathrm{Var}(\Delta_u) / U}, \qquad k = 1,

    so that numbers that are well placed stay, and no single user moves one (the variance is that of
    a sample). From any feature weight a step leads to 0, too, the plain ridge, for features that
    tell nothing.
    Leaving out single users instead, as training does, prefers a much too strong ridge: an item
    that is to be found has lost its pairs with the history for everybody (benchmarks/README.md).

    A fit is exact and takes :math:`O(N^3)` and :math:`12 N^2` bytes, whatever ``memory_limit``. A
    catalog of more than 4,000 items is judged by 4,000 of them (192 MB), drawn by the seed, and
    what all users have of them; of more than 20,000 users with a target, so many are asked. Where
    fewer than 30 can be, because few have two of those items, the start stays.

    Args:
        l2: Ridge a modality.
        feature_weight: Weight of the affinity a modality.
        ndcg: Mean NDCG@10 of the inner split with them; ``None`` where nothing was chosen.
        start_ndcg: The same where the choice started.
        chosen: The options that were chosen, ``'l2'`` and ``'feature_weight'``.
        num_targets: Users asked.
        num_items: Items of the catalog that was asked about.
        num_fits: Ridges fitted for the choice.
    """

    l2: dict[str, float]
    feature_weight: dict[str, float]
    ndcg: float | None = None
    start_ndcg: float | None = None
    chosen: tuple[str, ...] = ()
    num_targets: int = 0
    num_items: int = 0
    num_fits: int = 0

    def summary(self) -> dict[str, str]:
        """The numbers of each modality and how they were chosen, in words, by what they are."""
        table = {
            f"ridge of {name}": f"l2 {self.l2[name]:g}, feature weight {weight:g}"
            for name, weight in self.feature_weight.items()
        }
        if not self.chosen:
            return table
        if self.ndcg is None or self.start_ndcg is None:
            found = (
                f"{counted(self.num_targets, 'user')} could be asked within the training part, "
                f"fewer than {FEWEST}: the usual numbers stay"
            )
        else:
            asked = f"{counted(self.num_targets, 'user')}, {counted(self.num_items, 'item')}"
            usual = ", ".join(f"{option} {START[option]:g}" for option in self.chosen)
            found = (
                f"by votes within the training part: NDCG@10 {self.ndcg:.4f}, with {usual} "
                f"{self.start_ndcg:.4f} ({asked}, {counted(self.num_fits, 'fit')})"
            )
        return {**table, "chosen": found}


def choose_weights(
    units: Mapping[str, UnitRows],
    interactions: Interactions,
    config: RelationsConfig,
    *,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
) -> RidgeWeights:
    """Numbers for each modality: those given, and what the training part chooses.

    Args:
        units: Unit rows of each modality.
        interactions: The training part; nothing else is looked at.
        config: Where ``l2`` or ``feature_weight`` is ``'auto'``, it is chosen.
        seed: Of the sample of items on a catalog of more than 4,000, and of users where more than
            20,000 could be asked.
        max_length: Newest items of a history that vote, as many as the model reads.

    Raises:
        ValueError: Numbers by name are not those of the modalities.
    """
    options = {"l2": config.l2, "feature_weight": config.feature_weight}
    start: State = {}
    for option, given in options.items():
        start |= {(option, n): v for n, v in _by_modality(option, given, list(units)).items()}
    free = [
        (option, name)
        for name, unit in units.items()
        for option, given in options.items()
        if given == AUTO and (option == "l2" or bool(unit.present.any()))
    ]
    chosen = tuple(option for option in options if option in dict(free))
    if not chosen:
        return _result(start)
    rng = np.random.default_rng(seed)
    units, interactions = some_items(units, interactions, rng)
    with tqdm(desc="ridges", unit=" fits", leave=False, disable=None) as bar:
        inner = InnerSplit(units, interactions, config, rng, bar.update, max_length)
        if inner.num_targets < FEWEST:
            return _result(start, chosen=chosen, num_targets=inner.num_targets)
        found = _climb(inner, start, free)
    return _result(
        found,
        ndcg=float(inner.ndcg(found).mean()),
        start_ndcg=float(inner.ndcg(start).mean()),
        chosen=chosen,
        num_targets=inner.num_targets,
        num_items=interactions.num_items,
        num_fits=inner.num_fits,
    )


def _by_modality(option: str, given: Weight, modalities: list[str]) -> dict[str, float]:
    """A number for each modality; where it is to be chosen, the one to start from."""
    if isinstance(given, dict):
        if sorted(given) != sorted(modalities):
            raise ValueError(
                f"{option!r} must hold a number for each of the modalities {modalities} (got "
                f"{given})"
            )
        return {name: given[name] for name in modalities}
    number = START[option] if isinstance(given, str) else given
    return dict.fromkeys(modalities, number)


def _result(state: State, **more: Any) -> RidgeWeights:
    l2, weight = (
        {name: value for (option, name), value in state.items() if option == wanted}
        for wanted in GRID
    )
    return RidgeWeights(l2, weight, **more)


def _climb(inner: InnerSplit, state: State, free: list[tuple[str, str]]) -> State:
    """Takes the move that gains most, until none gains more than noise."""
    for _ in range(MOVES):
        gains = [(_gain(inner, state, other), other) for other in _moves(state, free)]
        best, other = max(gains, key=lambda gain: gain[0], default=(0.0, state))
        if best <= 0:
            break
        state = other
    return state


def _moves(state: State, free: list[tuple[str, str]]) -> Iterator[State]:
    """A step along the grid, up or down, of one number; to no weight from any."""
    for axis in free:
        grid = GRID[axis[0]]
        place = grid.index(state[axis])
        none = {0} if grid[0] == 0 else set()
        for other in sorted(({place - 1, place + 1} | none) - {place}):
            if 0 <= other < len(grid):
                yield {**state, axis: grid[other]}


def _gain(inner: InnerSplit, state: State, other: State) -> float:
    """What a move adds to the mean NDCG@10; nothing where that is noise."""
    gain = inner.ndcg(other) - inner.ndcg(state)
    if len(gain) < 2:
        return 0.0
    # With the variance of a sample a single user lies at one error exactly: a hair above it is due.
    error = ERRORS * math.sqrt(gain.var(ddof=1) / len(gain)) * (1 + 1e-9)
    return float(gain.mean()) if gain.mean() > max(error, 1e-12) else 0.0
