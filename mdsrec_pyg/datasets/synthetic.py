"""A made-up data set whose two modalities disagree about which items belong together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.datasets._planted import PlantedLaw
from mdsrec_pyg.datasets._synthetic_draws import (
    drifting_draws,
    favorites,
    first_distinct,
    repeated_draws,
    times,
)
from mdsrec_pyg.datasets.dataset import RecommendationDataset

__all__ = ["SyntheticDataset"]

MIN_LENGTH = 5


class SyntheticDataset(RecommendationDataset):
    r"""Users with interests that only one modality shows. No download; the same from each seed.

    Each item :math:`i` belongs to one of ``num_interests`` groups in *each* modality, drawn
    independently, so that what the image puts together the text tears apart:

    .. math::
        x_{m,i} = p_{m, g_m(i)} + \sigma \epsilon_{m,i}, \qquad
        p, \epsilon \sim \mathcal{N}(0, I)

    with :math:`\sigma` = ``noise``. Each user follows one modality :math:`m_u` and has one or two
    favorite groups in it; an interaction takes an item of one of them, popular items first
    (weight :math:`1 / \mathrm{rank}^{0.3}` within the group), or with probability
    ``random_share`` any item. No user takes an item twice. With few interactions an item, IDs
    alone tell little; a model that mixes the modalities into one vector has to take them apart
    again for each user. With the defaults a linear model (EASE; leave-last-out, test Recall@10 over
    the whole catalog, seen items masked, mean of seeds 0 and 1) finds .10 by IDs, .19 with both
    modalities in one kernel and .21 with the kernel of the modality that the user follows;
    popularity finds .01. What can be found at all follows from the law
    (:meth:`oracle_scores`; mean of seeds 0 to 4, ``python -m benchmarks.ceiling``): test NDCG@10
    .166 and Recall@10 .333 for who knows groups, popularity and the user's favorites, .161 and
    .321 if the user is inferred from the history, .125 and .263 if popularity within the groups is
    learned from the training part, too.

    With ``drift`` the favorites change along the history. Long histories of many interests, in
    which the newest items tell more than all of them together:
    ``SyntheticDataset(1_000, num_interests=32, mean_length=100.0, drift=0.05)``.

    Args:
        num_users: Number of users *U*.
        num_items: Number of items *N*.
        modalities: Names of the modalities.
        num_interests: Groups in each modality. Default: one for 31 items, and at least
            two; 64 with the defaults, for which the numbers above hold.
        channels: Features of an item in each modality *F*.
        noise: Standard deviation of an item's features about its group's.
        mean_length: Mean interactions of a user, at least 5; none has fewer than 5.
        random_share: Share of interactions with any item.
        drift: Probability that before an interaction one of the user's favorites, each as likely,
            is drawn anew among the groups that the other one is not. Above 0 the newest items tell
            more than the oldest; at 0 order means nothing.
        shuffle_modality: Permutes this modality's feature rows over the items and leaves all else
            as it is: the ablation that shows what the modality is worth.
        seed: Seed of everything.

    Raises:
        ValueError: A number is out of range, ``modalities`` is a string, empty or names one twice,
            ``shuffle_modality`` is none of them, or the catalog is too small for 5 different items
            a user.

    Attributes:
        item_interest: The planted group of each item in each modality, int64 ``[M, N]``.
        user_modality: Index of the modality that each user follows, int64 ``[U]``.
        user_interest: The favorite groups of each user in it, int64 ``[U, 2]``; -1 for none. With
            ``drift`` those at the first interaction.
        interaction_interest: Those in force at each interaction, int64 ``[E, 2]``.

    Example:
        >>> from mdsrec_pyg.datasets import SyntheticDataset
        >>> dataset = SyntheticDataset(num_users=100, num_items=93, seed=1)
        >>> dataset.features["image"].x.shape
        torch.Size([93, 32])
    """

    item_interest: NDArray[np.int64]
    user_modality: NDArray[np.int64]
    user_interest: NDArray[np.int64]
    interaction_interest: NDArray[np.int64]

    def __init__(
        self,
        num_users: int = 2_000,
        num_items: int = 2_000,
        modalities: Sequence[str] = ("image", "text"),
        *,
        num_interests: int | None = None,
        channels: int = 32,
        noise: float = 1.0,
        mean_length: float = 6.0,
        random_share: float = 0.1,
        drift: float = 0.0,
        shuffle_modality: str | None = None,
        seed: int = 0,
    ) -> None:
        num_interests = max(2, num_items // 31) if num_interests is None else num_interests
        _check_modalities(modalities, shuffle_modality)
        _check_sizes(num_users, num_items, num_interests, channels)
        _check_shares(noise, mean_length, random_share, drift)
        modalities = list(modalities)
        rng = np.random.default_rng(seed)
        m = len(modalities)
        groups = np.arange(num_items) % num_interests
        self.item_interest = rng.permuted(np.tile(groups, (m, 1)), axis=1)
        prototypes = rng.standard_normal((m, num_interests, channels))
        x = np.take_along_axis(prototypes, self.item_interest[:, :, None], axis=1)
        x += noise * rng.standard_normal(x.shape)
        self.user_modality = rng.integers(m, size=num_users)
        self.user_interest = favorites(rng, num_users, num_interests)
        length = MIN_LENGTH + rng.poisson(mean_length - MIN_LENGTH, num_users)
        user_id, item_id = self._interactions(rng, length, random_share, drift)
        if shuffle_modality is not None:
            row = modalities.index(shuffle_modality)
            x[row] = x[row, np.random.default_rng([seed, 1]).permutation(num_items)]
        super().__init__(
            name="synthetic",
            interactions=Interactions.from_arrays(
                user_id, item_id, times(rng, user_id), num_users=num_users, num_items=num_items
            ),
            features={
                name: ModalFeature(torch.from_numpy(x[i])) for i, name in enumerate(modalities)
            },
            user_ids=[f"user-{i}" for i in range(num_users)],
            item_ids=[f"item-{i}" for i in range(num_items)],
            item_text=_text(modalities, self.item_interest),
            report=[] if shuffle_modality is None else [f"rows of {shuffle_modality} shuffled"],
        )

    def oracle_scores(
        self,
        histories: Sequence[ArrayLike],
        user_id: ArrayLike | None = None,
        *,
        train: Interactions | None = None,
    ) -> NDArray[np.float64]:
        r"""Chances of each item to be taken next, by the planted law: no model can rank better.

        Without users the modality and the favorites are inferred from the history, with all of
        their possible values weighed by their exact posterior: what a recommender can reach that
        knows every group and every popularity. With users they are known.

        Args:
            histories: Items of each query's history in order, each item once.
            user_id: User of each query ``[Q]``, whose modality and favorites are then known; with
                ``drift`` those in force at the interaction that follows a history of this length,
                the user's last ones behind the end.
            train: The popularity within the groups is then not known, but what these interactions
                of the users tell: the posterior mean, nearly. What a recommender can reach that
                knows every group and learns the rest.

        Returns:
            Chances ``[Q, N]``; 0 for items of the history, the others sum to one.

        Raises:
            ValueError: An item or a user is out of range, a history repeats an item or cannot be
                drawn by the law, or there are not as many users as histories.
        """
        items = _checked_histories(histories, self.num_items)
        law = self._law
        if train is not None:
            law = law.with_learned_share(train, self.user_modality)
        if user_id is None:
            return law.next_item(items)
        user = np.asarray(user_id, np.int64)
        if user.shape != (len(items),) or ((user < 0) | (user >= self.num_users)).any():
            raise ValueError(
                f"'user_id' must hold a user of 0..{self.num_users - 1} for each of the "
                f"{len(items)} histories (got {user.tolist()[:10]})"
            )
        length = np.array([len(history) for history in items], np.int64)
        first, end = self.interactions.user_ptr[user], self.interactions.user_ptr[user + 1]
        favorites = self.interaction_interest[np.minimum(first + length, end - 1)]
        chances = law.probability(self.user_modality[user], favorites)
        for row, history in zip(chances, items, strict=True):
            row[history] = 0.0
        return chances / chances.sum(1, keepdims=True)

    def _interactions(
        self, rng: np.random.Generator, length: NDArray[np.int64], random_share: float, drift: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Users and items, users in order; keeps the law and the favorites of each interaction."""
        users = self.user_modality, self.user_interest
        candidates, share = repeated_draws(
            rng, self.item_interest, *users, 4 * int(length.max()), random_share
        )
        self._law = PlantedLaw(self.item_interest, share, random_share, drift)
        if drift:
            drawn = drifting_draws(rng, self._law, *users, length)
            user_id, item_id, self.interaction_interest = drawn
        else:
            user_id, item_id = first_distinct(candidates, length)
            self.interaction_interest = self.user_interest[user_id]
        if np.bincount(user_id, minlength=len(length)).min() < MIN_LENGTH:
            raise ValueError(
                f"'num_items' must be large enough for {MIN_LENGTH} different items a user (got "
                f"{share.shape[1]}; fewer interests make larger groups)"
            )
        return user_id, item_id


