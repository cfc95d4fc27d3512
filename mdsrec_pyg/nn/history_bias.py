"""A learned bonus or malus for the items that already stand in the history."""

from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from mdsrec_pyg.configs import check_finite
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn.precision import full_precision

#: Step of learned scalars, as a multiple of the trainer's learning rate: logits are of order 10.
BIAS_LR = 5.0


def steps_back(length: int, newest_only: bool, device: torch.device | None = None) -> Tensor:
    """How many steps before query step t the history step i stands.

    Args:
        length: Steps L of the (left-padded) sequences.
        newest_only: Ask only for the newest step as the query (inference).
        device: Where to put the result.

    Returns:
        Long tensor [T, L] with T = 1 (``newest_only``) or L; 0 is the query step itself,
        negative values lie in its future.
    """
    step = torch.arange(length, device=device)
    query = step[-1:] if newest_only else step
    return query[:, None] - step[None, :]


def visible_steps(mask: Tensor, distance: Tensor) -> Tensor:
    """Which history steps a query step may use: real ones, not in its future.

    Args:
        mask: Bool tensor [B, L], True where an item stands.
        distance: Result of :func:`steps_back`, [T, L].

    Returns:
        Bool tensor [B, T, L].
    """
    return mask[:, None, :] & (distance >= 0)


def first_only(values: Tensor, item_id: Tensor, mask: Tensor) -> Tensor:
    """Puts the values of an item that stands in a history again to the first time it stands there.

    Their sum stays the same, yet an item has one value that is not zero. On a GPU a sum by place
    adds in any order, so that three values of an item may come out in two ways; one cannot. On the
    CPU, where the order is fixed, values are returned as they are.

    Args:
        values: One a visible history step and zero elsewhere, [B, T, L].
        item_id: Long tensor [B, L].
        mask: Bool tensor [B, L].
    """
    if values.device.type == "cpu":
        return values
    same = item_id[:, :, None] == item_id[:, None, :]  # [B, L, L]
    again = (same & mask[:, None]).tril(-1).any(2)
    with full_precision(values.device):
        total = values @ same.to(values.dtype)  # [B, T, L] @ [B, L, L] -> [B, T, L]
    return total * (mask & ~again)[:, None]


def taken_keys(batch: SequenceBatch, num_items: int) -> Tensor:
    """Keys ``row * N + item`` of all that the users have taken, read or not, each once [P], sorted.

    Args:
        batch: Histories.
        num_items: N.
    """
    return torch.unique(torch.cat([part[0] for part in _steps(batch, num_items)]))


def _steps(batch: SequenceBatch, num_items: int) -> list[tuple[Tensor, Tensor | None]]:
    """Keys of the steps that are read, with their places, and of those before."""
    row, step = batch.mask.nonzero(as_tuple=True)
    parts: list[tuple[Tensor, Tensor | None]] = [
        (row * num_items + batch.item_id[row, step], torch.stack([row, step]))
    ]
    if batch.older is not None:
        parts.append((batch.older[0] * num_items + batch.older[1], None))
    return parts


