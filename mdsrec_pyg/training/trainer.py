"""Training of a sequential recommender: early stopping, checkpoints, resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from os import PathLike
from typing import Any

import torch

from mdsrec_pyg.configs import check_device, configure
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.io import claim
from mdsrec_pyg.memory import named_memory_errors
from mdsrec_pyg.nn.mode import uncompiled
from mdsrec_pyg.nn.models.base import Recommender, SequentialRecommender
from mdsrec_pyg.seed import preserved_random_state, seed_everything
from mdsrec_pyg.training.average import AveragedWeights
from mdsrec_pyg.training.callbacks import (
    Callback,
    CallbackList,
    TrainingContext,
    check_callbacks,
)
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.loggers import LineLogger, Logger, check_loggers
from mdsrec_pyg.training.loop import make_loader, train_epoch, validate
from mdsrec_pyg.training.optimizer import make_optimizer
from mdsrec_pyg.training.run_folder import History, RunFiles
from mdsrec_pyg.training.schedule import MakeScheduler, Schedule, check_scheduler_options
from mdsrec_pyg.training.settings import (
    check_data,
    check_growable,
    describe_training,
    masks_seen,
    training_settings,
)
from mdsrec_pyg.training.signature import built_from
from mdsrec_pyg.training.state import RunState
from mdsrec_pyg.training.step import make_step, tensor_float_32

__all__ = ["History", "Trainer"]


class Trainer:
    """Fits a model by AdamW with early stopping on a validation metric.

    The learning rates are those of ``model.param_groups(lr, weight_decay)``; they rise linearly
    over the first ``warmup_steps`` and stay constant then, or follow ``scheduler``. On one machine
    and the CPU, with the same number of threads and the same version of torch, a run with the same
    seed and the same initial weights repeats bit by bit, whether interrupted and resumed or not.
    Threads and versions are kept with the run; resuming it with others warns.

    Example:
        >>> trainer = Trainer(
        ...     model,
        ...     epochs=20,
        ...     scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=20),
        ...     loggers=[TensorBoardLogger("runs/tensorboard")],
        ... )
        >>> history = trainer.fit(split.train, split.val)

    Args:
        model: The model. Its weights are whatever they are: call
            :func:`~mdsrec_pyg.seed.seed_everything` before building it to repeat them too. One
            that ``torch.compile`` has wrapped is trained as it is: what it compiles is the scores,
            not the loss.
        config: The options, see :class:`~mdsrec_pyg.training.TrainerConfig`.
        device: Default: CUDA if there is one, else the CPU.
        directory: Folder for ``last.pt``, ``best.pt``, ``metrics.jsonl`` and, when the run ends,
            ``model``, which stands alone (:meth:`~mdsrec_pyg.nn.Recommender.load`), with the raw
            ids in ``model.item_ids``; ``None``: no files.
        growable: Whether ``model`` keeps what it was built from, so that it takes in further items
            and newer interactions (:meth:`~mdsrec_pyg.nn.Recommender.save`).
        progress: Shows a progress bar while on a terminal.
        log: Takes the settings and the line of each epoch.
        callbacks: See :class:`~mdsrec_pyg.training.Callback`; called in their order. Their states
            are kept in ``last.pt``.
        loggers: See :class:`~mdsrec_pyg.training.Logger`; besides ``log`` and the files.
        scheduler: Makes a scheduler of :mod:`torch.optim.lr_scheduler` from the optimizer;
            ``None``: constant rates. A warm-up multiplies its rates. It must be the same when a run
            is resumed (functions inside of it are compared by their names only).
        scheduler_interval: Whether the scheduler steps after each ``'epoch'`` or each ``'step'``.
            :class:`~torch.optim.lr_scheduler.ReduceLROnPlateau` is given the monitored metric.
        **options: Some of the options by name, such as ``epochs=20``.

    Raises:
        ValueError: If an option is unknown or out of range, bfloat16 or TF32 is asked for
            without CUDA, or ``growable`` without a folder or of a model that cannot grow.
    """

    def __init__(
        self,
        model: SequentialRecommender,
        config: TrainerConfig | None = None,
        *,
        device: str | torch.device | None = None,
        directory: str | PathLike[str] | None = None,
        growable: bool = False,
        progress: bool = True,
        log: Callable[[str], None] = print,
        callbacks: Iterable[Callback] = (),
        loggers: Iterable[Logger] = (),
        scheduler: MakeScheduler | None = None,
        scheduler_interval: str = "epoch",
        **options: Any,
    ) -> None:
        self.model, self.config = uncompiled(model), configure(TrainerConfig(), config, **options)
        self.directory, self.progress, self.log = directory, progress, log
        self.growable = growable
        if growable:
            check_growable(self.model, directory)
        self.callbacks, self.loggers = check_callbacks(callbacks), check_loggers(loggers)
        self.scheduler, self.scheduler_interval = scheduler, scheduler_interval
        check_scheduler_options(scheduler, scheduler_interval)
        default = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = check_device(default if device is None else device)
        for wanted, option in (
            (self.config.precision == "bfloat16", "precision='bfloat16'"),
            (self.config.tf32, "tf32=True"),
        ):
            if wanted and self.device.type != "cuda":
                raise ValueError(f"{option} needs a CUDA device (got {self.device})")

    def fit(self, train: Interactions, val: EvaluationSplit, resume: bool = False) -> History:
        """Trains the model; leaves it with the weights of the best epoch, in evaluation mode.

        Ctrl-C ends the run after the last finished epoch, with its best weights and files; a loss
        that is not finite leaves them, too. The global random states are afterwards what they were
        before. The directory is claimed meanwhile, see :func:`~mdsrec_pyg.io.claim`.

        Args:
            train: Training interactions.
            val: Validation split for the monitored metric.
            resume: Continues the run in ``directory``. Only ``epochs`` and ``patience`` may have
                grown; another difference is an error. A finished run returns at once; one that a
                callback stopped goes on.

        Raises:
            ValueError: If the model cannot be trained or does not fit the data, the directory
                holds a run (``resume=False``) or none that fits (``resume=True``), or a damaged
                file, or another process trains there.
            OSError: If a file cannot be written; those of the epochs before stay.
            FloatingPointError: If the loss is not finite, or a score of the validation is NaN.
            MemoryError: If a batch does not fit.
        """
        folder = nullcontext() if self.directory is None else claim(self.directory, make=True)
        size = self.config.batch_size
        memory = named_memory_errors("training", f"lower 'batch_size' (it is {size})")
        tf32 = tensor_float_32(self.config.tf32, self.device)
        with folder, preserved_random_state(self.device), tf32, memory:
            run = self._start(train, val, resume)
            description = describe_training(self.model, self.config, self.device, train, val)
            self._train(run, val, description | run.describe())
        return run.history

    def _train(self, run: RunState, val: EvaluationSplit, description: dict[str, str]) -> None:
        """The epochs, between the starts and the ends of loggers and callbacks."""
        context = run.callbacks.context
        with ExitStack() as ends:
            try:
                for logger in run.loggers:
                    logger.start(run.settings, description)
                    ends.callback(run.end_logger, logger)
                for callback in reversed(run.callbacks.callbacks):  # the last in is called first
                    ends.callback(callback.on_end, context)
                self._epochs(run, val)
                self._finish(run)
            except BaseException as error:
                context.status = "failed"
                if isinstance(error, FloatingPointError):
                    run.take_best(self.model)
                raise

    def _epochs(self, run: RunState, val: EvaluationSplit) -> None:
        context, history = run.callbacks.context, run.history
        context.epoch, context.step = len(history), run.schedule.step
        try:
            run.callbacks.call("on_start")
            if run.files is not None:  # before an epoch is lost
                run.files.check_states(run.schedule.state_dict(), run.callbacks.state_dict())
            while (
                len(history) < self.config.epochs
                and run.stale < self.config.patience
                and not run.callbacks.stopped
            ):
                self._epoch(run, val)
        except KeyboardInterrupt:
            history.interrupted = True

    def _finish(self, run: RunState) -> None:
        """The end of a run that did not fail: the best weights, evaluation mode."""
        context, history = run.callbacks.context, run.history
        run.take_best(self.model)
        context.epoch = len(history)
        stopped = "finished" if history.stopped_by is None else "stopped"
        context.status = "interrupted" if history.interrupted else stopped
        if run.files is not None and run.best_weights is not None:
            run.files.save_model(self.model, self.log, self.growable)

    def _start(self, train: Interactions, val: EvaluationSplit, resume: bool) -> RunState:
        model, config = self.model, self.config
        check_data(model, train, val)
        if isinstance(model, Recommender):
            model.item_counts = train.item_counts()  # what a user without a history gets
        if resume and self.directory is None:
            raise ValueError("resume=True needs the 'directory' of the run (got None)")
        model.to(self.device)
        optimizer = make_optimizer(model, config.lr, config.weight_decay)
        loader = make_loader(train, model, config)
        schedule = Schedule(
            optimizer, config.warmup_steps, self.scheduler, self.scheduler_interval, config.monitor
        )
        settings = training_settings(model, config, self.device, schedule, train, val)
        files = None if self.directory is None else RunFiles(self.directory)
        tables = {} if files is None else built_from(model)
        history = History()
        callbacks = CallbackList(self.callbacks, TrainingContext(self, model, history))
        loggers = [LineLogger(self.log), *self.loggers]
        step = make_step(model, optimizer, config, self.device)
        run = RunState(loader, schedule, settings, history, files, tables, callbacks, loggers, step)
        if config.average_epochs is not None:
            run.average = AveragedWeights(model, config.average_epochs * len(loader))
        if resume:
            run.restore(model, self.device)
        else:
            seed_everything(config.seed)
            if files is not None:
                files.prepare()
        return run

    def _epoch(self, run: RunState, val: EvaluationSplit) -> None:
        """Trains and evaluates one epoch, and writes its files."""
        start, history = time.perf_counter(), run.history
        run.callbacks.context.epoch = epoch = len(history) + 1
        kept = f"; {str(self.directory)!r} holds the epochs before"
        loss = train_epoch(
            self.model,
            run.loader,
            run.schedule,
            self.config,
            step=run.step,
            device=self.device,
            epoch=epoch,
            progress=self.progress,
            kept=kept if self.directory and epoch > 1 else "",
            average=run.average,
            after_step=run.callbacks.step if run.callbacks.wants_steps else None,
        )
        if loss is None:  # a callback has stopped the run within the epoch
            return
        row: dict[str, Any] = {"epoch": epoch, "loss": loss}
        if self.scheduler is not None:
            row["lr"] = run.schedule.lr
        try:
            with run.averaged():
                self._judge(run, val, row, start)
        finally:  # the epoch is trained, whatever a callback makes of it
            if len(history) == epoch:
                if run.files is not None:
                    run.files.save(run.content(self.model, self.device))
                for logger in run.loggers:
                    logger.log(row, run.schedule.step, history.best_epoch == epoch)

    def _judge(
        self, run: RunState, val: EvaluationSplit, row: dict[str, Any], start: float
    ) -> None:
        """Evaluates an epoch, completes and adds its row, keeps its weights if it is the best.

        Args:
            run: The run.
            val: Validation split.
            row: What is known of the epoch.
            start: When it began.
        """
        history, context, epoch = run.history, run.callbacks.context, row["epoch"]
        evaluated = epoch % self.config.eval_every == 0
        metrics = validate(self.model, val, self.config, self.progress) if evaluated else {}
        row["seconds"] = round(time.perf_counter() - start, 3)
        if evaluated:
            row |= {"exclude_seen": masks_seen(self.config, self.model), **metrics}
        value = metrics.get(self.config.monitor)
        run.schedule.end_epoch(value)
        history.rows.append(row)
        if value is not None and (history.best_value is None or value > history.best_value):
            run.keep_best(self.model, epoch, value)
        elif evaluated:
            run.stale += 1
        context.row, context.step = row, run.schedule.step
        if history.best_epoch == epoch:
            run.callbacks.call("on_best")
        run.callbacks.call("on_epoch")