def _text(modalities: Sequence[str], item_interest: NDArray[np.int64]) -> list[str]:
    names = np.asarray(modalities)[:, None]
    return [
        ", ".join(f"{name[0]} interest {group}" for name, group in zip(names, column, strict=True))
        for column in item_interest.T.tolist()
    ]


def _checked_histories(histories: Sequence[ArrayLike], num_items: int) -> list[NDArray[np.int64]]:
    items = [np.asarray(history, np.int64).reshape(-1) for history in histories]
    for query, history in enumerate(items):
        if ((history < 0) | (history >= num_items)).any():
            raise ValueError(
                f"'histories' must hold items of 0..{num_items - 1} (got {history.tolist()[:10]} "
                f"as history {query})"
            )
        if len(np.unique(history)) < len(history):
            raise ValueError(
                "'histories' must hold each item once, as no user takes an item twice (got "
                f"{history.tolist()[:10]} as history {query})"
            )
    return items


def _check_modalities(modalities: Sequence[str], shuffled: str | None) -> None:
    if isinstance(modalities, str):
        raise ValueError(
            f"'modalities' must be a sequence of names (got the string {modalities!r})"
        )
    if not len(modalities) or len(set(modalities)) < len(modalities):
        raise ValueError(
            f"'modalities' must be one or more different names (got {list(modalities)})"
        )
    if shuffled is not None and shuffled not in modalities:
        raise ValueError(f"'shuffle_modality' must be among {list(modalities)} (got {shuffled!r})")


def _check_sizes(num_users: int, num_items: int, num_interests: int, channels: int) -> None:
    if num_users < 1 or channels < 1:
        raise ValueError(
            f"'num_users' and 'channels' must be positive (got {num_users} and {channels})"
        )
    if num_interests < 2 or num_items < num_interests:
        raise ValueError(
            "'num_interests' must be at least 2 and at most 'num_items' (got "
            f"{num_interests} for {num_items} items)"
        )


def _check_shares(noise: float, mean_length: float, random_share: float, drift: float) -> None:
    if noise < 0 or not 0 <= random_share <= 1:
        raise ValueError(
            "'noise' must not be negative and 'random_share' must lie in 0..1 (got "
            f"{noise} and {random_share})"
        )
    if not 0 <= drift <= 1:
        raise ValueError(f"'drift' must lie in 0..1 (got {drift})")
    if mean_length < MIN_LENGTH:
        raise ValueError(f"'mean_length' must be at least {MIN_LENGTH} (got {mean_length})")
