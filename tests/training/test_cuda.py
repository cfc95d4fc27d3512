"""On a GPU: no waits, captured steps, resumed runs, bfloat16, models built there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from mdsrec_pyg import Trainer, build_mdsrec, evaluate
from mdsrec_pyg.data import SequenceBatch, Split, leave_last_out
from mdsrec_pyg.data.prefetch import prefetch
from mdsrec_pyg.graphs import InterestCenters
from mdsrec_pyg.graphs.ridge import ridge_precision
from mdsrec_pyg.nn import SequentialRecommender
from mdsrec_pyg.seed import seed_everything
from mdsrec_pyg.training.checkpoint import load_checkpoint
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.optimizer import make_optimizer
from mdsrec_pyg.training.step import CapturedStep, Step, make_step
from tests.training.step_cases import (
    MODELS,
    SMALL,
    ToyWaits,
    batches,
    features,
    make,
    train_part,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda", 0)


@pytest.fixture
def split() -> Split:
    """Relations are fitted on all of the interactions, so that all are trained on."""
    return replace(leave_last_out(train_part()), train=train_part())


def run(
    model: SequentialRecommender, given: list[SequenceBatch], **options: Any
) -> tuple[Step, list[torch.Tensor]]:
    """Losses of a few steps on the GPU, with the optimizer's, after the same seed."""
    config = TrainerConfig(**options)
    model.to(CUDA)
    optimizer = make_optimizer(model, 1e-3, 0.0)
    step = make_step(model, optimizer, config, CUDA)
    torch.manual_seed(1)
    losses = []
    for batch in given:
        losses.append(step(batch.pin_memory()))
        optimizer.step()
    return step, losses


@pytest.mark.parametrize("compile_", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_no_step_waits_for_the_device(name: str, compile_: bool) -> None:
    model = make(name).to(CUDA)
    given = [batch.pin_memory() for batch in batches(model, fixed_shapes=compile_)]
    optimizer = make_optimizer(model, 1e-3, 0.01)
    step = make_step(model, optimizer, TrainerConfig(compile=compile_), CUDA)
    for batch in given:  # what is chosen, kept and captured once may wait
        step(batch)
        optimizer.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in prefetch(given):
            step(batch)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", MODELS)
def test_a_captured_step_is_the_eager_one(name: str, precision: str) -> None:
    """Dropout's draws included."""
    eager, captured = make(name), make(name)
    given = batches(eager, fixed_shapes=True) * 2  # each shape captured, then played again
    _, want = run(eager, given, precision=precision)
    step, found = run(captured, given, precision=precision, compile=True)
    assert isinstance(step, CapturedStep)
    assert 1 <= len(step.captured) <= 8
    torch.testing.assert_close(torch.stack(found), torch.stack(want), rtol=1e-4, atol=1e-4)
    for one, two in zip(eager.parameters(), captured.parameters(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)


def test_a_loss_that_waits_cannot_be_captured() -> None:
    model = ToyWaits()
    with pytest.raises(ValueError, match=r"compile=True needs a model .*ToyWaits\.loss"):
        run(model, batches(model, fixed_shapes=True), compile=True)
    torch.rand(3, device=CUDA).sum().item()  # the device and its random numbers go on


@pytest.mark.parametrize("compile_", [False, True])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "GRU4Rec"])
def test_a_resumed_run_is_bit_equal(name: str, compile_: bool, split: Split, tmp_path) -> None:
    options: dict[str, Any] = {"batch_size": 16, "lr": 0.01, "compile": compile_}
    options |= {"progress": False, "log": lambda text: None, "device": CUDA}
    Trainer(make(name), directory=tmp_path / "whole", epochs=4, **options).fit(
        split.train, split.val
    )
    Trainer(make(name), directory=tmp_path / "run", epochs=2, **options).fit(split.train, split.val)
    seed_everything(99)
    again = Trainer(make(name), directory=tmp_path / "run", epochs=4, **options)
    again.fit(split.train, split.val, resume=True)
    whole, resumed = (load_checkpoint(tmp_path / run / "last.pt") for run in ("whole", "run"))
    differ = [k for k, v in whole["model"].items() if not torch.equal(v, resumed["model"][k])]
    assert differ == []
    assert torch.equal(whole["random"]["cuda"], resumed["random"]["cuda"])


@pytest.mark.parametrize("name", ["SASRec", "SASRec, sampled", "MDSRec"])
def test_bfloat16_keeps_the_loss_in_float32(name: str, split: Split) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        options: dict[str, Any] = {"device": CUDA, "log": lambda text: None, "epochs": 3}
        trainer = Trainer(make(name), precision=precision, batch_size=16, **options)
        losses.append(trainer.fit(split.train, split.val).rows[-1]["loss"])
    assert losses[0] != losses[1]
    # The negatives of a sampled softmax are other ones: attention draws its dropout otherwise.
    assert losses[0] == pytest.approx(losses[1], rel=0.1 if "sampled" in name else 0.02)


def test_tf32_rounds(split: Split) -> None:
    losses = []
    for tf32 in (False, True):
        options: dict[str, Any] = {"device": CUDA, "log": lambda text: None, "epochs": 1}
        losses.append(
            Trainer(make("SASRec"), tf32=tf32, **options)
            .fit(split.train, split.val)
            .rows[0]["loss"]
        )
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    assert not torch.backends.cuda.matmul.allow_tf32


class TestBuiltThere:
    def test_the_graphs_are_those_of_the_cpu(self) -> None:
        models = [
            build_mdsrec(features(), train_part(), num_centers=3, device=device, **SMALL)
            for device in ("cpu", "cuda")
        ]
        assert all(tensor.is_cuda for tensor in (*models[1].parameters(), *models[1].buffers()))
        for (name, one), two in zip(models[0].named_buffers(), models[1].buffers(), strict=True):
            if "label" in name or "center" in name:  # rounds of k-means, see below
                continue
            torch.testing.assert_close(two.cpu(), one, rtol=1e-4, atol=1e-5, msg=name)
        for one, two in zip(models[0].parameters(), models[1].parameters(), strict=True):
            assert torch.equal(one, two.cpu())

    def test_it_trains_and_is_evaluated_there(self, split: Split) -> None:
        model = build_mdsrec(features(), split.train, num_centers=3, device="cuda", **SMALL)
        options: dict[str, Any] = {"epochs": 2, "batch_size": 16, "log": lambda text: None}
        Trainer(model, device="cuda", compile=True, **options).fit(split.train, split.val)
        there = evaluate(model, split.test).metrics
        here = evaluate(model, split.test, device="cpu").metrics
        assert there == pytest.approx(here, abs=0.02)

    def test_the_precision_to_rounding(self) -> None:
        one, two = (
            ridge_precision(train_part(), features()["text"], device=device)
            for device in ("cpu", "cuda")
        )
        assert two.is_cuda
        torch.testing.assert_close(two.cpu(), one, rtol=1e-4, atol=1e-6)

    def test_centers_are_as_good(self) -> None:
        x = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
        spread = []
        for device in ("cpu", "cuda"):
            centers = InterestCenters(6).fit(x, device=device)
            assert centers.labels_.device.type == "cpu"
            spread.append((x - centers.centers_[centers.labels_]).square().sum().item())
        assert spread[1] == pytest.approx(spread[0], rel=0.03)
