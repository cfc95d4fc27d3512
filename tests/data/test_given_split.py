import warnings

import numpy as np
import pytest

from mdsrec_pyg.data import Interactions, given_split, leave_last_out

# User 0: items 0 1 2 3 4; user 1: items 5 6 7; user 2: items 1 0, both held out.
USER = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
ITEM = [0, 1, 2, 3, 4, 5, 6, 7, 1, 0]
TIME = [1, 2, 3, 4, 5, 1, 2, 2, 7, 8]
LABEL = ["train", "train", "val", "test", "test", "train", "val", "test", "val", "val"]


def make(time=TIME):
    return Interactions.from_arrays(USER, ITEM, time)


def queries(split):
    return [
        (int(split.user_id[q]), split.history(q).tolist(), int(split.target[q]))
        for q in range(len(split))
    ]


@pytest.mark.parametrize("time", [TIME, None])
def test_each_labeled_row_is_a_target(time):
    message = "2 val and 0 test rows of users without a history left out"
    with pytest.warns(UserWarning, match=message) as caught:
        split = given_split(make(time), LABEL)
    assert [warning.filename for warning in caught] == [__file__]
    assert split.train.item_id.tolist() == [0, 1, 5]
    assert (split.train.num_users, split.train.num_items) == (3, 8)
    assert queries(split.val) == [(0, [0, 1], 2), (1, [5], 6)]
    assert queries(split.test) == [(0, [0, 1, 2], 3), (0, [0, 1, 2, 3], 4), (1, [5, 6], 7)]
    assert split.test.tied.tolist() == [False, False, time is not None]
    assert "given, target=all, order=time" in split.method
    assert message in split.method


def test_first_target():
    with pytest.warns(UserWarning, match="2 val and 0 test rows"):
        split = given_split(make(), np.array(LABEL, object), target="first")
    assert queries(split.test) == [(0, [0, 1, 2], 3), (1, [5, 6], 7)]


def test_rows_that_share_a_timestamp_are_put_in_order():
    # User 1's items 6 (val) and 7 (test) have time 2; swapped labels are no contradiction.
    label = [*LABEL]
    label[6:8] = ["test", "val"]
    with pytest.warns(UserWarning, match="left out"):
        split = given_split(make(), label)
    assert queries(split.val)[-1] == (1, [5], 7)
    assert queries(split.test)[-1] == (1, [5, 7], 6)
    with pytest.raises(ValueError, match=r"got 'val' after 'test' for user 1, .* 1 of 3 users"):
        given_split(make(None), label)


def test_a_split_at_random_needs_order_label():
    label = ["test", "train", "val", "train", "train", "train", "val", "test", "train", "test"]
    message = r"from train to val to test .*got 'train' after 'test' for user 0, .* 1 of 3 users"
    with pytest.raises(ValueError, match=message):
        given_split(make(), label)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # everyone has a history
        split = given_split(make(), label, order="label")
    assert split.train.item_id.tolist() == [1, 3, 4, 5, 1]
    assert np.asarray(split.train.timestamp).tolist() == [2, 4, 5, 1, 7]
    assert queries(split.val) == [(0, [1, 3, 4], 2), (1, [5], 6)]
    assert queries(split.test) == [(0, [1, 3, 4, 2], 0), (1, [5, 6], 7), (2, [1], 0)]
    assert not split.test.tied.any()
    assert "order=label" in split.method


def test_labels_of_leave_last_out_give_leave_last_out():
    rng = np.random.default_rng(0)
    x = Interactions.from_arrays(
        np.repeat(np.arange(30), 5), rng.integers(20, size=150), rng.integers(9, size=150)
    )
    label = np.tile(["train", "train", "train", "val", "test"], 30)
    given, ours = given_split(x, label), leave_last_out(x)
    assert given.train.item_id.tolist() == ours.train.item_id.tolist()
    for a, b in ((given.val, ours.val), (given.test, ours.test)):
        assert queries(a) == queries(b)
        assert a.tied.tolist() == b.tied.tolist()


@pytest.mark.parametrize(
    ("label", "kwargs", "message"),
    [
        (None, {}, r"'labels' must say which part .*got None"),
        (LABEL[:3], {}, r"'labels' must have one value an interaction \(got shape \(3,\) for 10"),
        ([*LABEL[:9], "valid"], {}, r"'labels' must be 'train', 'val', 'test' \(got 'valid' in"),
        ([*LABEL[:9], None], {}, "got 'None' in row 9"),
        ([0] * 10, {}, "got '0' in row 0"),
        (["val"] * 10, {}, "leave the training part something"),
        (["train"] * 10, {}, r"leave the val part a row with a history .*got 0 rows"),
        (["train"] * 8 + ["val"] * 2, {}, "leave the val part .*got 2 rows, none with a history"),
        (["train"] * 4 + ["val"] + ["train"] * 5, {}, "leave the test part"),
        (LABEL, {"target": "last"}, "'target' must be 'first' or 'all'"),
        (LABEL, {"order": "user"}, "'order' must be 'time' or 'label'"),
    ],
)
def test_errors(label, kwargs, message):
    with pytest.raises(ValueError, match=message):
        given_split(make(), label, **kwargs)
