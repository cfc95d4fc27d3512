"""Options of the trainer."""

from __future__ import annotations

from dataclasses import dataclass

from mdsrec_pyg.configs import Config, check_at_least, check_one_of
from mdsrec_pyg.data.sequences import BATCH_SIZE
from mdsrec_pyg.evaluation.metrics import metric_cutoff

__all__ = ["TrainerConfig"]


@dataclass(frozen=True, kw_only=True)
class TrainerConfig(Config):
    """Options of :class:`~mdsrec_pyg.training.Trainer`: all that decides the course of a run.

    Args:
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        epochs: Most epochs to train.
        batch_size: Sequences in a training step.
        patience: Evaluations without a new best value after which training stops.
        monitor: ``'ndcg@k'``, ``'recall@k'`` or ``'mrr'`` on the validation split.
        warmup_steps: Steps over which the learning rates rise.
        grad_clip: Largest norm of the whole gradient; ``None``: no limit.
        average_epochs: Epochs over which the weights are averaged, by an exponential moving
            average of each step; what is validated, kept and left in the model is the average.
            ``None``: the weights as they are.
        precision: ``'float32'``, or ``'bfloat16'`` for autocast of the loss, on CUDA only; scores
            and softmax stay in float32.
        tf32: Lets float32 products round their factors to ten bits (TensorFloat-32), on CUDA only;
            False forbids it, whatever is set outside.
        compile: Runs forward and backward pass of a step as one CUDA graph for each shape of a
            batch, elsewhere compiled by ``torch.compile``. Batches are then filled up to few
            shapes; the loss must not wait for the device.
        shuffle_ties: Shuffles interactions of a user with equal timestamps in each epoch.
        stride: New positions of each further window of a long history; ``None``: ``max_length``
            of the model.
        exclude_seen: Whether seen items are masked when the monitored metric is computed. ``None``
            asks the model: kept as candidates where it learns what to add to the scores of items
            of the history (:class:`~mdsrec_pyg.nn.HistoryBias`), masked where it does not, as the
            metric would mostly say how well it avoids repeating the history then. Log, settings
            and rows of a run hold the answer.
        eval_every: Epochs between two evaluations; must divide ``epochs``.
        eval_batch_size: Queries scored at a time.
        seed: Of dropout, the order of the batches and everything else random in training.

    Raises:
        ValueError: An option out of range.
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    epochs: int = 200
    batch_size: int = BATCH_SIZE
    patience: int = 10
    monitor: str = "ndcg@10"
    warmup_steps: int = 0
    grad_clip: float | None = None
    average_epochs: float | None = None
    precision: str = "float32"
    tf32: bool = False
    compile: bool = False
    shuffle_ties: bool = False
    stride: int | None = None
    exclude_seen: bool | None = None
    eval_every: int = 1
    eval_batch_size: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 1, "epochs", "batch_size", "patience", "eval_every", "eval_batch_size")
        check_at_least(self, 1, "stride")
        check_at_least(self, 0, "weight_decay", "warmup_steps", "seed")
        for name in ("lr", "grad_clip", "average_epochs"):
            value = getattr(self, name)
            without = value is None and name != "lr"
            if not without and (value is None or not 0 < value < float("inf")):
                raise ValueError(f"{name!r} must be positive and finite (got {value})")
        if self.epochs % self.eval_every:
            raise ValueError(
                f"'eval_every' must divide 'epochs', else the last epochs are trained in vain "
                f"(got eval_every={self.eval_every}, epochs={self.epochs})"
            )
        if self.seed >= 2**32:
            raise ValueError(f"'seed' must be less than 2**32 (got {self.seed})")
        check_one_of(self, "precision", "float32", "bfloat16")
        metric_cutoff(self.monitor)
