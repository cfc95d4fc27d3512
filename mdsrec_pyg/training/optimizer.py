"""AdamW over the model's parameter groups."""

from __future__ import annotations

import torch

from mdsrec_pyg.nn.models.base import SequentialRecommender

#: Devices for which PyTorch has a fused AdamW.
FUSED = ("cpu", "cuda", "mps", "xpu")


def make_optimizer(
    model: SequentialRecommender, lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW over ``model.param_groups``, which must hold every trainable parameter."""
    groups = model.param_groups(lr, weight_decay)
    parameters = [p for group in groups for p in group["params"]]
    fused = all(p.device.type in FUSED and p.is_floating_point() for p in parameters)
    # One kernel for all parameters; elsewhere PyTorch's own choice, one for each operation.
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=fused or None)
    grouped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in grouped:
            raise ValueError(
                f"{type(model).__name__}.param_groups must hold every trainable parameter "
                f"({name!r} is in none of the groups)"
            )
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def describe_groups(optimizer: torch.optim.Optimizer) -> str:
    """One line a group: learning rate, weight decay and number of weights."""
    return "\n".join(
        f"lr={group['initial_lr']:g} weight_decay={group['weight_decay']:g} "
        f"weights={sum(p.numel() for p in group['params'])}"
        for group in optimizer.param_groups
    )
