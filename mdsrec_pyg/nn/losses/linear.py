"""Exact cross-entropy of inner products over a large catalog, in bounded memory."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mdsrec_pyg.nn.losses._blocks import loss_and_gradients, widened
from mdsrec_pyg.nn.precision import autocast_dtype, full_precision

MAX_SCORES = 2**25  # 128 MiB in float32
# On the CPU scores that stay in its caches take less time, as long as a block has enough rows to
# make the reading of all item vectors worth it (measured).
CPU_SCORES, CPU_ROWS = 2**21, 128


def most_scores(device: str | torch.device = "cpu") -> int:
    """Scores that a loss holds at once where nothing else is said: :math:`2^{25}`, on CUDA more.

    There it is a 64th of the GPU's memory in float32 (:math:`2^{28}` scores of 80 GB): a block of
    few rows leaves most of such a device idle.
    """
    device = torch.device(device)
    if device.type != "cuda" or not torch.cuda.is_available():
        return MAX_SCORES
    memory: int = torch.cuda.get_device_properties(device).total_memory
    return max(MAX_SCORES, memory // 256)


def block_rows(
    num_positions: int,
    num_items: int,
    max_scores: int | None = None,
    device: str | torch.device = "cpu",
) -> int:
    """Positions whose scores :func:`linear_cross_entropy` holds at once.

    As many as fit into ``max_scores``, at least one (the scores of one position are never cut:
    they take less room than the item vectors) and at most all of them, which is one plain pass.
    On the CPU at most 2^21 scores or 128 positions, whichever is more.

    Args:
        num_positions: P.
        num_items: N.
        max_scores: Most scores; by default :func:`most_scores`.
        device: Where they are held.

    Raises:
        ValueError: ``max_scores`` is below 1.
    """
    device = torch.device(device)
    max_scores = most_scores(device) if max_scores is None else max_scores
    if max_scores < 1:
        raise ValueError(f"'max_scores' must be at least 1 (got {max_scores})")
    rows = min(num_positions, max_scores // num_items)
    if device.type == "cpu":
        rows = min(rows, max(CPU_ROWS, CPU_SCORES // num_items))
    return max(1, rows)


def inner_products(users: Tensor, items: Tensor) -> Tensor:
    """Scores ``users @ items.t()``, [*, D] and [N, D] to [*, N]; in float32 under an autocast.

    Autocast would round the scores to bfloat16, which keeps eight bits of them, before the softmax.
    Here it rounds the vectors only.
    """
    dtype = autocast_dtype(users.device)
    if dtype is None:
        return users @ items.t()
    with full_precision(users.device):
        flat = users.reshape(-1, users.size(-1)).to(dtype)
        scores: Tensor = _InnerProducts.apply(flat, items.to(dtype))
        return scores.view(*users.shape[:-1], len(items))


class _InnerProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor) -> Tensor:
        ctx.save_for_backward(users, items)
        return widened(users, items.t(), torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        users, items = ctx.saved_tensors
        grad = grad.to(users.dtype)
        grad_users = grad @ items if ctx.needs_input_grad[0] else None
        return grad_users, grad.t() @ users if ctx.needs_input_grad[1] else None


def linear_cross_entropy(
    users: Tensor,
    items: Tensor,
    target: Tensor,
    history: Tensor | None = None,
    bias: Tensor | None = None,
    max_scores: int | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Sum over P positions of the cross-entropy over N items, without all P x N scores at once.

    .. math::
        \mathcal{L} = \sum_{p=1}^{P} c_p \Bigl(\log \sum_{j=1}^{N} \exp s(p, j) - s(p, y_p)\Bigr),
        \qquad
        s(p, j) = \mathbf{h}_p^{\top} \mathbf{e}_j + \sum_{i : k_{p,i} = j} b_{p,i}

    The positions are taken in blocks. The derivative of a block's scores, softmax minus one-hot,
    is known as soon as they are, so the gradients are added up in the forward pass and no score
    is kept or computed twice (as in Liger-Kernel, arXiv 2410.10989). Memory beyond the arguments:
    one block of scores (two on a GPU) and the gradients.

    Under autocast the vectors are rounded to its type, and bfloat16 or float16 vectors keep theirs;
    all else (scores, bias, softmax, sums) is float32, or float64 for float64 vectors. The result
    repeats bit by bit, on a GPU where no item stands twice with a bias in a row of ``history``
    (:func:`~mdsrec_pyg.nn.history_bias.first_only` sees to that). The gradient cannot be
    differentiated again.

    Args:
        users: User vectors h, [P, D].
        items: Item vectors e, [N, D].
        target: Item y of each position, Long tensor [P].
        history: Items k whose scores get a bias, Long tensor [P, H]; repeated ones sum up.
            (default: ``None``)
        bias: Their biases b, [P, H]. (default: ``None``)
        max_scores: Most scores held at once, see :func:`block_rows`. (default: by the device)
        weight: What each position counts, c, [P]. (default: ``None``, one)

    Returns:
        The sum, a scalar.

    Raises:
        ValueError: ``max_scores`` is below 1, or only one of ``history`` and ``bias`` is given.
    """
    if (history is None) != (bias is None):
        given = "bias" if history is None else "history"
        raise ValueError(f"'history' and 'bias' must be given together (got only {given!r})")
    rows = block_rows(len(users), len(items), max_scores, users.device)
    if history is None or bias is None:
        history, bias = target.new_zeros(len(target), 0), users.new_zeros(len(target), 0)
    dtype = autocast_dtype(users.device)
    if dtype is not None:
        users, items = users.to(dtype), items.to(dtype)
    with full_precision(users.device):
        grad_enabled = torch.is_grad_enabled()  # always off in forward(), so asked here
        if torch.compiler.is_compiling():
            wanted = [x.requires_grad and grad_enabled for x in (users, items, bias)]
            loss: Tensor = _traced(users, items, bias, target, history, weight, rows, wanted)[0]
        else:
            loss = _LinearCrossEntropy.apply(
                users, items, bias, target, history, weight, rows, grad_enabled
            )
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        target: Tensor,
        history: Tensor,
        weight: Tensor | None,
        rows: int,
        grad_enabled: bool,
    ) -> Tensor:
        users_, items_, bias_ = (need and grad_enabled for need in ctx.needs_input_grad[:3])
        loss, grads = loss_and_gradients(
            users, items, bias, target, history, weight, rows, (users_, items_, bias_)
        )
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Not in place: the graph may be kept for another backward pass.
        grads = (None if saved is None else saved * grad for saved in ctx.saved_tensors)
        return *grads, None, None, None, None, None


