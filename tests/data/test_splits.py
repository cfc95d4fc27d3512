from typing import Any

import numpy as np
import pytest

from mdsrec_pyg.data import EvaluationSplit, Interactions, Split, leave_last_out, temporal_split


def make(seed=0, users=60, items=25, time=True):
    rng = np.random.default_rng(seed)
    length = rng.integers(3, 12, size=users)
    user = np.repeat(np.arange(users), length)
    return Interactions.from_arrays(
        user,
        rng.integers(items, size=len(user)),
        rng.integers(40, size=len(user)) if time else None,
        num_items=items,
    )


def rows_of(x: Interactions, user: int) -> list[tuple[int, int]]:
    """(item, time) of the user's rows."""
    a, b = x.user_ptr[user : user + 2]
    time = range(b - a) if x.timestamp is None else x.timestamp[a:b]
    return [(int(i), int(t)) for i, t in zip(x.item_id[a:b], time, strict=True)]


def queries(split: EvaluationSplit) -> list[tuple[int, list[int], int, bool]]:
    return [
        (
            int(split.user_id[q]),
            split.history(q).tolist(),
            int(split.target[q]),
            bool(split.tied[q]),
        )
        for q in range(len(split))
    ]


@pytest.mark.parametrize("time", [True, False])
def test_leave_last_out(time):
    x = make(time=time)
    split = leave_last_out(x)
    val, test = [], []
    for user in range(x.num_users):
        rows = rows_of(x, user)
        items = [item for item, _ in rows]
        tied = [time and rows[-n][1] == rows[-n - 1][1] for n in (1, 2)]
        assert [i for i, _ in rows_of(split.train, user)] == items[:-2]
        val.append((user, items[:-2], items[-2], tied[1]))
        test.append((user, items[:-1], items[-1], tied[0]))
    assert queries(split.val) == val
    assert queries(split.test) == test
    assert (split.val.name, split.test.name) == ("val", "test")
    assert split.val.num_items == split.train.num_items == x.num_items
    assert any(q[3] for q in test) == time
    assert split.val.known.all()


def test_leave_last_out_drops_short_users_and_says_so():
    x = Interactions.from_arrays([0, 0, 0, 1, 1, 3, 3, 3, 3], np.arange(9), num_users=5)
    with pytest.warns(UserWarning, match="1 user with fewer than 3 interactions left out"):
        split = leave_last_out(x)
    assert queries(split.test) == [(0, [0, 1], 2, False), (3, [5, 6, 7], 8, False)]
    assert split.train.item_id.tolist() == [0, 5, 6]
    assert (split.train.num_users, split.train.num_items) == (5, 9)
    assert "left out" in repr(split)
    with pytest.raises(ValueError, match="a user with three rows"):
        leave_last_out(Interactions.from_arrays([0, 0, 1], [0, 1, 0]))


def test_leave_last_out_is_honest_in_its_docstring():
    assert "does not prevent leakage from the future" in (leave_last_out.__doc__ or "")


@pytest.mark.parametrize("target", ["first", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_temporal_split_equals_the_slow_version(target, seed):
    x = make(seed)
    split = temporal_split(x, 0.2, 0.3, target)
    assert x.timestamp is not None
    times = sorted(x.timestamp.tolist())
    val_start = next(t for i, t in enumerate(times) if i >= 0.5 * (len(times) - 1))
    test_start = next(t for i, t in enumerate(times) if i >= 0.7 * (len(times) - 1))
    expected: dict[str, list[tuple[int, list[int], int, bool]]] = {"val": [], "test": []}
    for user in range(x.num_users):
        rows = rows_of(x, user)
        train = [r for r in rows if r[1] < val_start]
        assert rows_of(split.train, user) == train
        for name, start, end in (("val", val_start, test_start), ("test", test_start, 10**9)):
            inside = [n for n, (_, t) in enumerate(rows) if start <= t < end]
            if not inside or inside[0] == 0:
                continue
            for n in inside[:1] if target == "first" else inside:
                history = [item for item, _ in rows[:n]]
                expected[name].append((user, history, rows[n][0], rows[n][1] == rows[n - 1][1]))
    assert queries(split.val) == expected["val"]
    assert queries(split.test) == expected["test"]
    known = {int(u) for u in split.train.user_id}
    for part in (split.val, split.test):
        assert part.known.tolist() == [int(u) in known for u in part.user_id]
        taken = set(split.train.item_id.tolist())
        assert part.cold.tolist() == [int(i) not in taken for i in part.target]
    firsts = [[t for _, t in rows_of(x, user)][:1] for user in range(x.num_users)]
    assert split.val.num_left_out == sum(val_start <= t < test_start for f in firsts for t in f)
    assert split.test.num_left_out == sum(t >= test_start for f in firsts for t in f)
    if target == "first":
        assert not split.val.tied.any()
    else:
        assert split.test.tied.any()


def test_temporal_split_has_no_leak_from_the_future():
    x = make()
    assert x.timestamp is not None
    split = temporal_split(x, 0.2, 0.2, "all")
    assert split.train.timestamp is not None
    cut = split.train.timestamp.max()
    late = x.timestamp > cut
    changed = Interactions(
        x.user_id, np.where(late, (x.item_id + 1) % 25, x.item_id), x.timestamp, 60, 25
    )
    other = temporal_split(changed, 0.2, 0.2, "all")
    assert other.train.item_id.tolist() == split.train.item_id.tolist()
    assert other.val.target.tolist() != split.val.target.tolist()


def test_no_held_out_target_reaches_training():
    """Whatever the targets are, the training part is the same."""
    x = make()
    split = leave_last_out(x)
    item = x.item_id.copy()
    ends = x.user_ptr[1:]
    for back in (1, 2):
        item[ends - back] = (item[ends - back] + 7) % 25
    other = leave_last_out(Interactions(x.user_id, item, x.timestamp, 60, 25))
    assert other.train.item_id.tolist() == split.train.item_id.tolist()
    assert other.k_core(3).train.item_id.tolist() == split.k_core(3).train.item_id.tolist()
    assert (other.val.target != split.val.target).all()
    assert (other.test.target != split.test.target).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 0.1, "last"), "'target' must be 'first' or 'all'"),
        ((0.0, 0.1), "must be positive"),
        ((0.5, 0.5), "sum to less than 1"),
        ((0.98, 0.01), "leave the training part something"),
    ],
)
def test_temporal_split_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        temporal_split(make(), *arguments)


