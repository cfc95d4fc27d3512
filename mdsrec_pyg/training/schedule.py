"""Learning rates of a run: a scheduler of torch, times a linear warm-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

#: Makes the scheduler of a run from its optimizer.
MakeScheduler: TypeAlias = Callable[[Optimizer], LRScheduler]

# Attributes of torch's schedulers that say how far they are, not what they are.
PROGRESS = {"base_lrs", "best", "cooldown_counter", "last_epoch", "mode_worse", "num_bad_epochs"}
GROUP = {"params", "lr", "initial_lr"}  # compared with the parameter groups


class Schedule:
    r"""Takes the optimizer's steps, each with its learning rate.

    .. math::
        \eta_t = \min(1, t / T_{\text{warm-up}}) \cdot \eta^{\text{scheduler}}_t

    for the steps :math:`t = 1, 2, \ldots` The two stay apart: schedulers of torch derive the next
    rate from the last one, so the warm-up scales the rates of a step and puts them back after it.

    Args:
        optimizer: Its groups hold the rates at which the schedule starts.
        warmup_steps: Steps over which the rates rise; 0: none.
        make: Makes a scheduler of :mod:`torch.optim.lr_scheduler`; ``None``: constant rates.
        interval: ``'epoch'`` or ``'step'``: when the scheduler steps.
        monitor: The metric that :class:`~torch.optim.lr_scheduler.ReduceLROnPlateau` is given.

    Raises:
        ValueError: If ``make`` returns no scheduler of the optimizer, or a plateau scheduler that
            waits for the metric to fall, or that would step without one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int = 0,
        make: MakeScheduler | None = None,
        interval: str = "epoch",
        monitor: str = "",
    ) -> None:
        self.optimizer, self.warmup_steps, self.interval = optimizer, warmup_steps, interval
        self.step = 0  # steps of the optimizer so far
        self.lr = float(optimizer.param_groups[0]["lr"])  # of the first group in the last step
        self.scheduler = None if make is None else _make(make, optimizer)
        if self.scheduler is not None:
            _check_scheduler(self.scheduler, optimizer, interval, monitor)

    def take_step(self) -> None:
        """One step of the optimizer."""
        self.step += 1
        groups = self.optimizer.param_groups
        scale = min(1.0, self.step / self.warmup_steps) if self.warmup_steps else 1.0
        rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * scale
        self.lr = float(groups[0]["lr"])
        self.optimizer.step()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        if self.scheduler is not None and self.interval == "step":
            self.scheduler.step()

    def end_epoch(self, metric: float | None) -> None:
        """Steps the scheduler where it goes by epochs.

        Args:
            metric: Monitored metric of the epoch; ``None`` where it was not evaluated, and a
                plateau scheduler waits.
        """
        if self.scheduler is None or self.interval != "epoch":
            return
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
        elif metric is not None:
            self.scheduler.step(metric)

    def describe(self) -> str | None:
        """The scheduler with its parameters; ``None`` without one."""
        if self.scheduler is None:
            return None
        extra = [
            f"{key}={value}"
            for key, value in sorted(self.optimizer.param_groups[0].items())
            if key not in GROUP and key not in self.optimizer.defaults
        ]
        text = f"{describe_scheduler(self.scheduler)} each {self.interval}"
        return ", ".join([text, *extra])

    def state_dict(self) -> dict[str, Any] | None:
        """State of the scheduler; the optimizer's holds the learning rates."""
        return None if self.scheduler is None else self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None, step: int) -> None:
        """Goes on where a run stopped, after its optimizer's state was loaded.

        Args:
            state: What :meth:`state_dict` returned.
            step: Steps taken so far.
        """
        self.step = step
        if self.scheduler is not None and state is not None:
            self.scheduler.load_state_dict(state)
        else:  # checkpoints of before there was a schedule hold the rates of the warm-up
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"]


def describe_scheduler(scheduler: LRScheduler) -> str:
    """Class and parameters, such as ``StepLR(gamma=0.1, step_size=5)``; functions by their name."""
    parts = []
    for name, value in sorted(vars(scheduler).items()):
        if name == "_schedulers":
            parts += [describe_scheduler(part) for part in value]
        elif name == "_milestones" or (
            name not in PROGRESS and not name.startswith("_") and name != "optimizer"
        ):
            parts.append(f"{name.lstrip('_')}={_describe(value)}")
    return f"{type(scheduler).__name__}({', '.join(parts)})"


def _describe(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_describe, value))}]"
    if not callable(value):
        return repr(value)
    # Not repr: it holds an address, which differs in the process that resumes the run.
    return getattr(value, "__qualname__", type(value).__qualname__)


def _make(make: MakeScheduler, optimizer: Optimizer) -> LRScheduler:
    try:
        return make(optimizer)
    except TypeError as error:
        if not isinstance(make, type):
            raise
        name = make.__name__
        raise ValueError(
            "'scheduler' must be a function that makes one from the optimizer, such as 'lambda "
            f"optimizer: {name}(optimizer, ...)' (got the class {name}: {error})"
        ) from error


def check_scheduler_options(make: object, interval: str) -> None:
    """Raises an error that names the first of the trainer's two arguments that cannot be."""
    if make is not None and not callable(make):
        raise ValueError(
            "'scheduler' must be a function that makes one from the optimizer, such as "
            f"'lambda optimizer: StepLR(optimizer, 5)' (got {type(make).__name__})"
        )
    if interval not in ("epoch", "step"):
        raise ValueError(f"'scheduler_interval' must be 'epoch' or 'step' (got {interval!r})")
    if make is None and interval != "epoch":
        raise ValueError(f"'scheduler_interval' needs a 'scheduler' (got {interval!r} and None)")


def _check_scheduler(scheduler: object, optimizer: Optimizer, interval: str, monitor: str) -> None:
    if not isinstance(scheduler, LRScheduler):
        raise ValueError(
            "'scheduler' must return a scheduler of torch.optim.lr_scheduler (got "
            f"{type(scheduler).__name__})"
        )
    if scheduler.optimizer is not optimizer:
        raise ValueError("'scheduler' must return a scheduler of the optimizer that it is given")
    if isinstance(scheduler, ReduceLROnPlateau):
        if scheduler.mode != "max":
            raise ValueError(
                f"'scheduler' must be ReduceLROnPlateau(mode='max'), as a larger {monitor} is "
                f"better (got mode={scheduler.mode!r})"
            )
        if interval != "epoch":
            raise ValueError(
                "'scheduler_interval' must be 'epoch' for ReduceLROnPlateau, which needs the "
                f"metric of an epoch (got {interval!r})"
            )
