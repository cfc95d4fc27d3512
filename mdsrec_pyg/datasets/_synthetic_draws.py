"""How the synthetic data are drawn: favorites, items with and without drift, times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.datasets._planted import BLOCK, EXHAUSTED, PlantedLaw

DAY = 86_400
START = 1_600_000_000  # September 2020
# A steeper popularity makes the features needless: the few items that all of a group take are then
# learned from IDs alone.
SKEW = 0.3


def favorites(rng: np.random.Generator, num_users: int, num_interests: int) -> NDArray[np.int64]:
    first = rng.integers(num_interests, size=num_users)
    second = (first + rng.integers(1, num_interests, size=num_users)) % num_interests
    return np.stack([first, np.where(rng.random(num_users) < 0.5, second, -1)], axis=1)


def first_distinct(
    candidates: NDArray[np.int64], length: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users and items of the first ``length`` different candidates of each user."""
    user = np.broadcast_to(np.arange(len(candidates))[:, None], candidates.shape)
    num_items = int(candidates.max()) + 1
    flat = np.zeros(candidates.size, bool)
    flat[np.unique(user * num_items + candidates, return_index=True)[1]] = True
    new = flat.reshape(candidates.shape)
    keep = new & (np.cumsum(new, axis=1) <= length[:, None])
    return user[keep], candidates[keep]


def times(rng: np.random.Generator, user_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Seconds, strictly increasing within a user: a start in the first year, then gaps of days."""
    gap = 1 + rng.exponential(10 * DAY, len(user_id)).astype(np.int64)
    first = np.flatnonzero(np.diff(user_id, prepend=-1))
    total = np.cumsum(gap)
    elapsed = total - np.repeat(total[first], np.diff(first, append=len(user_id)))
    return START + rng.integers(365 * DAY, size=int(user_id[-1]) + 1)[user_id] + elapsed


def repeated_draws(
    rng: np.random.Generator,
    item_interest: NDArray[np.int64],
    user_modality: NDArray[np.int64],
    user_interest: NDArray[np.int64],
    draws: int,
    random_share: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What each user would take one after the other, repetitions included ``[U, n]``.

    And each item's share of what its group is taken ``[M, N]``.
    """
    num_users = len(user_modality)
    _, num_items = item_interest.shape
    num_groups = int(item_interest.max()) + 1
    choice = rng.integers(2, size=(num_users, draws))
    group = np.take_along_axis(user_interest, choice, axis=1)
    group = np.where(group < 0, user_interest[:, :1], group)
    uniform = rng.random((num_users, draws))
    item = np.empty((num_users, draws), np.int64)
    share = np.empty(item_interest.shape)
    for m, interest in enumerate(item_interest):
        # Items by group, in random order of popularity within it.
        order = np.lexsort((rng.random(num_items), interest))
        size = np.bincount(interest, minlength=num_groups)
        first = np.cumsum(size) - size
        rank = np.arange(num_items) - np.repeat(first, size)
        total = np.cumsum((1.0 + rank) ** -SKEW)
        below = np.concatenate([[0.0], total])[first]
        weight = np.concatenate([[0.0], total])[first + size] - below
        share[m, order] = (1.0 + rank) ** -SKEW / np.repeat(weight, size)
        users = user_modality == m
        point = below[group[users]] + uniform[users] * weight[group[users]]
        last = (first + size - 1)[group[users]]
        item[users] = order[np.minimum(np.searchsorted(total, point, side="right"), last)]
    is_random = rng.random((num_users, draws)) < random_share
    return np.where(is_random, rng.integers(num_items, size=item.shape), item), share


def drifting_draws(
    rng: np.random.Generator,
    law: PlantedLaw,
    user_modality: NDArray[np.int64],
    user_interest: NDArray[np.int64],
    length: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draws histories whose favorites drift, the exact law without repetition.

    Args:
        rng: Source of randomness.
        law: The law.
        user_modality: The modality that each user follows ``[U]``.
        user_interest: The favorite groups at the first interaction ``[U, 2]``.
        length: Interactions of each user ``[U]``; one whose items are used up has fewer.

    Returns:
        User, item and favorites of each interaction: ``[E]``, ``[E]`` and ``[E, 2]``.
    """
    steps, num_items = int(length.max()), law.interest.shape[1]
    current = _walk(rng, law, user_interest, steps)
    point = rng.random((len(length), steps))
    item = np.full((len(length), steps), -1)
    size = max(1, BLOCK // num_items)
    for rows in (slice(i, i + size) for i in range(0, len(length), size)):
        new = np.ones((len(length[rows]), num_items), bool)
        for t in range(steps):
            chance = law.probability(user_modality[rows], current[rows, t]) * new
            total = np.cumsum(chance, axis=1)
            left = total[:, -1]
            at = np.minimum(point[rows, t] * left, np.nextafter(left, 0))
            found = (total <= at[:, None]).sum(1)
            on = np.flatnonzero((t < length[rows]) & (left > EXHAUSTED))
            item[rows][on, t] = found[on]
            new[on, found[on]] = False
    user, step = (item >= 0).nonzero()
    return user, item[user, step], current[user, step]


def _walk(
    rng: np.random.Generator, law: PlantedLaw, user_interest: NDArray[np.int64], steps: int
) -> NDArray[np.int64]:
    """The favorites at each step ``[U, T, 2]``."""
    shape, num_groups = (len(user_interest), steps), law.num_groups
    moves = rng.random(shape) < law.drift
    column = np.where(user_interest[:, 1:] < 0, 0, rng.integers(2, size=shape))
    anywhere = rng.integers(num_groups, size=shape)
    elsewhere = rng.integers(1, num_groups, size=shape)  # steps away from the other one
    current, path = user_interest, [user_interest]
    for t in range(1, steps):
        row = np.flatnonzero(moves[:, t])
        other = current[row, 1 - column[row, t]]
        beside = (other + elsewhere[row, t]) % num_groups
        current = current.copy()
        current[row, column[row, t]] = np.where(other < 0, anywhere[row, t], beside)
        path.append(current)
    return np.stack(path, axis=1)
