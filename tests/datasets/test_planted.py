"""What the best possible recommender knows of the synthetic data."""

from __future__ import annotations

from itertools import product
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from mdsrec_pyg.data import Interactions, leave_last_out
from mdsrec_pyg.datasets import SyntheticDataset
from mdsrec_pyg.datasets._planted import PlantedLaw

HALVES = np.array([[0, 0, 1, 1]]), np.array([[0.5, 0.5, 0.5, 0.5]])


def test_the_chances_after_one_item_by_hand() -> None:
    law = PlantedLaw(*HALVES, random_share=0.0, drift=0.0)
    # Group 0 alone: prior 1/4, draws item 0 with 1/2, then item 1 for sure. Both groups: prior 1/2,
    # 1/4, then each other item with 1/3. Both come to 1/8 after item 0.
    found = law.next_item([np.array([0])])
    assert found[0] == pytest.approx([0, 1 / 2 + 1 / 6, 1 / 6, 1 / 6])


def test_the_chances_after_a_move_by_hand() -> None:
    law = PlantedLaw(*HALVES, random_share=0.0, drift=1.0)
    # One favorite is drawn anew from both groups: item 1 with 1/2, if group 0 comes again, else
    # items 2 and 3 with 1/4. Of two favorites the one that moves has only its old place to go to.
    found = law.next_item([np.array([0])])
    both = np.array([0, 1 / 3, 1 / 3, 1 / 3])
    assert found[0] == pytest.approx((np.array([0, 1 / 2, 1 / 4, 1 / 4]) + both) / 2)


