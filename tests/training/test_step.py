"""A step of training: it never waits for the device, whatever shape and form it has."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from mdsrec_pyg import Trainer
from mdsrec_pyg.data import SequenceLoader, leave_last_out
from mdsrec_pyg.training import step as step_module
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.loop import make_loader
from mdsrec_pyg.training.optimizer import FUSED, make_optimizer
from mdsrec_pyg.training.step import EagerStep, make_step, tensor_float_32
from tests.nn.vote_cases import like_a_gpu
from tests.training.step_cases import (
    MAX_LENGTH,
    MODELS,
    Operations,
    bare,
    batches,
    gradients,
    make,
    train_part,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("fixed_shapes", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_no_step_waits_for_the_device(name: str, fixed_shapes: bool, monkeypatch) -> None:
    like_a_gpu(monkeypatch)
    model = make(name)
    optimizer = make_optimizer(model, 1e-3, 0.01)
    step = EagerStep(model, optimizer, TrainerConfig(), CPU)
    first, second, *_ = batches(model, fixed_shapes)
    step(first)  # what is computed once may wait
    optimizer.step()
    with Operations() as seen:
        step(second)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert +seen.waits == Counter()


def test_the_count_sees_what_waits() -> None:
    model = make("MDSRec")  # gathers the votes as on a CPU
    batch = bare(batches(model)[0])
    with Operations() as seen:
        model.loss(batch)
    assert set(seen.waits) >= {"nonzero", "_local_scalar_dense"}
    with Operations() as seen:
        torch.ones(3)[torch.tensor([True, False, True])].sum().item()
    assert set(seen.waits) == {"index by a mask", "_local_scalar_dense"}


@pytest.mark.parametrize("fixed_shapes", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_collated_changes_no_loss(name: str, fixed_shapes: bool) -> None:
    """Not the places, and not what fills a batch up to its shape."""
    model = make(name).eval()  # draws no dropout, whose masks have the shape of the batch
    for given, filled in zip(batches(model), batches(model, fixed_shapes), strict=True):
        torch.manual_seed(1)
        want = gradients(model.loss(bare(given)), model)
        torch.manual_seed(1)
        found = gradients(model.loss(filled), model)
        assert len(found) == len(want)
        for one, two in zip(found, want, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


class TestFixedShapes:
    loader = SequenceLoader(train_part(), MAX_LENGTH, 16, fixed_shapes=True)
    usual = SequenceLoader(train_part(), MAX_LENGTH, 16)

    def test_there_are_few(self) -> None:
        shapes = {tuple(tensor.shape for tensor in batch.tensors()) for batch in self.loader}
        assert {batch.item_id.shape for batch in self.loader} <= {(16, 8), (16, 12)}
        assert len(shapes) <= 2 * 4

    def test_every_target_is_there_once(self) -> None:
        for batch, usual in zip(self.loader, self.usual, strict=True):
            found, want = batch.positions, usual.positions
            assert found is not None
            assert want is not None
            assert found.weight is not None
            assert batch.target is not None
            assert batch.target_mask is not None
            assert usual.target is not None
            assert batch.num_positions == usual.num_positions == int(found.count)
            real = found.place[found.weight > 0]
            assert len(real) == batch.num_positions
            assert torch.equal(batch.target.flatten()[real], usual.target.flatten()[want.place])
            assert torch.equal(batch.target_mask.flatten().nonzero()[:, 0], real)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("SASRec, sampled", "eager"),
        ("GRU4Rec", "eager"),
        ("MDSRec", "eager"),
        ("MDSRec, paper", "eager"),
        ("SASRec", "aot_eager"),  # its backward pass, too
    ],
)
def test_a_compiled_loss_is_one_graph_and_the_same(name: str, backend: str, monkeypatch) -> None:
    """Dropout draws the same, and no two draws are taken for one."""
    torch._dynamo.reset()
    monkeypatch.setattr(step_module, "BACKEND", backend)
    model = make(name)
    optimizer = make_optimizer(model, 1e-3, 0.0)
    results = []
    for compile_ in (False, True):
        step = make_step(model, optimizer, TrainerConfig(compile=compile_), CPU)
        torch.manual_seed(1)
        loss = step(batches(model, fixed_shapes=True)[0])
        results.append([loss, *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_another_number_of_positions_compiles_nothing_anew(monkeypatch) -> None:
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(step_module, "BACKEND", counter)
    model = make("SASRec")
    step = make_step(model, make_optimizer(model, 1e-3, 0.0), TrainerConfig(compile=True), CPU)
    batch = batches(model, fixed_shapes=True)[0]
    assert batch.positions is not None
    for number in (17, 23, 31):
        step(replace(batch, positions=replace(batch.positions, number=number)))
    assert counter.frame_count == 1


def test_the_trainer_compiles(monkeypatch) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(step_module, "BACKEND", "eager")
    split = leave_last_out(train_part())
    rows = []
    for compile_ in (False, True):
        trainer = Trainer(
            make("SASRec"),
            TrainerConfig(epochs=1, batch_size=16, compile=compile_),
            device="cpu",
            progress=False,
            log=lambda text: None,
        )
        rows.append(trainer.fit(split.train, split.val).rows[0])
    # Dropout's masks have the shape of a batch: the same draws fall elsewhere.
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=0.05)
    assert rows[0]["loss"] != rows[1]["loss"]


@pytest.mark.parametrize("name", ["SASRec", "SASRec, sampled"])
def test_the_loader_collates_what_the_loss_asks_for(name: str) -> None:
    for compile_ in (False, True):
        config = TrainerConfig(batch_size=7, stride=3, seed=5, compile=compile_)
        loader = make_loader(train_part(), make(name), config)
        assert loader.fixed_shapes == compile_
        assert (loader.batch_size, loader.stride, loader.seed) == (7, 3, 5)
        assert loader.max_length == MAX_LENGTH


def test_fused_where_there_is_such_a_kernel(monkeypatch) -> None:
    model = make("SASRec")
    assert make_optimizer(model, 1e-3, 0.0).defaults["fused"]
    assert not make_optimizer(model.to("meta"), 1e-3, 0.0).defaults["fused"]
    assert "meta" not in FUSED


class TestTF32:
    def flags(self) -> list[bool]:
        return [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]

    @pytest.mark.parametrize("allowed", [True, False])
    def test_holds_inside_the_block_only(self, allowed: bool) -> None:
        before = self.flags()
        with tensor_float_32(allowed, torch.device("cuda")):
            assert self.flags() == [allowed, allowed]
        assert self.flags() == before

    def test_other_devices_are_left_alone(self) -> None:
        before = self.flags()
        with tensor_float_32(not before[0], CPU):
            assert self.flags() == before

    def test_it_reaches_the_training(self, monkeypatch) -> None:
        given: list[Any] = []
        fit = step_module.tensor_float_32

        def spy(allowed: bool, device: torch.device) -> Any:
            given.append((allowed, device))
            return fit(allowed, device)

        monkeypatch.setattr("mdsrec_pyg.training.trainer.tensor_float_32", spy)
        split = leave_last_out(train_part())
        options: dict[str, Any] = {"epochs": 1, "device": "cpu", "log": lambda text: None}
        Trainer(make("SASRec"), **options).fit(split.train, split.val)
        assert given == [(False, CPU)]

    def test_it_needs_cuda(self) -> None:
        with pytest.raises(ValueError, match=r"tf32=True needs a CUDA device \(got cpu\)"):
            Trainer(make("SASRec"), device="cpu", tf32=True)