class HistoryBias(nn.Module):
    r"""Adds a learned value to the scores of the items in the history (ours).

    .. math::
        s^{\prime}(u, j) = s(u, j) + \sum_{i \in \mathcal{H}_u : i = j} \gamma_{d(i)}

    with :math:`d(i)` the number of steps that item :math:`i` lies back. Input and output share
    the item table, so a plain model puts the items just seen on top; where nobody buys twice
    this costs much of the NDCG when seen items are not masked, and where people do buy again
    the bias learns that instead. The history is all that was taken: items further back than the
    model reads are known by ``batch.older`` and share the last value.

    Args:
        max_length: Largest number of history steps that are read.
        scale: Size of a unit of the parameter. The scores are of order 10, so a parameter of
            unit scale would hardly move at a learning rate of 1e-3. (default: ``10.0``)

    Shapes:
        - **input:** scores :math:`(B, T, N)`, items :math:`(B, L)`, mask :math:`(B, L)`
        - **output:** scores :math:`(B, T, N)`

    Raises:
        ValueError: ``max_length`` is below 1.
    """

    def __init__(self, max_length: int, scale: float = 10.0) -> None:
        super().__init__()
        if max_length < 1:
            raise ValueError(f"'max_length' must be at least 1 (got {max_length})")
        check_finite(scale=scale)
        self.max_length = max_length
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(max_length))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts without any bias."""
        nn.init.zeros_(self.weight)

    @property
    def gamma(self) -> Tensor:
        """The bias of an item d steps back, [max_length]."""
        return self.scale * self.weight

    def values(self, mask: Tensor, newest_only: bool) -> Tensor:
        """The bias of every visible history step, zero elsewhere: [B, T, L]."""
        distance = steps_back(mask.size(1), newest_only, mask.device)
        gamma = self.gamma[distance.clamp(0, self.max_length - 1)]  # [T, L]
        return gamma * visible_steps(mask, distance)

    def summed(self, item_id: Tensor, mask: Tensor, newest_only: bool) -> Tensor:
        """:meth:`values` as they may be added by item on any device, see :func:`first_only`."""
        return first_only(self.values(mask, newest_only), item_id, mask)

    def forward(self, scores: Tensor, item_id: Tensor, mask: Tensor) -> Tensor:
        """Adds the bias out of place.

        Args:
            scores: [B, T, N], T = L (every step is a query) or 1 (the newest step).
            item_id: Long tensor [B, L], left-padded.
            mask: Bool tensor [B, L].
        """
        return scores.scatter_add(2, *self._added(scores, item_id, mask))

    def add_(self, scores: Tensor, item_id: Tensor, mask: Tensor) -> Tensor:
        """:meth:`forward` in place."""
        return scores.scatter_add_(2, *self._added(scores, item_id, mask))

    def _added(self, scores: Tensor, item_id: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        values = self.summed(item_id, mask, newest_only=scores.size(1) == 1)
        return item_id[:, None, :].expand_as(values), values.to(scores.dtype)

    def steps(self, batch: SequenceBatch, num_items: int) -> tuple[Tensor, Tensor]:
        """The bias of every step of the histories, read or not, for the newest step as the query.

        Args:
            batch: Histories.
            num_items: N.

        Returns:
            Keys ``row * N + item`` [P], one a step, unordered, and the biases [P].
        """
        keys, values = [], []
        for key, place in _steps(batch, num_items):
            keys.append(key)
            if place is None:
                values.append(self.gamma[-1].expand(len(key)))
            else:
                values.append(self.values(batch.mask, newest_only=True)[place[0], 0, place[1]])
        return torch.cat(keys), torch.cat(values)

    def add_older_(self, scores: Tensor, batch: SequenceBatch) -> Tensor:
        """Adds the bias of the steps before those that are read, in place, to scores [B, N]."""
        if batch.older is None:
            return scores
        bias = self.gamma[-1].to(scores.dtype).expand(batch.older.size(1))
        return scores.index_put_((batch.older[0], batch.older[1]), bias, accumulate=True)

    def extra_repr(self) -> str:
        """Shows the settings."""
        return f"max_length={self.max_length}, scale={self.scale}"


def leave_out_history_bias(model: nn.Module) -> bool:
    """Takes the history bias out of a model, which has to be a copy that nobody else scores with.

    Every :class:`HistoryBias` in the model becomes zero, whatever it is called, and so does an
    attribute ``history_bias`` that is a number, as :class:`~mdsrec_pyg.EASE` has it, or a tensor.
    Where zero is not as if there were none, a module has a method ``leave_out_history_bias()`` that
    says how it goes without, and returns whether it had any. A property stays what it is.

    Returns:
        Whether there was any.
    """
    found = False
    for module in list(model.modules()):
        own = getattr(module, "leave_out_history_bias", None)
        if callable(own):
            found |= bool(own())
        elif isinstance(module, HistoryBias):
            module.weight = _zero(module.weight)  # the copy's own
            found = True
        elif not isinstance(getattr(type(module), "history_bias", None), property):
            none = _zero(getattr(module, "history_bias", None))
            if none is not None:
                setattr(module, "history_bias", none)  # noqa: B010 (typed as a module)
                found = True
    return found


def _zero(bias: Any) -> Any:
    """In place of a bias that is a tensor or a number; None for anything else."""
    if isinstance(bias, nn.Parameter):
        return nn.Parameter(torch.zeros_like(bias), requires_grad=False)
    if isinstance(bias, Tensor):
        return torch.zeros_like(bias)
    return 0.0 if isinstance(bias, Real) and not isinstance(bias, bool) and bias else None


def learns_history_bias(model: nn.Module) -> bool:
    """Whether a model has a :class:`HistoryBias`, in the votes or beside the vectors."""
    return any(isinstance(module, HistoryBias) for module in model.modules())