@torch.library.custom_op("mdsrec_pyg::linear_cross_entropy", mutates_args=())
def _traced(
    users: Tensor,
    items: Tensor,
    bias: Tensor,
    target: Tensor,
    history: Tensor,
    weight: Optional[Tensor],  # noqa: UP045 (read by torch on Python 3.10 too)
    rows: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same as one operator, for what is traced; gradients that are not wanted are empty."""
    want = (wanted[0], wanted[1], wanted[2])
    loss, grads = loss_and_gradients(users, items, bias, target, history, weight, rows, want)
    first, second, third = (loss.new_empty(0) if grad is None else grad for grad in grads)
    return loss, first, second, third


@_traced.register_fake
def _(
    users: Tensor,
    items: Tensor,
    bias: Tensor,
    target: Tensor,
    history: Tensor,
    weight: Tensor | None,
    rows: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    precision = torch.promote_types(users.dtype, torch.float32)
    first, second, third = (
        x.new_empty(x.shape if want else (0,), dtype=precision)
        for x, want in zip((users, items, bias), wanted, strict=True)
    )
    return users.new_empty((), dtype=precision), first, second, third


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.dtypes = [x.dtype for x in inputs[:3]]
    ctx.wanted = inputs[-1]
    ctx.save_for_backward(*output[1:])


def _scale(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    grads = (
        (saved * grad).to(dtype) if want else None
        for saved, dtype, want in zip(ctx.saved_tensors, ctx.dtypes, ctx.wanted, strict=True)
    )
    return *grads, None, None, None, None, None


_traced.register_autograd(_scale, setup_context=_keep)
