"""The sums of a linear cross-entropy, block by block: in the CPU's caches, or in few passes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Grads = list[Tensor | None]


@dataclass
class _Block:
    """The scores of some positions, and what belongs to them.

    Args:
        part: Which of the P positions.
        scores: Their scores, [p, N]; overwritten.
        target: Their targets, [p, 1].
        weight: What they count, [p, 1]; ``None``: one.
        users: Their user vectors, [p, D].
        items: Item vectors, [N, D].
        history: Items with a bias, [p, H].
    """

    part: slice
    scores: Tensor
    target: Tensor
    weight: Tensor | None
    users: Tensor
    items: Tensor
    history: Tensor


def loss_and_gradients(
    users: Tensor,
    items: Tensor,
    bias: Tensor,
    target: Tensor,
    history: Tensor,
    weight: Tensor | None,
    rows: int,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor, Grads]:
    """The sum of the cross-entropy, and its gradients.

    Args:
        users: User vectors, [P, D].
        items: Item vectors, [N, D].
        bias: Biases of the history's items, [P, H].
        target: Item of each position, Long tensor [P].
        history: Items with a bias, Long tensor [P, H].
        weight: What each position counts, [P]; ``None``: one.
        rows: Positions of a block.
        wanted: Whether the gradients of users, items and bias are.

    Returns:
        The sum, and the gradients [P, D], [N, D] and [P, H] in float32 at least, ``None`` where
        they are not wanted.
    """
    precision = torch.promote_types(users.dtype, torch.float32)
    grads: Grads = [
        torch.zeros_like(x, dtype=precision) if want else None
        for x, want in zip((users, items, bias), wanted, strict=True)
    ]
    loss = torch.zeros((), dtype=precision, device=users.device)
    add_block = _add_on_cpu if users.device.type == "cpu" else _add_in_few_passes
    # One buffer for all blocks: on the CPU new memory costs as much as a pass over it.
    buffer = torch.empty(rows, len(items), dtype=precision, device=users.device)
    for start in range(0, len(users), rows):
        part = slice(start, start + rows)
        scores = buffer[: len(users[part])]
        product(users[part], items.t(), out=scores)  # [p, D] @ [D, N] -> [p, N]
        if history.size(1):
            scores.scatter_add_(1, history[part], bias[part].to(precision))
        counts = None if weight is None else weight[part, None].to(precision)
        given = target[part, None], counts, users[part], items, history[part]
        add_block(loss, grads, _Block(part, scores, *given))
    return loss, grads


def _add_on_cpu(loss: Tensor, grads: Grads, block: _Block) -> None:
    """Adds a block's share, in place: the block of scores is the only memory.

    Args:
        loss: The sum so far, a scalar.
        grads: Gradients [P, D], [N, D] and [P, H]; None where none is wanted.
        block: The block.
    """
    scores, own, weight, users = block.scores, block.target, block.weight, block.users
    own_score, top = scores.gather(1, own), scores.amax(1, keepdim=True)
    total = scores.sub_(top).exp_().sum(1, keepdim=True)  # [p, 1]
    losses = top + total.log() - own_score
    loss += losses.sum() if weight is None else (losses * weight).sum()
    if all(grad is None for grad in grads):
        return
    scores.scatter_add_(1, own, -total)
    # Dividing short rows by the totals is cheaper than dividing the scores; infinite is weight 0.
    total = total if weight is None else total / weight
    grad_users, grad_items, grad_bias = grads
    if grad_bias is not None:
        grad_bias[block.part] = scores.gather(1, block.history) / total
    if users.dtype != scores.dtype:  # float16 could not hold the totals
        scores = scores.div_(total).to(users.dtype)
        total = torch.ones_like(total)
    if grad_users is not None:
        product(scores, block.items, out=grad_users[block.part])  # [p, N] @ [N, D] -> [p, D]
        grad_users[block.part] /= total
    if grad_items is not None:
        _add_outer(grad_items, scores, (users / total).to(users.dtype))


def _add_in_few_passes(loss: Tensor, grads: Grads, block: _Block) -> None:
    """The same in half as many passes over the scores, and in the memory of two blocks.

    PyTorch's log-softmax is one kernel there; in the backward pass of its own form another block
    would be filled with zeros and one more read.
    """
    own, weight, users = block.target, block.weight, block.users
    log_p = torch.log_softmax(block.scores, 1)
    own_log_p = log_p.gather(1, own)
    loss -= own_log_p.sum() if weight is None else (own_log_p * weight).sum()
    if all(grad is None for grad in grads):
        return
    grad_scores = log_p.exp_().scatter_add_(1, own, -torch.ones_like(own_log_p))
    if weight is not None:
        users = (users * weight).to(users.dtype)
    grad_users, grad_items, grad_bias = grads
    if grad_bias is not None:
        grad = grad_scores.gather(1, block.history)
        grad_bias[block.part] = grad if weight is None else grad * weight
    grad_scores = grad_scores.to(users.dtype)
    if grad_users is not None:
        product(grad_scores, block.items, out=grad_users[block.part])
        if weight is not None:
            grad_users[block.part] *= weight
    if grad_items is not None:
        _add_outer(grad_items, grad_scores, users)


def _add_outer(total: Tensor, scores: Tensor, users: Tensor) -> None:
    """Adds [N, p] @ [p, D] to ``total`` [N, D], whose type may be wider."""
    if users.dtype == total.dtype:
        total.addmm_(scores.t(), users)
    else:
        total += widened(scores.t(), users, total.dtype)


def product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Writes ``a @ b`` into ``out``, whose type may be wider than theirs."""
    if a.dtype == out.dtype:
        torch.mm(a, b, out=out)
    else:
        out.copy_(widened(a, b, out.dtype))


def widened(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """``a @ b`` of bfloat16 or float16 in a wider type: the sums are never rounded to theirs."""
    if a.is_cuda:
        return torch.mm(a, b, out_dtype=dtype)
    return a.to(dtype) @ b.to(dtype)  # PyTorch has no such product there