def enumerated(law: PlantedLaw, history: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chances after a history: the sum over every path of every state."""
    groups = range(law.num_groups)
    singles = [(m, (a, -1)) for m in range(len(law.interest)) for a in groups]
    pairs = [(m, (a, b)) for m in range(len(law.interest)) for a in groups for b in groups]
    states = singles + [(m, (a, b)) for m, (a, b) in pairs if a != b]
    prior = [0.5 / len(singles)] * len(singles)
    prior += [0.5 / (len(states) - len(singles))] * (len(states) - len(singles))

    def move(old: tuple[int, tuple[int, int]], new: tuple[int, tuple[int, int]]) -> float:
        (m, (a, b)), (n, (c, d)) = old, new
        if m != n or (b < 0) != (d < 0):
            return 0.0
        stay = (1 - law.drift) * (old == new)
        if b < 0:
            return stay + law.drift / law.num_groups
        return stay + law.drift / 2 / (law.num_groups - 1) * ((a == c) + (b == d))

    def chances(state: tuple[int, tuple[int, int]], seen: NDArray[np.int64]) -> NDArray[np.float64]:
        m, favorites = state
        p = np.full(law.interest.shape[1], law.random_share / law.interest.shape[1])
        own = [g for g in favorites if g >= 0]
        for g in own:
            p += (1 - law.random_share) * (law.interest[m] == g) * law.share[m] / len(own)
        p[seen] = 0.0
        return p / p.sum()

    total = np.zeros(law.interest.shape[1])
    for path in product(range(len(states)), repeat=len(history) + 1):
        weight = prior[path[0]]
        for t in range(len(history)):
            if weight:
                weight *= chances(states[path[t]], history[:t])[history[t]]
                weight *= move(states[path[t]], states[path[t + 1]])
        if weight:
            total += weight * chances(states[path[-1]], history)
    return total / total.sum()


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_the_chances_are_those_of_all_paths(drift: float) -> None:
    interest = np.array([[0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2]])
    share = np.array([[0.3, 0.7, 0.6, 0.4, 0.5, 0.5], [0.2, 0.9, 0.5, 0.8, 0.1, 0.5]])
    law = PlantedLaw(interest, share, random_share=0.2, drift=drift)
    for history in ([1, 0], [3, 5]):
        items = np.array(history)
        assert law.next_item([items])[0] == pytest.approx(enumerated(law, items), abs=1e-12)


def test_histories_of_several_lengths_have_the_chances_that_each_has_alone() -> None:
    dataset = SyntheticDataset(20, 60, num_interests=4, drift=0.2)
    histories = [[3, 1, 4], [], [5], [9, 2, 6]]
    together = dataset.oracle_scores(histories)
    for history, chances in zip(histories, together, strict=True):
        assert dataset.oracle_scores([history])[0] == pytest.approx(chances, abs=1e-15)
        assert (chances[history] == 0).all()
    assert together.sum(1) == pytest.approx(1)
    assert together[1] == pytest.approx(together[1].mean(), rel=0.9)  # nothing known, not nothing


@pytest.mark.parametrize("drift", [0.0, 0.1])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_said_to_have_a_chance_happens_as_often(drift: float, known: bool) -> None:
    dataset = SyntheticDataset(2_000, 400, num_interests=20, mean_length=12.0, drift=drift)
    query = leave_last_out(dataset.interactions).test
    histories = np.split(query.history_item, query.history_ptr[1:-1])
    chances = dataset.oracle_scores(histories, query.user_id if known else None)
    happened = chances[np.arange(len(query)), query.target]
    difference = happened - (chances**2).sum(1)  # whose expectation is 0 for true chances
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(len(query))
    assert difference.std() / np.sqrt(len(query)) < 0.05 * happened.mean()  # it says something


def test_users_drift_only_where_they_are_asked_to() -> None:
    still, drifting = (
        SyntheticDataset(300, 400, num_interests=10, mean_length=30.0, drift=drift)
        for drift in (0.0, 0.2)
    )
    for dataset, share in ((still, 0.0), (drifting, 0.2)):
        x, interest = dataset.interactions, dataset.interaction_interest
        first = x.user_ptr[:-1]
        assert np.array_equal(interest[first], dataset.user_interest)
        same_user = np.diff(x.user_id) == 0
        moved = (np.diff(interest, axis=0) != 0).sum(1)[same_user]
        assert moved.max() == (1 if share else 0)
        assert moved.mean() == pytest.approx(share * 9 / 10, abs=0.02)
        group = dataset.item_interest[dataset.user_modality[x.user_id], x.item_id]
        hit = (group[:, None] == interest).any(1)
        assert hit.mean() > 0.8
        two = interest[:, 1] >= 0
        assert (interest[two, 0] != interest[two, 1]).all()
        for favorites in (interest[~two, 0], interest[two].ravel()):
            assert np.bincount(favorites, minlength=10).min() > 0.04 * len(favorites)
        assert len(np.unique(x.user_id * x.num_items + x.item_id)) == len(x)


def test_without_drift_the_data_are_those_of_ever() -> None:
    dataset = SyntheticDataset(50, 64, num_interests=8)
    assert crc32(dataset.interactions.item_id.astype("<i8").tobytes()) == 1808540530


def test_known_favorites_are_those_of_the_interaction_that_follows() -> None:
    dataset = SyntheticDataset(40, 60, num_interests=6, random_share=0.0, drift=1.0)
    x = dataset.interactions
    for user in (0, 7):
        own = x.item_id[x.user_ptr[user] : x.user_ptr[user + 1]]
        for length in range(len(own)):
            chances = dataset.oracle_scores([own[:length]], [user])[0]
            favorites = dataset.interaction_interest[x.user_ptr[user] + length]
            group = dataset.item_interest[dataset.user_modality[user]]
            assert set(group[chances > 0]) <= set(favorites)
            assert chances[own[length]] > 0
        last = dataset.interaction_interest[x.user_ptr[user + 1] - 1]
        behind = dataset.oracle_scores([own], [user])[0]
        assert set(group[behind > 0]) <= set(last)


@pytest.mark.parametrize(("random_share", "rates"), [(0.0, (3, 1)), (0.3, (2.75, 1.25))])
def test_popularity_is_learned_by_hand(random_share: float, rates: tuple[float, float]) -> None:
    law = PlantedLaw(np.array([[0, 0, 1]]), np.array([[0.75, 0.25, 1.0]]), random_share, 0.0)
    train = Interactions.from_arrays(range(5), [0, 1, 1, 1, 2], num_users=5, num_items=3)
    learned = law.with_learned_share(train, np.zeros(5, np.int64))
    # Four in the group, of which .3 * 5 / 3 an item are random. Item 0 was taken once, item 1 three
    # times.
    high, low = rates
    odds = (high / low) ** np.array([1, 3]) * np.exp(low - high)
    mean = (odds * 0.75 + 0.25) / (odds + 1)
    assert learned.share[0, :2] == pytest.approx(mean / mean.sum())
    assert learned.share[0, 2] == 1
    other = law.with_learned_share(train, np.array([0, 1, 1, 1, 0]))  # another modality's users
    assert other.share[0, 0] > other.share[0, 1]


def test_learned_popularity_ranks_between_none_and_the_true_one() -> None:
    dataset = SyntheticDataset(1_000, 124, num_interests=4)
    split = leave_last_out(dataset.interactions)
    histories = np.split(split.test.history_item, split.test.history_ptr[1:-1])
    rows = np.arange(len(histories))
    true, learned = (
        np.log(dataset.oracle_scores(histories, train=train)[rows, split.test.target]).mean()
        for train in (None, split.train)
    )
    few = split.train.select(np.zeros(len(split.train), bool))
    none = np.log(dataset.oracle_scores(histories, train=few)[rows, split.test.target]).mean()
    assert none < learned < true


@pytest.mark.parametrize(
    ("histories", "user_id", "message"),
    [
        ([[0], [60]], None, r"'histories' must hold items of 0..59 \(got \[60\] as history 1\)"),
        ([[1, 1]], None, r"'histories' must hold each item once"),
        ([[1], [2]], [0], r"'user_id' must hold a user of 0..39 for each of the 2 histories"),
        ([[1]], [40], r"'user_id' must hold a user of 0..39 .* \(got \[40\]\)"),
    ],
)
def test_errors(histories: list[list[int]], user_id: list[int] | None, message: str) -> None:
    dataset = SyntheticDataset(40, 60, num_interests=6)
    with pytest.raises(ValueError, match=message):
        dataset.oracle_scores(histories, user_id)


def test_a_history_that_cannot_be() -> None:
    law = PlantedLaw(np.array([[0, 1, 2]]), np.ones((1, 3)), random_share=0.0, drift=0.0)
    with pytest.raises(ValueError, match="history 1 cannot be drawn by the planted law"):
        law.next_item([np.array([0, 1]), np.array([0, 1, 2])])
