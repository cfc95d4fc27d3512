"""The law by which users of the synthetic data take items, and what follows from it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from mdsrec_pyg.data.interactions import Interactions

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BLOCK = 2**21  # chances held at a time
EXHAUSTED = 1e-12  # less than this is left of a user's items: nothing, and rounding


@dataclass(frozen=True)
class PlantedLaw:
    r"""Chances of items for a user who follows a modality and has one or two favorite groups.

    .. math::
        p(i \mid m, f) = (1 - r) \operatorname{mean}_{g \in f} [g_m(i) = g] \, q_{m,i} + r / N,
        \qquad
        P(i \mid m, f, \mathcal{H}) = \frac{[i \notin \mathcal{H}] \, p(i \mid m, f)}
        {1 - \sum_{j \in \mathcal{H}} p(j \mid m, f)}

    The second is the law without repetition: drawing again until the item is new. Before each
    interaction but the first, with probability ``drift``, one of the user's favorites, each as
    likely, is drawn anew among the groups that the other one is not.

    Args:
        interest: :math:`g_m(i)`, group of each item in each modality, int64 ``[M, N]``.
        share: :math:`q_{m,i}`, the item's share of what its group is taken, ``[M, N]``.
        random_share: r.
        drift: Probability that a favorite is drawn anew.
    """

    interest: Integers
    share: Floats
    random_share: float
    drift: float

    @property
    def num_groups(self) -> int:
        """Groups of a modality *G*."""
        return int(self.interest.max()) + 1

    def probability(self, modality: Integers, favorites: Integers) -> Floats:
        r"""Chances :math:`p(i \mid m, f)` of each item in one draw ``[B, N]``.

        Args:
            modality: The modality that each user follows ``[B]``.
            favorites: The favorite groups in it ``[B, 2]``; -1 for none.
        """
        group = self.interest[modality]  # [B, N]
        hit = (group == favorites[:, :1]) | (group == favorites[:, 1:])
        mean = hit * self.share[modality] / (favorites >= 0).sum(1, keepdims=True)
        return (1 - self.random_share) * mean + self.random_share / group.shape[1]

    def next_item(self, histories: Sequence[Integers]) -> Floats:
        r"""Chances of each item to come next, given the history alone ``[Q, N]``.

        .. math::
            P(i \mid \mathcal{H}) = \sum_{m, f} P(m, f \mid \mathcal{H}) \,
            P(i \mid m, f, \mathcal{H})

        Exact: all states (modality, favorites) are carried along the history (forward filtering).
        It takes O(M G^2) a step.

        Args:
            histories: Items of each user in order, each item once.

        Raises:
            ValueError: A history that the law cannot draw.
        """
        lengths = np.array([len(history) for history in histories], np.int64)
        num_groups = self.num_groups
        size = max(1, BLOCK // (len(self.interest) * num_groups**2))
        chances = np.empty((len(histories), self.interest.shape[1]))
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for part in np.split(rows, range(size, len(rows), size)):
                taken = np.array([histories[row] for row in part], np.int64)
                chances[part] = self._filter(taken.reshape(len(part), length), part)
        return chances

    def with_learned_share(self, train: Interactions, user_modality: Integers) -> PlantedLaw:
        r"""The law as counts show it: which item has which of its group's shares is not known.

        .. math::
            \hat{q}_{m,i} \propto \sum_k q_k \operatorname{Poisson}(n_{m,i} \mid \lambda_k),
            \qquad \lambda_k = b + (n_{m,g} - b |g|) \, q_k, \qquad b = r n_m / N

        with n the interactions of the users who follow *m* with an item, a group, or any item. The
        posterior mean, but for the independence of items, and for long histories, in which all that
        like an item have it.

        Args:
            train: The interactions that are counted.
            user_modality: The modality that each user follows ``[U]``.
        """
        num_items = self.interest.shape[1]
        share = np.empty_like(self.share)
        for m, group in enumerate(self.interest):
            rows = user_modality[train.user_id] == m
            count = np.bincount(train.item_id[rows], minlength=num_items)
            background = self.random_share * rows.sum() / num_items
            for g in range(self.num_groups):
                own = np.flatnonzero(group == g)
                q, n = self.share[m, own], count[own]
                rate = background + max(n.sum() - background * len(own), 0) * q
                log_chance = xlogy(n[:, None], rate) - rate
                chance = np.exp(log_chance - log_chance.max(1, keepdims=True))
                mean = (chance * q).sum(1) / chance.sum(1)
                share[m, own] = mean / mean.sum()
        return replace(self, share=share)

    def _filter(self, taken: Integers, rows: Integers) -> Floats:
        """Chances ``[B, N]`` after histories of one length ``[B, T]``; rows are named in errors."""
        (num_modalities, num_items), num_groups = self.interest.shape, self.num_groups
        random = self.random_share
        shape = len(taken), num_modalities, num_groups
        # Weights of the states: one favorite a, and two in either order (a, b).
        one = np.full(shape, 0.5 / num_modalities / num_groups)
        two = np.repeat(one[..., None] / (num_groups - 1), num_groups, axis=3)
        two *= 1 - np.eye(num_groups)
        left = np.ones(shape)  # chance that a draw is new; of two favorites, the mean
        row, modality = np.arange(len(taken))[:, None], np.arange(num_modalities)
        for t, item in enumerate(taken.T):
            if t and self.drift:
                one, two = self._moved(one, two)
            chance = np.full(shape, random / num_items)
            place = row, modality, self.interest[:, item].T
            chance[place] += (1 - random) * self.share[:, item].T
            one = one * _ratio(chance, left)
            two = two * _ratio(_pairs(chance), _pairs(left))
            total = one.sum((1, 2)) + two.sum((1, 2, 3))
            bad = np.flatnonzero(total <= 0)
            if bad.size:
                raise ValueError(f"history {rows[bad[0]]} cannot be drawn by the planted law")
            one, two = one / total[:, None, None], two / total[:, None, None, None]
            left = left - chance
        if taken.shape[1] and self.drift:
            one, two = self._moved(one, two)
        one, two = one * _ratio(1.0, left), two * _ratio(1.0, _pairs(left))
        weight = one + (two.sum(3) + two.sum(2)) / 2  # [B, M, G]
        total = one.sum((1, 2)) + two.sum((1, 2, 3))
        chances = np.repeat(random / num_items * total[:, None], num_items, axis=1)
        for m, group in enumerate(self.interest):
            chances += (1 - random) * weight[:, m, group] * self.share[m]
        chances[row, taken] = 0.0
        return chances

    def _moved(self, one: Floats, two: Floats) -> tuple[Floats, Floats]:
        """The states before the next interaction."""
        drift, num_groups = self.drift, self.num_groups
        one = (1 - drift) * one + drift / num_groups * one.sum(2, keepdims=True)
        first = np.broadcast_to(two.sum(2, keepdims=True), two.shape)
        second = np.broadcast_to(two.sum(3, keepdims=True), two.shape)
        anew = (first + second) * (1 - np.eye(num_groups)) / (2 * (num_groups - 1))
        return one, (1 - drift) * two + drift * anew


def _pairs(x: Floats) -> Floats:
    return (x[..., :, None] + x[..., None, :]) / 2


def _ratio(a: Floats | float, b: Floats) -> Floats:
    """The ratio, and 0 where nothing is left."""
    return np.where(b > EXHAUSTED, a / np.maximum(b, EXHAUSTED), 0.0)