def test_fractions_of_a_second_are_no_ties_and_cut_exactly():
    x = Interactions.from_arrays([0] * 5, [0, 1, 2, 3, 4], [0.1, 0.25, 0.5, 0.75, 0.75])
    split = leave_last_out(x)
    assert (split.val.tied.tolist(), split.test.tied.tolist()) == ([False], [True])
    split = temporal_split(x, 0.25, 0.5)
    assert split.train.item_id.tolist() == [0]
    assert (queries(split.val), queries(split.test)) == (
        [(0, [0], 1, False)],
        [(0, [0, 1], 2, False)],
    )
    assert "at 1970-01-01 00:00:00.250000 and 1970-01-01 00:00:00.500000" in split.method


def test_temporal_split_needs_time_and_windows():
    with pytest.raises(ValueError, match="must have timestamps"):
        temporal_split(make(time=False))
    same_cut = Interactions.from_arrays([0, 0, 0, 0], [0, 1, 2, 3], [0, 1, 1, 1])
    with pytest.raises(ValueError, match="leave the val part something"):
        temporal_split(same_cut, 0.3, 0.3)


def test_k_core_filters_training_only():
    split = leave_last_out(make(items=60))
    core = split.k_core(4)
    counts = core.train.item_counts()
    assert len(core.train) < len(split.train)
    assert counts[counts > 0].min() >= 4
    assert queries(core.test) == queries(split.test)
    assert (core.train.num_users, core.train.num_items) == (60, 60)
    users = set(core.train.user_id.tolist())
    assert core.test.known.tolist() == [u in users for u in core.test.user_id.tolist()]
    assert not core.test.known.all()
    assert "4-core" in core.method
    assert "unknown to training" in repr(core)
    assert isinstance(core, Split)


@pytest.mark.parametrize("max_length", [1, 3, 100])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches(batch_size, max_length):
    split = leave_last_out(make()).k_core(3).test
    covered = []
    for rows, batch in split.batches(batch_size, max_length):
        covered += list(range(rows.start, rows.stop))
        assert len(batch) == rows.stop - rows.start <= batch_size
        assert batch.target is None
        expected = [split.history(q)[-max_length:].tolist() for q in range(rows.start, rows.stop)]
        for b, history in enumerate(expected):
            assert batch.item_id[b][batch.mask[b]].tolist() == history
            assert batch.mask[b].tolist() == sorted(batch.mask[b].tolist())
        assert batch.item_id.size(1) == max(map(len, expected))
        users = np.where(split.known[rows], split.user_id[rows], -1)
        assert batch.user_id.tolist() == users.tolist()
    assert covered == list(range(len(split)))
    with pytest.raises(ValueError, match="'batch_size' must be at least 1"):
        next(split.batches(0, 5))


def test_summary_names_queries_and_ties():
    user, target, ptr, item = map(np.array, ([0, 1], [3, 4], [0, 1, 2], [1, 2]))
    split = EvaluationSplit("val", user, target, ptr, item, 5, tied=np.array([True, False]))
    assert split.summary() == "val: 2 queries, 50.0% tied"
    assert repr(split) == "EvaluationSplit(val: 2 queries, 50.0% tied)"
    assert not EvaluationSplit("val", user, target, ptr, item, 5).tied.any()
    none = user[:0]
    assert EvaluationSplit("val", none, none, ptr[:1], none, 5).summary() == "val: no queries"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": [3]}, r"'target' must have shape \(2,\)"),
        ({"history_ptr": [0, 2]}, r"'history_ptr' must have shape \(3,\)"),
        ({"history_ptr": [0, 0, 2]}, "query 0 has none"),
        ({"history_ptr": [0, 1, 3]}, "'history_ptr' must run from 0 to 2"),
        ({"target": [3, 5]}, r"'target' must lie in 0\.\.4"),
        ({"history_item": [-1, 2]}, r"'history_item' must lie in 0\.\.4"),
        ({"tied": [True]}, "'tied' must have shape"),
        ({"known": [True]}, "'known' must have shape"),
        ({"cold": [True]}, "'cold' must have shape"),
    ],
)
def test_evaluation_split_errors(change, message):
    arrays: dict[str, Any] = {
        "user_id": [0, 1],
        "target": [3, 4],
        "history_ptr": [0, 1, 2],
        "history_item": [1, 2],
    } | change
    made: dict[str, Any] = {name: np.array(value) for name, value in arrays.items()}
    with pytest.raises(ValueError, match=message):
        EvaluationSplit(name="val", num_items=5, **made)
