"""The average of a model's weights over the steps of its training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AveragedWeights:
    r"""Exponential moving average of the trainable weights.

    .. math::
        \bar{\theta}_t = \bar{\theta}_{t-1}
        + \max\bigl(\tfrac{1}{t}, \tfrac{1}{w}\bigr) (\theta_t - \bar{\theta}_{t-1})

    The plain mean of the first w steps, and of exponentially falling weights from there on: Adam
    with a constant rate jumps around what it looks for (Polyak and Juditsky, 1992; Izmailov et
    al., 2018, arXiv 1803.05407).

    Args:
        model: The model, on its device.
        window: w, in steps, at least 1.
    """

    def __init__(self, model: nn.Module, window: float) -> None:
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(named), list(named.values())
        self.window = max(1.0, window)
        self.values = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes the weights in.

        Args:
            step: How many steps were taken so far, t.
        """
        average = get_ema_multi_avg_fn(1 - max(1 / step, 1 / self.window))
        average(self.values, [parameter.detach() for parameter in self.parameters], step)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average inside the block, and its own weights afterwards."""
        own = [parameter.detach().clone() for parameter in self.parameters]
        self._give(self.values)
        try:
            yield
        finally:
            self._give(own)

    @torch.no_grad()
    def _give(self, values: list[Tensor]) -> None:
        # In place: a captured step reads the weights where they were.
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Tensor]:
        """The average by the names of the weights."""
        return dict(zip(self.names, self.values, strict=True))

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Goes on from what :meth:`state_dict` returned."""
        for value, name in zip(self.values, self.names, strict=True):
            value.copy_(state[name])
