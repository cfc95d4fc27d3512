"""Callbacks: own code at fixed points of a training run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from torch import Tensor

from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.training.run_folder import History

__all__ = ["Callback", "TrainingContext"]


@dataclass
class TrainingContext:
    """What a callback sees of a run; the same object in every call.

    Args:
        trainer: The :class:`~mdsrec_pyg.training.Trainer`.
        model: The model in training.
        history: The finished epochs.
        epoch: The epoch at work, from 1; in ``on_start`` and ``on_end`` the last finished one.
        step: Optimizer steps so far, over all epochs.
        loss: Loss of the last step, a detached scalar on the model's device; reading it, by
            ``float(context.loss)``, waits for the device. ``None`` before the first step.
        row: Row of the last finished epoch, as in :class:`~mdsrec_pyg.training.History`. Numbers
            put into it by ``on_best`` or ``on_epoch`` reach ``metrics.jsonl`` and the loggers;
            what is no finite number is an error.
        status: ``'running'``; in ``on_end`` ``'finished'``, ``'stopped'`` (by a callback),
            ``'interrupted'`` (Ctrl-C) or ``'failed'`` (an exception is on its way).
        stop_reason: What :meth:`stop` was given.
    """

    trainer: Any  # no annotation of the class: it would close an import circle
    model: SequentialRecommender
    history: History
    epoch: int = 0
    step: int = 0
    loss: Tensor | None = None
    row: dict[str, Any] = field(default_factory=dict)
    status: str = "running"
    stop_reason: str | None = None

    def stop(self, reason: str) -> None:
        """Ends the run when the present round of callbacks is over.

        Within an epoch, that epoch is given up as after Ctrl-C: the run keeps the finished ones.

        Args:
            reason: Is logged and kept in ``history.stopped_by``; must not be empty.
        """
        if not reason:
            raise ValueError(f"'reason' must not be empty (got {reason!r})")
        self.stop_reason = self.stop_reason or reason


class Callback:
    """Base class of callbacks: override what you need, the rest does nothing.

    An exception ends the run and reaches the caller of ``fit``; the files of the finished epochs
    are in order then, those of the epoch too if it came from ``on_best`` or ``on_epoch``. Change
    weights in ``on_start`` and ``on_step`` only: later the epoch's metrics would not be theirs.
    What is drawn from the global random generators changes the course of the run.

    Example:
        >>> class StopAt(Callback):
        ...     def __init__(self, name: str, value: float) -> None:
        ...         self.name, self.value = name, value
        ...
        ...     def on_epoch(self, context: TrainingContext) -> None:
        ...         if context.row.get(self.name, 0.0) >= self.value:
        ...             context.stop(f"{self.name} has reached {self.value}")
        >>> Trainer(model, callbacks=[StopAt("ndcg@10", 0.1)]).fit(split.train, split.val)
    """

    def on_start(self, context: TrainingContext) -> None:
        """Before the first epoch of this call of ``fit``, after the state of a resumed run."""

    def on_step(self, context: TrainingContext) -> None:
        """After each optimizer step; costs nothing where no callback overrides it."""

    def on_best(self, context: TrainingContext) -> None:
        """After an epoch with a new best value, before its ``on_epoch`` and its files."""

    def on_epoch(self, context: TrainingContext) -> None:
        """After each epoch and its evaluation, before its files are written."""

    def on_end(self, context: TrainingContext) -> None:
        """Once, however the run ends; the model holds its best weights unless it failed."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: tensors and plain Python values, kept in ``last.pt``."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state_dict` returned, where it was not empty."""


class CallbackList:
    """Calls the callbacks of a run in their order.

    Args:
        callbacks: The callbacks.
        context: What they are given.

    Raises:
        ValueError: If one is no :class:`Callback`.
    """

    def __init__(self, callbacks: Iterable[Callback], context: TrainingContext) -> None:
        self.callbacks, self.context = list(callbacks), context
        self.wants_steps = [one for one in self.callbacks if _overrides_on_step(one)]

    def call(self, point: str) -> None:
        """Calls ``'on_start'``, ``'on_best'`` or ``'on_epoch'`` of each."""
        for callback in self.callbacks:
            try:
                getattr(callback, point)(self.context)
            finally:  # the row is written whatever happens
                refused = _make_plain(self.context.row)
            if refused:
                name, value = refused.popitem()
                raise ValueError(
                    f"'row' must get finite numbers (got {value!r} as {name!r} by "
                    f"{type(callback).__name__})"
                )
            self._note_stop(callback)

    def step(self, loss: Tensor, step: int) -> bool:
        """Calls ``on_step`` of those that override it; whether the run must stop."""
        self.context.loss, self.context.step = loss, step
        for callback in self.wants_steps:
            callback.on_step(self.context)
            self._note_stop(callback)
        return self.stopped

    @property
    def stopped(self) -> bool:
        """Whether a callback has stopped the run."""
        return self.context.stop_reason is not None

    def _note_stop(self, callback: Callback) -> None:
        if self.stopped and self.context.history.stopped_by is None:
            name, reason = type(callback).__name__, self.context.stop_reason
            self.context.history.stopped_by = f"{name}: {reason}"

    def state_dict(self) -> list[dict[str, Any]]:
        """Class and state of each callback that has a state."""
        states = [(type(one).__qualname__, one.state_dict()) for one in self.callbacks]
        return [{"callback": name, "state": state} for name, state in states if state]

    def load_state_dict(self, saved: Iterable[dict[str, Any]]) -> None:
        """Gives each state to the first callback of its class that has none yet.

        Raises:
            ValueError: If there is no such callback: the run would not go on as it was.
        """
        waiting = list(self.callbacks)
        for entry in saved:
            name = entry["callback"]
            fitting = [one for one in waiting if type(one).__qualname__ == name]
            if not fitting:
                held = ", ".join(type(one).__qualname__ for one in self.callbacks) or "none"
                raise ValueError(
                    f"to resume, 'callbacks' must hold a {name}, whose state the run has kept "
                    f"(got {held})"
                )
            waiting.remove(fitting[0])
            fitting[0].load_state_dict(entry["state"])


def _make_plain(row: dict[str, Any]) -> dict[str, Any]:
    """Makes numbers of NumPy and torch numbers of Python; takes out and returns all else."""
    refused = {}
    for name, value in list(row.items()):
        number = value.item() if getattr(value, "ndim", None) == 0 else value
        if isinstance(number, (int, float)) and isfinite(number):
            row[name] = number
        else:
            refused[name] = row.pop(name)
    return refused


def check_callbacks(callbacks: Iterable[Callback]) -> tuple[Callback, ...]:
    """The callbacks as a tuple; one that is no :class:`Callback` is an error."""
    if not isinstance(callbacks, Iterable):
        raise ValueError(f"'callbacks' must be a list of callbacks (got {callbacks!r})")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ValueError(
                "'callbacks' must be instances of Callback (got "
                f"{getattr(callback, '__name__', type(callback).__name__)})"
            )
    return callbacks


def _overrides_on_step(callback: Callback) -> bool:
    return getattr(callback.on_step, "__func__", None) is not Callback.on_step
