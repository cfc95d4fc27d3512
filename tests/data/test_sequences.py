from collections import Counter

import numpy as np
import pytest
import torch

from mdsrec_pyg.data import Interactions, SequenceBatch, SequenceLoader
from mdsrec_pyg.data import sequences as module


def make(lengths, seed=0, time="ties"):
    """Interactions whose item ids are all different, so that a position is known by its item."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(len(lengths)), lengths)
    item = rng.permutation(len(user))
    stamp = None if time is None else rng.integers(4, size=len(user))
    return Interactions.from_arrays(user, item, stamp, num_users=len(lengths) + 1)


def histories(x: Interactions) -> list[list[int]]:
    return [x.item_id[a:b].tolist() for a, b in zip(x.user_ptr, x.user_ptr[1:], strict=False)]


def windows(loader: SequenceLoader):
    """(user, inputs, targets, which of them count) of each window of the epoch."""
    for batch in loader:
        assert batch.target is not None
        assert batch.target_mask is not None
        for b in range(len(batch)):
            mask = batch.mask[b]
            assert mask.tolist() == sorted(mask.tolist())  # left-padded
            assert not batch.item_id[b][~mask].any()
            assert not batch.target[b][~mask].any()
            assert not batch.target_mask[b][~mask].any()
            yield (
                int(batch.user_id[b]),
                batch.item_id[b][mask].tolist(),
                batch.target[b][mask].tolist(),
                batch.target_mask[b][mask].tolist(),
            )


LENGTHS = [1, 2, 3, 7, 0, 8, 9, 10, 23, 2, 40, 5]


@pytest.mark.parametrize(("max_length", "stride"), [(50, None), (7, None), (7, 3), (7, 1), (1, 1)])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("shuffle_ties", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_each_position_is_a_target_once_with_the_right_history(
    max_length, stride, shuffle, shuffle_ties, batch_size
):
    x = make(LENGTHS)
    loader = SequenceLoader(
        x, max_length, batch_size, stride=stride, shuffle=shuffle, shuffle_ties=shuffle_ties, seed=3
    )
    stride = max_length if stride is None else stride
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        order: dict[int, dict[int, int]] = {}  # the user's rows in the order of this epoch
        seen: Counter[tuple[int, int]] = Counter()
        found = list(windows(loader))
        for user, inputs, targets, _ in found:
            follow = order.setdefault(user, {})
            for item, target in zip(inputs, targets, strict=True):
                assert follow.setdefault(item, target) == target
        for user, follow in order.items():
            (first,) = set(follow) - set(follow.values())
            sequence = [first]
            while sequence[-1] in follow:
                sequence.append(follow[sequence[-1]])
            check_sequence(x, user, sequence, shuffle_ties)
            for _, inputs, targets, count in (w for w in found if w[0] == user):
                end = sequence.index(targets[-1])
                assert inputs == sequence[max(0, end - max_length) : end]
                for target, counted in zip(targets, count, strict=True):
                    seen[user, sequence.index(target)] += counted
                    if counted:  # enough items before it
                        context = inputs.index(sequence[sequence.index(target) - 1]) + 1
                        assert context >= min(sequence.index(target), max_length - stride + 1)
        expected = {(u, p): 1 for u, length in enumerate(LENGTHS) for p in range(1, length)}
        assert {key: n for key, n in seen.items() if n} == expected
        assert loader.num_positions == len(expected)


def check_sequence(x, user, sequence, shuffle_ties):
    rows = histories(x)[user]
    if not shuffle_ties:
        assert sequence == rows
        return
    assert sorted(sequence) == sorted(rows)
    time = dict(zip(x.item_id.tolist(), x.timestamp.tolist(), strict=True))
    assert [time[i] for i in sequence] == sorted(time[i] for i in rows)


def test_len_is_the_number_of_batches():
    for batch_size in (1, 3, 4, 1000):
        loader = SequenceLoader(make(LENGTHS), 6, batch_size)
        assert len(list(loader)) == len(loader)
        assert max(len(batch) for batch in loader) <= batch_size


def test_windows_end_at_the_newest_item():
    x = make([12], time=None)
    (items,) = (h for h in histories(x) if h)
    loader = SequenceLoader(x, 5, 10, shuffle=False)
    found = list(windows(loader))  # 11 inputs: 1 + 5 + 5
    assert [w[1] for w in found] == [items[0:1], items[1:6], items[6:11]]
    assert all(all(w[3]) for w in found)
    found = list(windows(SequenceLoader(x, 5, 10, stride=2, shuffle=False)))
    assert [w[1] for w in found] == [items[0:5], items[2:7], items[4:9], items[6:11]]
    assert [w[3] for w in found] == [[True] * 5] + [[False] * 3 + [True] * 2] * 3


def flat(loader: SequenceLoader) -> list[list[int]]:
    return [[*w[1], -1, *w[2]] for w in windows(loader)]


def test_the_order_depends_on_seed_and_epoch_only():
    x = make([6] * 40)

    def loader(**kwargs):
        return SequenceLoader(x, 4, 8, **{"shuffle_ties": True, "seed": 1, **kwargs})

    first = loader()
    epoch_0 = flat(first)
    assert flat(first) == epoch_0
    first.set_epoch(1)
    epoch_1 = flat(first)
    resumed = loader()
    resumed.set_epoch(1)
    assert flat(resumed) == epoch_1 != epoch_0
    assert flat(loader(seed=2)) != epoch_0
    ordered = [w[0] for w in windows(loader(shuffle=False))]
    assert ordered == sorted(ordered)
    assert ordered != [w[0] for w in windows(loader())]


def test_shuffle_ties_changes_each_epoch_and_the_rows_stay_as_they_were():
    x = Interactions.from_arrays([0] * 9, np.arange(9), [0] * 3 + [1] * 5 + [2])
    loader = SequenceLoader(x, shuffle_ties=True)
    orders = set()
    for epoch in range(20):
        loader.set_epoch(epoch)
        ((_, inputs, targets, _),) = windows(loader)
        order = [*inputs, targets[-1]]
        assert {*order[:3]} == {0, 1, 2}
        assert {*order[3:8]} == {3, 4, 5, 6, 7}
        assert order[8] == 8
        orders.add(tuple(order))
    assert len(orders) > 15
    assert x.item_id.tolist() == list(range(9))


def test_fractions_of_a_second_are_not_shuffled():
    x = Interactions.from_arrays([0] * 40, range(40), np.arange(40) / 40)
    for epoch in range(3):
        loader = SequenceLoader(x, 39, 1, shuffle_ties=True)
        loader.set_epoch(epoch)
        assert [w[1] for w in windows(loader)] == [list(range(39))]


def test_shuffle_ties_without_timestamps_warns():
    with pytest.warns(UserWarning, match="'shuffle_ties' has no effect"):
        SequenceLoader(make([5], time=None), shuffle_ties=True)


def test_windows_of_similar_length_share_a_batch():
    rng = np.random.default_rng(0)
    x = make(rng.integers(2, 40, size=240), time=None)  # 15 batches: one pool
    batches = list(SequenceLoader(x, 50, 16))
    size = sum(batch.mask.numel() for batch in batches)
    filled = sum(int(batch.mask.sum()) for batch in batches)
    assert size < 1.1 * filled
    lengths = [int(batch.mask.sum(1).max()) for batch in batches]
    assert lengths == [batch.item_id.size(1) for batch in batches]
    assert lengths != sorted(lengths)


def test_pools_are_shuffled_too(monkeypatch):
    """With several pools a batch has windows from all over the data."""
    monkeypatch.setattr(module, "POOL", 2)
    users = [w[0] for w in windows(SequenceLoader(make([4] * 64, time=None), 10, 8))]
    assert max(users[:16]) - min(users[:16]) > 32


def test_batch_methods():
    (batch,) = SequenceLoader(make([3, 5], time=None), batch_size=4)
    assert len(batch) == 2
    assert batch.num_positions == 6
    moved = batch.to("meta")
    tensors = (moved.item_id, moved.mask, moved.user_id, moved.target, moved.target_mask)
    assert all(tensor is not None and tensor.device.type == "meta" for tensor in tensors)
    bare = SequenceBatch.from_histories([[1]], 3)
    assert bare.to("cpu").target is None
    assert bare.num_positions == 0


def test_from_histories():
    batch = SequenceBatch.from_histories([[4, 5, 6, 7], np.array([9]), torch.tensor([0, 3])], 3)
    assert batch.item_id.tolist() == [[5, 6, 7], [0, 0, 9], [0, 0, 3]]
    assert batch.mask.tolist() == [[True] * 3, [False, False, True], [False, True, True]]
    assert batch.user_id.tolist() == [-1, -1, -1]
    assert batch.item_id.dtype == batch.user_id.dtype == torch.int64
    assert SequenceBatch.from_histories([[4], [5]], 3, user_id=[7, 8]).user_id.tolist() == [7, 8]
    assert SequenceBatch.from_histories([[4]], 3).item_id.shape == (1, 1)


@pytest.mark.parametrize("bad", [[], [1.5], [-1], [[1]], ["a"]])
def test_from_histories_names_the_bad_history(bad):
    with pytest.raises(ValueError, match=r"non-empty sequences of item ids \(got .* at index 1\)"):
        SequenceBatch.from_histories([[1], bad], 3)


def test_from_histories_errors():
    with pytest.raises(ValueError, match="at least one history"):
        SequenceBatch.from_histories([], 3)
    with pytest.raises(ValueError, match="'max_length' must be at least 1"):
        SequenceBatch.from_histories([[1]], 0)
    with pytest.raises(ValueError, match="'user_id' must have one value a history"):
        SequenceBatch.from_histories([[1]], 3, user_id=[1, 2])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_length": 0}, "'max_length' must be at least 1"),
        ({"batch_size": 0}, "'batch_size' must be at least 1"),
        ({"max_length": 4, "stride": 5}, r"'stride' must lie in 1\.\.max_length"),
        ({"stride": 0}, r"'stride' must lie in 1\.\.max_length"),
        ({"seed": -1}, "'seed' must not be negative"),
    ],
)
def test_loader_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SequenceLoader(make([5]), **kwargs)


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match="a user with two rows or more"):
        SequenceLoader(make([1, 1]))
    with pytest.raises(ValueError, match="'epoch' must not be negative"):
        SequenceLoader(make([2])).set_epoch(-1)


def test_a_packed_batch_is_the_same_in_one_block() -> None:
    user = np.repeat(np.arange(5), 4)
    train = Interactions.from_arrays(user, np.arange(20) % 7, num_items=7)
    loader = SequenceLoader(train, 3, 4, fixed_shapes=True)
    for batch in loader:
        packed = batch.packed()
        assert packed.flat is not None
        places = set()
        for one, two in zip(batch.tensors(), packed.tensors(), strict=True):
            assert one.dtype == two.dtype
            assert torch.equal(one, two)
            assert two.untyped_storage().data_ptr() == packed.flat.untyped_storage().data_ptr()
            places.add(two.data_ptr())
        assert len(places) == 8
        assert packed.num_positions == batch.num_positions
        there = packed.to("meta")
        assert there.flat is not None
        assert [part.shape for part in there.tensors()] == [x.shape for x in batch.tensors()]
        packed.flat.zero_()  # its parts, not copies
        assert not packed.item_id.any()
        assert packed.map(torch.clone).flat is None
