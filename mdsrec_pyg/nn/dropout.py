"""Dropout whose masks are cheap on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Of every model and layer here, where nothing else is said.
DROPOUT = 0.3


def random_bytes(x: Tensor) -> Tensor:
    """A random byte for each element, uint8 of the same shape, on the CPU."""
    draw = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    return draw.view(torch.uint8)[: x.numel()].view(x.shape)


@torch.library.custom_op(
    "mdsrec_pyg::random_bytes", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,)
)
def traced_bytes(x: Tensor) -> Tensor:
    """The same, and the same bytes, for ``torch.compile``, which cannot trace how they are drawn.

    Args:
        x: What they are for, not only its shape: the compiler takes equal calls for one.
    """
    return random_bytes(x).clone()  # an operator returns memory of its own


@traced_bytes.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=torch.uint8)


class Dropout(nn.Dropout):
    """:class:`torch.nn.Dropout`, which draws one byte an element on the CPU.

    PyTorch draws a number of 64 bits for each element there, on one thread: a tenth of a training
    step. A byte is enough where ``p`` is rounded to a multiple of 1/256 (.3 becomes .30078); what
    is kept is scaled by the rounded ``p``, so that the mean stays exact. On other devices, and
    where rounding would drop nothing or all, this is PyTorch's own.

    Args:
        p: Probability of an element to be zeroed. (default: ``0.5``)

    Shapes:
        - **input and output:** any, the same
    """

    def forward(self, x: Tensor) -> Tensor:
        """Zeroes elements in training."""
        dropped = round(self.p * 256)
        if not self.training or x.device.type != "cpu" or not 0 < dropped < 256:
            return super().forward(x)
        draw = traced_bytes if torch.compiler.is_compiling() else random_bytes
        kept = draw(x.detach()) >= dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - dropped))
