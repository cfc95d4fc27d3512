from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.graphs import cooccurrence, count_cooccurrences


def from_sequences(sequences: list[list[int]], num_items: int) -> Interactions:
    user = [u for u, sequence in enumerate(sequences) for _ in sequence]
    item = [i for sequence in sequences for i in sequence]
    return Interactions.from_arrays(user, item, num_users=len(sequences), num_items=num_items)


def slow_counts(sequences: list[list[int]], num_items: int, window: int | None) -> np.ndarray:
    counts = np.zeros((num_items, num_items), int)
    for sequence in sequences:
        pairs = set()
        for s, a in enumerate(sequence):
            for t, b in enumerate(sequence):
                if a != b and (window is None or abs(s - t) <= window):
                    pairs.add((a, b))
        for pair in pairs:
            counts[pair] += 1
    return counts


def random_sequences(seed: int, num_items: int = 12) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, num_items, rng.integers(0, 15)).tolist() for _ in range(30)]


def test_by_hand() -> None:
    # User 0 repeats the pair (0, 1); user 1 has it once, two steps apart.
    interactions = from_sequences([[0, 1, 0, 1], [1, 2, 0]], 4)
    assert count_cooccurrences(interactions).toarray().tolist() == [
        [0, 2, 1, 0],
        [2, 0, 1, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
    ]
    whole = count_cooccurrences(interactions, diagonal=True).toarray()
    assert whole.diagonal().tolist() == [2, 2, 1, 0]  # users, however often
    assert whole[0, 1] == 2
    near = count_cooccurrences(interactions, window=1).toarray()
    assert near[0, 1] == near[1, 0] == 1
    assert near[0, 2] == 1


@pytest.mark.parametrize("window", [None, 1, 2, 3, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_matches_slow_counts(window: int | None, seed: int) -> None:
    sequences = random_sequences(seed)
    counts = count_cooccurrences(from_sequences(sequences, 12), window)
    assert counts.has_sorted_indices
    assert (counts.toarray() == slow_counts(sequences, 12, window)).all()


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_long_sequences_use_a_window(limit: int) -> None:
    sequences = random_sequences(2)
    expected = sum(slow_counts([s], 12, limit if len(s) > limit else None) for s in sequences)
    counts = count_cooccurrences(from_sequences(sequences, 12), max_sequence_length=limit)
    assert (counts.toarray() == expected).all()


@pytest.mark.parametrize("budget", [1, 20])
def test_chunks_change_nothing(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = random_sequences(3)
    interactions = from_sequences(sequences, 12)
    monkeypatch.setattr(cooccurrence, "_PAIRS", budget)
    counts = count_cooccurrences(interactions, window=4)
    assert (counts.toarray() == slow_counts(sequences, 12, 4)).all()


def test_a_long_sequence_is_not_quadratic() -> None:
    # Counted whole, this one user would have 200,000 x 200,000 pairs.
    interactions = from_sequences([list(range(200_000))], 200_000)
    counts = count_cooccurrences(interactions, max_sequence_length=3)
    assert counts.nnz == 2 * 3 * 200_000 - 12


def test_no_interactions() -> None:
    assert count_cooccurrences(from_sequences([[], []], 3)).shape == (3, 3)
    assert count_cooccurrences(from_sequences([[], []], 3), window=2).nnz == 0


@pytest.mark.parametrize("name", ["window", "max_sequence_length"])
def test_errors(name: str) -> None:
    options: Any = {name: 0}
    with pytest.raises(ValueError, match=f"'{name}' must be at least 1"):
        count_cooccurrences(from_sequences([[0, 1]], 2), **options)
