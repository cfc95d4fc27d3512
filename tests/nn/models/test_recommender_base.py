"""What every trainable model shares, shown on SASRec and MDSRec."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import GRU4Rec, MDSRec, SampledCandidates, SASRec, SequentialRecommender
from mdsrec_pyg.nn.losses import SHARED_BY, num_groups
from mdsrec_pyg.nn.models import base
from mdsrec_pyg.nn.models.base import Recommender

Make = Callable[..., SequentialRecommender]


def models(world) -> dict[str, Make]:
    x = [feature.x for feature in world.features.values()]
    graphs, centers, relations = world.graphs, world.centers, world.relations
    size: dict[str, Any] = {"channels": 4, "max_length": 9}
    return {
        "sasrec": lambda **o: SASRec(24, **size, **o),
        "sasrecf": lambda **o: SASRec(24, x, **size, **o),
        "gru4rec": lambda **o: GRU4Rec(24, **size, **o),
        "mdsrec": lambda **o: MDSRec(graphs, centers, relations, **{**size, **o}),
        "vectors": lambda **o: MDSRec(graphs, centers, **{**size, **o}),
        "votes": lambda **o: MDSRec(graphs, centers, relations, vectors=False, **{**size, **o}),
    }


NAMES = ["sasrec", "sasrecf", "gru4rec", "mdsrec", "vectors", "votes"]


@pytest.fixture
def make(world, perturb) -> Callable[..., SequentialRecommender]:
    def build(name: str, **options: Any) -> SequentialRecommender:
        torch.manual_seed(0)
        model = models(world)[name](**options)
        perturb(model)
        return model

    return build


@pytest.mark.parametrize("name", NAMES)
def test_scores_in_evaluation(make: Make, world, name: str) -> None:
    model, batch = make(name).eval(), world.batch
    scores = model.score(batch)
    assert scores.shape == (len(batch), 24)
    assert scores.isfinite().all()
    assert torch.equal(scores, model.score(batch))
    assert torch.equal(scores, model.score(batch, model.encode_items()))
    assert (scores[0] - scores[1]).abs().max() > 1e-3  # it depends on the history


@pytest.mark.parametrize("name", NAMES)
def test_a_history_alone_scores_as_in_a_batch(make: Make, world, name: str) -> None:
    model, batch = make(name).eval(), world.batch
    scores = model.score(batch)
    for b in range(0, len(batch), 5):
        own = batch.mask[b]
        alone = SequenceBatch(batch.item_id[b : b + 1, own], own[own][None], batch.user_id[b:][:1])
        torch.testing.assert_close(model.score(alone)[0], scores[b], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mdsrec", "votes")])
def test_score_is_the_last_of_the_step_scores(make: Make, world, name: str) -> None:
    model, batch = make(name).eval(), world.batch
    items = model.encode_items()
    steps = model.step_scores(batch, items, newest_only=False)
    assert steps.shape == (*batch.item_id.shape, 24)
    torch.testing.assert_close(steps[:, -1], model.score(batch, items))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mdsrec", "votes")])
def test_loss_is_the_cross_entropy_of_the_step_scores(make: Make, world, name: str) -> None:
    model, batch = make(name).eval(), world.batch
    log_p = model.step_scores(batch, model.encode_items(), newest_only=False).log_softmax(-1)
    own = log_p.gather(2, batch.target[:, :, None])[..., 0][batch.target_mask]
    torch.testing.assert_close(model.loss(batch), -own.mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("history_bias", [True, False])
def test_param_groups_hold_every_parameter_once(make: Make, name: str, history_bias: bool) -> None:
    model = make(name, history_bias=history_bias, bias_lr=7.0)
    groups = model.param_groups(0.01, 0.3)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(parameter) for parameter in model.parameters()}
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    for parameter_name, parameter in model.named_parameters():
        fast = "history_bias" in parameter_name or parameter_name.startswith("votes.")
        want = (pytest.approx(0.07), 0.0) if fast else (0.01, 0.3 * (parameter.dim() > 1))
        assert rates[id(parameter)] == want, parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_frozen_parameters_are_in_no_group(make: Make, name: str) -> None:
    model = make(name)
    frozen = next(p for p in model.parameters() if p.dim() > 1)
    frozen.requires_grad_(False)
    grouped = {id(p) for group in model.param_groups(0.01, 0.0) for p in group["params"]}
    assert id(frozen) not in grouped


@pytest.mark.parametrize("name", NAMES)
def test_a_step_lowers_the_loss_and_reaches_every_parameter(make: Make, world, name: str) -> None:
    model, batch = make(name).train(), world.batch
    groups = model.param_groups(3e-3, 0.0)
    optimizer = torch.optim.AdamW(groups)
    model.loss(batch).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name
    before = model.eval().loss(batch)
    for _ in range(3):
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()
    assert model.loss(batch) < before


@pytest.mark.parametrize("name", ["sasrec", "mdsrec"])
@pytest.mark.parametrize("num_negatives", [None, 3])
def test_training_may_repeat(make: Make, world, name: str, num_negatives: int | None) -> None:
    losses = []
    for seed in (0, 0, 1):
        model = make(name, num_negatives=num_negatives).train()
        torch.manual_seed(seed)
        losses.append(model.loss(world.batch).item())
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


class TestSampledSoftmax:
    def test_every_item_drawn_is_the_full_softmax(self, make: Make, world) -> None:
        full, sampled = make("sasrec").eval(), make("sasrec", num_negatives=20_000).eval()
        torch.testing.assert_close(sampled.loss(world.batch), full.loss(world.batch))

    def test_few_draws_come_close_on_average(self, make: Make, world) -> None:
        full, sampled = make("sasrec").eval(), make("sasrec", num_negatives=60).eval()
        torch.manual_seed(0)
        losses = [sampled.loss(world.batch).item() for _ in range(20)]
        assert sum(losses) / 20 == pytest.approx(full.loss(world.batch).item(), rel=0.03)
        assert max(losses) > min(losses)

    def test_equals_the_full_scores_of_the_candidates(self, make: Make, world) -> None:
        model, batch = make("sasrec", num_negatives=5).eval(), world.batch
        every = model.step_scores(batch, model.encode_items(), newest_only=False)
        scores, target = every[batch.target_mask], batch.target[batch.target_mask]
        assert num_groups(len(target)) == 2
        for seed in range(5):
            torch.manual_seed(seed)
            loss = model.loss(batch)
            torch.manual_seed(seed)
            sample = SampledCandidates(5, model.item_probability, 2)
            total = torch.zeros(())
            for g, rows in enumerate(torch.arange(len(target)).split(SHARED_BY)):
                gone = sample.item_id[g] == target[rows, None]
                drawn = (scores[rows][:, sample.item_id[g]] - sample.log_p[g]).exp()
                own = scores[rows, target[rows]]
                total += ((own.exp() + drawn.masked_fill(gone, 0.0).sum(1)).log() - own).sum()
            torch.testing.assert_close(loss, total / len(target))

    def test_the_history_bias_enters(self, make: Make, world) -> None:
        model = make("sasrec", num_negatives=5).eval()
        assert model.history_bias is not None
        losses = []
        for gamma in (0.0, 1.0):
            torch.manual_seed(0)
            model.history_bias.weight.data.fill_(gamma)
            losses.append(model.loss(world.batch).item())
        assert losses[0] != losses[1]

    def test_popularity_changes_the_draws(self, make: Make, world) -> None:
        model, counts = make("sasrec", num_negatives=4).eval(), torch.zeros(24)
        assert model.item_probability.tolist() == pytest.approx([1 / 24] * 24)
        torch.manual_seed(0)
        uniform = model.loss(world.batch)
        counts[:2] = torch.tensor([99.0, 9.0])
        model.set_item_counts(counts)
        want = torch.tensor([100.0, 10.0] + [1.0] * 22) / 132
        torch.testing.assert_close(model.item_probability, want)
        torch.manual_seed(0)
        assert model.loss(world.batch) != uniform
        with pytest.raises(ValueError, match=r"'counts' must have shape \[24\]"):
            model.set_item_counts(torch.zeros(23))

    def test_votes_are_trained_too(self, make: Make, world) -> None:
        sampled, full = make("mdsrec", num_negatives=20_000).eval(), make("mdsrec").eval()
        torch.testing.assert_close(sampled.loss(world.batch), full.loss(world.batch))

    def test_votes_alone_need_no_sampling(self, make: Make, world) -> None:
        with pytest.warns(UserWarning, match="have no effect with vectors=False"):
            sampled = make("votes", num_negatives=3)
        assert torch.equal(sampled.eval().loss(world.batch), make("votes").eval().loss(world.batch))


def outcome(model: SequentialRecommender, batch: SequenceBatch) -> Tensor:
    """Scores before and after a step of training, and its loss."""
    before = model.eval().score(batch)
    torch.manual_seed(5)
    loss = model.train().loss(batch)
    loss.backward()
    torch.optim.SGD(model.param_groups(0.05, 0.1)).step()
    return torch.cat([before.flatten(), loss[None], model.eval().score(batch).flatten()]).detach()


OPTIONS: dict[str, Any] = {
    "history_bias": False,
    "num_negatives": 5,
    "bias_lr": 9.0,
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "vectors", "mdsrec"])
def test_every_option_counts(make: Make, world, name: str, option: str) -> None:
    default, changed = make(name), make(name, **{option: OPTIONS[option]})
    changed.load_state_dict(default.state_dict(), strict=False)
    first, second = outcome(default, world.batch), outcome(changed, world.batch)
    assert (first - second).abs().max() > 1e-4


def test_all_options_are_tried() -> None:
    parameters = inspect.signature(SequentialRecommender).parameters
    assert set(parameters) - {"num_items", "max_length", "max_scores"} == set(OPTIONS)


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "vectors", "mdsrec"])
def test_max_scores_bounds_the_block(make: Make, world, monkeypatch, name: str) -> None:
    bounds, loss = [], base.linear_cross_entropy

    def record(*arguments: Any) -> Tensor:
        bounds.append(arguments[5])
        return loss(*arguments)

    monkeypatch.setattr(base, "linear_cross_entropy", record)
    make(name, max_scores=77).loss(world.batch)
    assert bounds == [77]


@pytest.mark.parametrize("name", ["sasrec", "mdsrec"])
def test_blocks_give_the_same_loss_and_gradient(make: Make, world, name: str) -> None:
    whole, blocked = make(name), make(name, max_scores=1600)
    results = []
    for model in (whole, blocked):
        torch.manual_seed(0)  # the same dropout, too
        results.append(model.train().loss(world.batch))
        results[-1].backward()
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
    for first, second in zip(whole.parameters(), blocked.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "sasrecf", "gru4rec", "vectors"])
def test_the_gradient_is_that_of_all_scores(make: Make, world, name: str) -> None:
    usual, plain = make(name).double().eval(), make(name).double().eval()
    usual.loss(world.batch).backward()
    scores = plain.step_scores(world.batch, plain.encode_items(), newest_only=False)
    counts = world.batch.target_mask
    F.cross_entropy(scores[counts], world.batch.target[counts]).backward()
    for (key, first), second in zip(usual.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-5, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_targets_is_an_error(make: Make, world, name: str) -> None:
    batch = SequenceBatch(world.batch.item_id, world.batch.mask, world.batch.user_id)
    with pytest.raises(ValueError, match="'batch' has no targets"):
        make(name).loss(batch)
    batch.target, batch.target_mask = world.batch.target, torch.zeros_like(batch.mask)
    with pytest.raises(ValueError, match="no position that counts"):
        make(name).loss(batch)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"must be at least 1 \(got num_items=0, max_length=5\)"):
        Recommender(0, 5)
    with pytest.raises(ValueError, match=r"'num_negatives' must be at least 1 \(got 0\)"):
        SASRec(5, num_negatives=0)
    with pytest.raises(ValueError, match=r"'max_scores' must be at least 1 \(got 0\)"):
        SASRec(5, max_scores=0)
    model = Recommender(3, 5)
    assert model.encode_items() is None
    for call in (
        lambda: model.score(SequenceBatch.from_histories([[1]], 5)),
        SequentialRecommender(3, 5).encode_items,
    ):
        with pytest.raises(NotImplementedError):
            call()
