"""Linear cross-entropy against the plain form: all scores, F.cross_entropy, autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import SASRec
from mdsrec_pyg.nn.losses.linear import MAX_SCORES, block_rows, linear_cross_entropy

P, N, D, H = 9, 13, 4, 5


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.numel, self.products = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.numel = max(self.numel, out.numel())
        self.products += func._schema.name in ("aten::mm", "aten::addmm_")
        return out


def inputs(dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Random arguments; an item stands in a history twice, and a target stands in one."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, N, (P,), generator=generator)
    history = torch.randint(0, N, (P, H), generator=generator)
    history[:, 1], history[::2, 2] = history[:, 0], target[::2]
    vectors = [torch.randn(*size, generator=generator) for size in ((P, D), (N, D), (P, H))]
    users, items, bias = (2 * x.to(dtype) for x in vectors)
    for x in (users, items, bias):
        x.requires_grad_()
    return {"users": users, "items": items, "target": target, "history": history, "bias": bias}


def plain(
    users: Tensor,
    items: Tensor,
    target: Tensor,
    history: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    scores = users @ items.t()
    if history is not None and bias is not None:
        scores = scores.scatter_add(1, history, bias.to(scores.dtype))
    return F.cross_entropy(scores, target, reduction="sum")


def gradients(loss: Tensor, given: dict[str, Any], scale: float = 1.0) -> list[Tensor]:
    wanted = [x for x in given.values() if x.requires_grad]
    return list(torch.autograd.grad(loss * scale, wanted))


def test_numbers_by_hand() -> None:
    users, items = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [1.0], [3.0]])
    history, bias = torch.tensor([[2, 2], [0, 1]]), torch.tensor([[-1.0, -1.5], [0.0, 5.0]])
    scores = torch.tensor([[0.0, 1.0, 0.5], [0.0, 7.0, 6.0]])
    want = scores.exp().sum(1).log() - torch.tensor([0.5, 7.0])
    loss = linear_cross_entropy(users, items, torch.tensor([2, 1]), history, bias)
    torch.testing.assert_close(loss, want.sum())


@pytest.mark.parametrize("rows", [1, 2, 4, P])  # of 9: blocks of equal and of unequal length
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_the_plain_form(rows: int, with_bias: bool, dtype: torch.dtype) -> None:
    given = inputs(dtype)
    if not with_bias:
        given = {name: given[name] for name in ("users", "items", "target")}
    loss = linear_cross_entropy(**given, max_scores=rows * N + N - 1)
    want = plain(**given)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(loss, want, rtol=tolerance, atol=tolerance)
    found = zip(gradients(loss, given, 0.3), gradients(want, given, 0.3), strict=True)
    for first, second in found:
        assert first.dtype == dtype
        torch.testing.assert_close(first, second, rtol=tolerance, atol=tolerance)


def test_gradients_are_those_of_finite_differences() -> None:
    given = inputs()

    def loss(users: Tensor, items: Tensor, bias: Tensor) -> Tensor:
        return linear_cross_entropy(users, items, given["target"], given["history"], bias, 3 * N)

    assert torch.autograd.gradcheck(loss, (given["users"], given["items"], given["bias"]))


def test_large_scores_neither_overflow_nor_vanish() -> None:
    given = {name: x.detach() for name, x in inputs(torch.float32).items()}
    given["users"] = (300 * given["users"]).requires_grad_()
    loss, want = linear_cross_entropy(**given), plain(**given)
    assert want > 1000  # the targets' probabilities are zero in float32
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(gradients(loss, given), gradients(want, given))


@pytest.mark.parametrize("name", ["users", "items", "bias"])
def test_only_wanted_gradients_are_computed(name: str) -> None:
    given = {key: x.detach() for key, x in inputs().items()}
    given[name].requires_grad_()
    with Largest() as seen:
        loss = linear_cross_entropy(**given)
    assert seen.products == (1 if name == "bias" else 2)
    (grad,) = gradients(loss, given)
    torch.testing.assert_close(grad, gradients(plain(**given), given)[0])


def test_without_gradients_only_the_scores_are_computed() -> None:
    given = inputs()
    with torch.no_grad(), Largest() as seen:
        loss = linear_cross_entropy(**given)
    assert seen.products == 1
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain(**given).detach())


def test_a_kept_graph_gives_the_same_gradient_again() -> None:
    given = inputs()
    loss = linear_cross_entropy(**given)
    first = torch.autograd.grad(3 * loss, given["items"], retain_graph=True)
    second = torch.autograd.grad(3 * loss, given["items"])
    assert torch.equal(first[0], second[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_rounds_the_vectors_and_no_score(dtype: torch.dtype) -> None:
    given = inputs(torch.float32)
    with torch.autocast("cpu", dtype):
        loss = linear_cross_entropy(**given, max_scores=4 * N)
    users, items = (given[name].to(dtype).float() for name in ("users", "items"))
    scores = (users @ items.t()).scatter_add(1, given["history"], given["bias"])
    want = F.cross_entropy(scores, given["target"], reduction="sum")
    assert loss.dtype == torch.float32
    assert abs(loss - plain(**given)) > 1e-4  # not computed in float32
    torch.testing.assert_close(loss, want)
    for first, second in zip(gradients(loss, given), gradients(want, given), strict=True):
        assert first.dtype == torch.float32
        torch.testing.assert_close(first, second, rtol=0.03, atol=0.03)


def test_it_repeats_bit_by_bit() -> None:
    given = inputs(torch.float32)
    runs = [gradients(linear_cross_entropy(**given, max_scores=2 * N), given) for _ in range(2)]
    assert all(torch.equal(first, second) for first, second in zip(*runs, strict=True))


@pytest.mark.parametrize("max_scores", [1, 2 * N, 3 * N + 1, MAX_SCORES])
def test_never_more_scores_than_allowed(max_scores: int) -> None:
    given = inputs()
    with Largest() as seen:
        linear_cross_entropy(**given, max_scores=max_scores).backward()
    rows = block_rows(P, N, max_scores)
    assert seen.numel == max(rows * N, N * D)  # the scores, or the gradient of the items
    assert seen.products == 3 * -(-P // rows)


def test_block_rows_by_hand() -> None:
    assert block_rows(100, 1000, 10_999) == 10
    assert block_rows(100, 1000, 10**9) == 100
    assert block_rows(100, 1000, 5) == 1
    assert block_rows(8192, 1_000_000, 2**25, "cuda") == 33
    assert block_rows(8192, 1_000_000) == 33
    assert block_rows(8192, 100_000) == 128  # on the CPU, in its caches: not more rows than these
    assert block_rows(8192, 2**12) == 2**9  # or than make 2^21 scores
    assert block_rows(8192, 2**12, 2**25, "cuda") == 2**13
    with pytest.raises(ValueError, match=r"'max_scores' must be at least 1 \(got 0\)"):
        block_rows(100, 1000, 0)


def test_no_position_at_all() -> None:
    users, items = torch.zeros(0, D, requires_grad=True), torch.zeros(N, D, requires_grad=True)
    loss = linear_cross_entropy(users, items, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert items.grad is not None
    assert not items.grad.any()


@pytest.mark.parametrize("name", ["history", "bias"])
def test_history_and_bias_belong_together(name: str) -> None:
    given = inputs()
    del given["bias" if name == "history" else "history"]
    with pytest.raises(ValueError, match=rf"must be given together \(got only '{name}'\)"):
        linear_cross_entropy(**given)


class OwnScores(SASRec):
    """Adds a fixed bonus to the scores of one item."""

    def step_scores(self, batch: SequenceBatch, items: Any, newest_only: bool) -> Tensor:
        bonus = F.one_hot(torch.tensor(7), self.num_items) * 2.0
        return super().step_scores(batch, items, newest_only) + bonus


class OwnLoss(SASRec):
    """Counts how often its own sum is asked for."""

    calls = 0

    def loss_sum(self, batch: SequenceBatch, items: Any) -> Tensor:
        self.calls += 1
        return 2 * super().loss_sum(batch, items)


class TestWhichForm:
    def test_is_said(self) -> None:
        assert SASRec(9).loss_form == "linear"
        assert SASRec(9, num_negatives=3).loss_form == "sampled"
        assert OwnScores(9).loss_form == "scores"
        assert OwnLoss(9).loss_form == "scores"
        model = SASRec(9)
        model.step_scores = OwnScores(9).step_scores  # type: ignore[method-assign]
        assert model.loss_form == "scores"

    @pytest.mark.parametrize("max_scores", [MAX_SCORES, 1])
    def test_own_scores_are_trained(self, world, max_scores: int) -> None:
        model = OwnScores(24, channels=4, max_length=9, max_scores=max_scores).eval()
        batch = world.batch
        log_p = model.step_scores(batch, model.encode_items(), newest_only=False).log_softmax(-1)
        own = log_p.gather(2, batch.target[:, :, None])[..., 0][batch.target_mask]
        torch.testing.assert_close(model.loss(batch), -own.mean())

    def test_an_own_sum_is_asked(self, world) -> None:
        options: dict[str, Any] = {"channels": 4, "max_length": 9}
        own, usual = OwnLoss(24, **options).eval(), SASRec(24, **options).eval()
        usual.load_state_dict(own.state_dict())
        torch.testing.assert_close(own.loss(world.batch), 2 * usual.loss(world.batch))
        assert own.calls == 1

    def test_only_positions_that_count_are_scored(self, world) -> None:
        model = SASRec(24, channels=4, max_length=9).eval()
        batch = world.batch
        batch = SequenceBatch(
            batch.item_id, batch.mask, batch.user_id, batch.target, batch.target_mask.clone()
        )
        assert batch.target_mask is not None
        batch.target_mask[:, :-1] = False  # the newest of each sequence
        with Largest() as seen:
            model.loss(batch).backward()
        assert seen.numel < batch.item_id.numel() * 24
