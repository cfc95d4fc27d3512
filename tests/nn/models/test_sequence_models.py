"""SASRec and GRU4Rec: causality, padding, options."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import GRU4Rec, SASRec
from mdsrec_pyg.nn.items.features import FeatureProjection

N = 24


def make(kind: str, perturb, features: Any = (), **options: Any) -> SASRec | GRU4Rec:
    torch.manual_seed(0)
    options = {"channels": 8, "max_length": 12, **options}
    model = GRU4Rec(N, **options) if kind == "gru4rec" else SASRec(N, features, **options)
    perturb(model)
    return model.eval()


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec"])
def test_later_items_change_no_earlier_user_vector(world, perturb, kind: str) -> None:
    model, batch = make(kind, perturb), world.batch
    items, step = model.encode_items(), batch.item_id.size(1) - 2
    item_id = batch.item_id.clone()
    item_id[:, step] = (item_id[:, step] + 1) % N
    changed = SequenceBatch(item_id, batch.mask, batch.user_id)
    before = model.encode_users(batch, items, newest_only=False)
    after = model.encode_users(changed, items, newest_only=False)
    early = batch.mask.clone()
    early[:, step:] = False
    torch.testing.assert_close(after[early], before[early])
    assert ((after - before).abs().amax(-1) > 1e-4)[:, step][batch.mask[:, step]].all()


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec"])
def test_padding_changes_nothing(world, perturb, kind: str) -> None:
    model, batch = make(kind, perturb), world.batch
    items = model.encode_items()
    padded = SequenceBatch(
        F.pad(torch.where(batch.mask, batch.item_id, 3), (2, 0), value=5),
        F.pad(batch.mask, (2, 0)),
        batch.user_id,
    )
    before = model.encode_users(batch, items, newest_only=False)[batch.mask]
    after = model.encode_users(padded, items, newest_only=False)[padded.mask]
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(model.score(padded), model.score(batch))


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec"])
def test_newest_only_is_the_last_step(world, perturb, kind: str) -> None:
    model = make(kind, perturb)
    items = model.encode_items()
    every = model.encode_users(world.batch, items, newest_only=False)
    last = model.encode_users(world.batch, items, newest_only=True)
    assert last.shape == (len(world.batch), 1, 8)
    torch.testing.assert_close(last, every[:, -1:])


def test_gru_equals_one_sequence_at_a_time(world, perturb) -> None:
    model, batch = make("gru4rec", perturb), world.batch
    assert isinstance(model, GRU4Rec)
    items = model.encode_items()
    users = model.encode_users(batch, items, newest_only=False)
    for b in range(len(batch)):
        own = batch.mask[b]
        x = model.norm_in(items[batch.item_id[b, own]])
        want = model.norm_out(model.gru(x[None])[0])[0]
        torch.testing.assert_close(users[b, own], want)


def test_items_are_ids_plus_projected_features(world, perturb) -> None:
    x = [feature.x for feature in world.features.values()]
    model = make("sasrec", perturb, x)
    assert isinstance(model, SASRec)
    parts: list[Tensor] = [model.ids.weight]
    for values, project in zip(x, model.project, strict=True):
        assert isinstance(project, FeatureProjection)
        parts.append(0.1 * values @ project.linear.weight.t())
    torch.testing.assert_close(model.encode_items(), torch.stack(parts).sum(0))
    assert torch.equal(make("sasrec", perturb).encode_items(), parts[0])


def test_features_change_the_scores(world, perturb) -> None:
    x = [feature.x for feature in world.features.values()]
    swapped = [x[0].flip(0), x[1]]
    scores = [make("sasrec", perturb, part).score(world.batch) for part in (x, swapped)]
    assert (scores[0] - scores[1]).abs().max() > 1e-3


def test_missing_features_add_nothing() -> None:
    projection = FeatureProjection(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), 3)
    assert not projection()[1].any()
    assert projection()[0].any()
    assert torch.equal(2 * projection(), FeatureProjection.forward(_scaled(projection, 0.2)))


def _scaled(projection: FeatureProjection, scale: float) -> FeatureProjection:
    projection.scale = scale
    return projection


OPTIONS: dict[str, Any] = {
    "channels": 4,
    "max_length": 20,
    "num_layers": 2,
    "num_heads": 4,
    "dropout": 0.9,
    "block": "ligr",
}
#: What a recurrent network has none of.
ATTENTION = ("num_heads", "block")


@pytest.mark.parametrize(
    ("kind", "option"),
    [(k, o) for k in ("sasrec", "gru4rec") for o in OPTIONS if k == "sasrec" or o not in ATTENTION],
)
def test_every_option_counts(world, perturb, kind: str, option: str) -> None:
    default = make(kind, perturb, num_heads=2) if kind == "sasrec" else make(kind, perturb)
    changed = make(kind, perturb, **{option: OPTIONS[option]})
    if option == "max_length":
        assert changed.max_length == 20
        assert changed.history_bias is not None
        assert changed.history_bias.max_length == 20
        return
    own, new = default.state_dict(), changed.state_dict()
    new |= {k: v for k, v in own.items() if k in new and new[k].shape == v.shape}
    changed.load_state_dict(new)
    losses = []
    for model in (default, changed):
        torch.manual_seed(0)
        losses.append(model.train().loss(world.batch).item())
    assert losses[0] != losses[1]


def test_all_options_are_tried() -> None:
    for kind in (SASRec, GRU4Rec):
        known = set(inspect.signature(kind).parameters) - {"num_items", "features", "kwargs"}
        assert known <= set(OPTIONS)


def test_a_history_longer_than_the_model_reads_is_an_error(world, perturb) -> None:
    with pytest.raises(ValueError, match="at most max_length=3 steps"):
        make("sasrec", perturb, max_length=3).score(world.batch)


def test_features_of_other_items_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"'features' must have shape \[24, F\].*\[23, 5\] at 1"):
        SASRec(24, [torch.zeros(24, 3), torch.zeros(23, 5)])
