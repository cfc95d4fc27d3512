"""Exact cross-entropy of inner products over a large catalog, in bounded memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MAX_SCORES = 2**25  # 128 MiB in float32
# On the CPU scores that stay in its caches take less time, as long as a block has enough rows to
# make the reading of all item vectors worth it (measured).
CPU_SCORES, CPU_ROWS = 2**21, 128


def block_rows(
    num_positions: int, num_items: int, max_scores: int = MAX_SCORES, device: str = "cpu"
) -> int:
    """Positions whose scores :func:`linear_cross_entropy` holds at once.

    As many as fit into ``max_scores``, at least one (the scores of one position are never cut:
    they take less room than the item vectors) and at most all of them, which is one plain pass.
    On the CPU at most 2^21 scores or 128 positions, whichever is more.

    Raises:
        ValueError: ``max_scores`` is below 1.
    """
    if max_scores < 1:
        raise ValueError(f"'max_scores' must be at least 1 (got {max_scores})")
    rows = min(num_positions, max_scores // num_items)
    if device == "cpu":
        rows = min(rows, max(CPU_ROWS, CPU_SCORES // num_items))
    return max(1, rows)


def linear_cross_entropy(
    users: Tensor,
    items: Tensor,
    target: Tensor,
    history: Tensor | None = None,
    bias: Tensor | None = None,
    max_scores: int = MAX_SCORES,
) -> Tensor:
    r"""Sum over P positions of the cross-entropy over N items, without all P x N scores at once.

    .. math::
        \mathcal{L} = \sum_{p=1}^{P} \Bigl(\log \sum_{j=1}^{N} \exp s(p, j) - s(p, y_p)\Bigr),
        \qquad
        s(p, j) = \mathbf{h}_p^{\top} \mathbf{e}_j + \sum_{i : k_{p,i} = j} b_{p,i}

    The positions are taken in blocks. The derivative of a block's scores, softmax minus one-hot,
    is known as soon as they are, so the gradients are added up in the forward pass and no score
    is kept or computed twice (as in Liger-Kernel, arXiv 2410.10989). Memory beyond the arguments:
    one block of scores and the gradients.

    Under autocast the products take its type, and bfloat16 or float16 vectors keep theirs; all
    else (bias, softmax, sums over blocks) is float32, or float64 for float64 vectors. On the CPU
    the result repeats bit by bit. The gradient cannot be differentiated again.

    Args:
        users: User vectors h, [P, D].
        items: Item vectors e, [N, D].
        target: Item y of each position, Long tensor [P].
        history: Items k whose scores get a bias, Long tensor [P, H]; repeated ones sum up.
            (default: ``None``)
        bias: Their biases b, [P, H]. (default: ``None``)
        max_scores: Most scores held at once, see :func:`block_rows`. (default: ``2**25``)

    Returns:
        The sum, a scalar.

    Raises:
        ValueError: ``max_scores`` is below 1, or only one of ``history`` and ``bias`` is given.
    """
    if (history is None) != (bias is None):
        given = "bias" if history is None else "history"
        raise ValueError(f"'history' and 'bias' must be given together (got only {given!r})")
    rows = block_rows(len(users), len(items), max_scores, users.device.type)
    if history is None or bias is None:
        history, bias = target.new_zeros(len(target), 0), users.new_zeros(len(target), 0)
    device = users.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        users, items = users.to(dtype), items.to(dtype)
    with torch.autocast(device, enabled=False):
        grad_enabled = torch.is_grad_enabled()  # always off in forward(), so asked here
        loss: Tensor = _LinearCrossEntropy.apply(
            users, items, bias, target, history, rows, grad_enabled
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
        rows: int,
        grad_enabled: bool,
    ) -> Tensor:
        precision = torch.promote_types(users.dtype, torch.float32)
        grads = [
            torch.zeros_like(x, dtype=precision) if need and grad_enabled else None
            for x, need in zip((users, items, bias), ctx.needs_input_grad[:3], strict=True)
        ]
        loss = torch.zeros((), dtype=precision, device=users.device)
        # One buffer for all blocks: on the CPU new memory costs as much as a pass over it.
        buffer = torch.empty(rows, len(items), dtype=precision, device=users.device)
        for start in range(0, len(users), rows):
            part = slice(start, start + rows)
            own, seen = target[part, None], history[part]  # [p, 1], [p, H]
            scores = buffer[: len(own)]
            _product(users[part], items.t(), out=scores)  # [p, D] @ [D, N] -> [p, N]
            scores.scatter_add_(1, seen, bias[part].to(precision))
            own_score, top = scores.gather(1, own), scores.amax(1, keepdim=True)
            total = scores.sub_(top).exp_().sum(1, keepdim=True)  # [p, 1]
            loss += (top + total.log() - own_score).sum()
            if any(grad is not None for grad in grads):
                scores.scatter_add_(1, own, -total)
                _add_gradients(grads, part, scores, total, users[part], items, seen)
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Not in place: the graph may be kept for another backward pass.
        grads = (None if saved is None else saved * grad for saved in ctx.saved_tensors)
        return *grads, None, None, None, None


def _add_gradients(
    grads: list[Tensor | None],
    part: slice,
    scores: Tensor,
    total: Tensor,
    users: Tensor,
    items: Tensor,
    history: Tensor,
) -> None:
    """Adds a block's share to the gradients of the users, the items and the bias.

    Args:
        grads: Gradients [P, D], [N, D] and [P, H]; None where none is wanted.
        part: Which positions the block holds.
        scores: Derivative of the block's scores times ``total``, [p, N]; overwritten.
        total: Sums of the exponentials, [p, 1]: dividing short rows by them is cheaper than
            dividing the scores.
        users: User vectors of the block, [p, D].
        items: Item vectors, [N, D].
        history: Items with a bias, [p, H].
    """
    grad_users, grad_items, grad_bias = grads
    if grad_bias is not None:
        grad_bias[part] = scores.gather(1, history) / total
    if users.dtype != scores.dtype:  # float16 could not hold the totals
        scores = scores.div_(total).to(users.dtype)
        total = torch.ones_like(total)
    if grad_users is not None:
        _product(scores, items, out=grad_users[part])  # [p, N] @ [N, D] -> [p, D]
        grad_users[part] /= total
    if grad_items is not None:
        scaled = (users / total).to(users.dtype)
        if scaled.dtype == grad_items.dtype:
            grad_items.addmm_(scores.t(), scaled)  # [N, p] @ [p, D] -> [N, D]
        else:
            grad_items += scores.t() @ scaled


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Writes ``a @ b`` into ``out``, whose type may be wider than theirs."""
    if a.dtype == out.dtype:
        torch.mm(a, b, out=out)
    else:
        out.copy_(a @ b)
