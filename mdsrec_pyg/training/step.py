"""A training step up to its gradients: eager, compiled, or captured as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.data.batch import SequenceBatch
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.training.config import TrainerConfig

#: What compiles the loss where there are no CUDA graphs.
BACKEND = "inductor"

#: From a batch, in any memory, to its detached loss; the gradients are then where they belong.
Step = Callable[[SequenceBatch], Tensor]


def make_step(
    model: SequentialRecommender,
    optimizer: torch.optim.Optimizer,
    config: TrainerConfig,
    device: torch.device,
) -> Step:
    """The step that the options lead to.

    Args:
        model: The model, on its device.
        optimizer: Whose gradients are set to none.
        config: ``precision`` and ``compile`` count.
        device: Where the batches go.
    """
    if not config.compile:
        return EagerStep(model, optimizer, config, device)
    if device.type == "cuda":
        return CapturedStep(model, config, device)
    return CompiledStep(model, optimizer, config, device)


@contextmanager
def tensor_float_32(allowed: bool, device: torch.device) -> Iterator[None]:
    """Lets CUDA round the factors of float32 products to ten bits, or forbids it, inside the block.

    PyTorch's own defaults allow it to recurrent layers only. Other devices are left alone.
    """
    if device.type != "cuda":
        yield
        return
    products, layers = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, layers.allow_tf32
    try:
        products.allow_tf32 = layers.allow_tf32 = allowed
        yield
    finally:
        products.allow_tf32, layers.allow_tf32 = before


class EagerStep:
    """One operation after the other."""

    def __init__(
        self,
        model: SequentialRecommender,
        optimizer: torch.optim.Optimizer,
        config: TrainerConfig,
        device: torch.device,
    ) -> None:
        self.model, self.optimizer, self.device = model, optimizer, device
        self.half = config.precision == "bfloat16"

    def loss(self, batch: SequenceBatch) -> Tensor:
        """The model's loss."""
        return self.model.loss(batch)

    def __call__(self, batch: SequenceBatch) -> Tensor:
        """Computes loss and gradients."""
        batch = batch.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        return loss.detach()


class CompiledStep(EagerStep):
    """The loss, and with it its backward pass, as one graph by ``torch.compile``."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.compiled = torch.compile(self.model.loss, fullgraph=True, backend=BACKEND)

    def loss(self, batch: SequenceBatch) -> Tensor:
        """The compiled loss; a number that differs in each batch would compile it each time."""
        if batch.positions is not None:
            batch = replace(batch, positions=replace(batch.positions, number=None))
        with torch._dynamo.config.patch(allow_rnn=True):  # recurrent layers, at torch's own risk
            loss: Tensor = self.compiled(batch)
        return loss


@dataclass
class _Captured:
    graph: torch.cuda.CUDAGraph
    batch: SequenceBatch
    loss: Tensor


class CapturedStep:
    """Forward and backward pass as one CUDA graph for each shape of a batch.

    What launches hundreds of kernels is launched once. The numbers, dropout's draws included, are
    those of the eager step. A graph reads parameters and tables where they were when it was
    captured, so these may change in place only; which parameters are trained, and the modes of the
    submodules, are those of then.

    Args:
        model: The model; its loss must not wait for the device.
        config: ``precision`` counts.
        device: A CUDA device.
    """

    def __init__(
        self, model: SequentialRecommender, config: TrainerConfig, device: torch.device
    ) -> None:
        self.model, self.device = model, device
        self.half = config.precision == "bfloat16"
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.grads: list[Tensor | None] | None = None
        self.captured: dict[Hashable, _Captured] = {}
        self.pool: Any = None

    def __call__(self, batch: SequenceBatch) -> Tensor:
        """Computes loss and gradients; the first time for a shape, captures them."""
        key = shape_of(batch)
        found = self.captured.get(key)
        if found is None:
            found = self.captured[key] = self._capture(batch.to(self.device))
        else:
            copy_into(found.batch, batch)
        found.graph.replay()
        assert self.grads is not None
        for parameter, grad in zip(self.parameters, self.grads, strict=True):
            if parameter.grad is not grad:
                parameter.grad = grad
        return found.loss.clone()

    def _gradients(self, batch: SequenceBatch) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        # Without the cache: what it holds would be read outside of the graph that made it.
        with torch.autocast("cuda", torch.bfloat16, enabled=self.half, cache_enabled=False):
            loss = self.model.loss(batch)
        return loss.detach(), torch.autograd.grad(loss, self.parameters, allow_unused=True)

    def _capture(self, batch: SequenceBatch) -> _Captured:
        random = torch.cuda.get_rng_state(self.device)
        with torch.cuda.device(self.device):
            side, main = torch.cuda.Stream(), torch.cuda.current_stream()
            side.wait_stream(main)
            with torch.cuda.stream(side):
                _, grads = self._gradients(batch)  # what is set up once is no part of the graph
                self._check(batch)
            main.wait_stream(side)
            if self.grads is None:
                self.grads = [None if grad is None else torch.empty_like(grad) for grad in grads]
            del grads
            graph = torch.cuda.CUDAGraph()
            # The thread that makes batches may take page-locked memory meanwhile.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                loss, grads = self._gradients(batch)
                owned = [grad for grad in self.grads if grad is not None]
                torch._foreach_copy_(owned, [grad for grad in grads if grad is not None])
        self.pool = graph.pool()
        torch.cuda.set_rng_state(random, self.device)
        return _Captured(graph, batch, loss)

    def _check(self, batch: SequenceBatch) -> None:
        """An error where the loss waits; in a capture it would leave CUDA's random state broken."""
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            self._gradients(batch)
        except RuntimeError as error:
            raise ValueError(
                "compile=True needs a model whose loss never waits for the device "
                f"({type(self.model).__name__}.loss: {error})"
            ) from error
        finally:
            torch.cuda.set_sync_debug_mode(before)


def shape_of(batch: SequenceBatch) -> Hashable:
    """What a captured step cannot change."""
    return tuple(tensor.shape for tensor in batch.tensors())


def copy_into(batch: SequenceBatch, other: SequenceBatch) -> None:
    """Copies a batch of the same shapes, without a wait where it is in page-locked memory."""
    if batch.flat is not None and other.flat is not None:
        batch.flat.copy_(other.flat, non_blocking=True)
        return
    for own, given in zip(batch.tensors(), other.tensors(), strict=True):
        own.copy_(given, non_blocking=True)
