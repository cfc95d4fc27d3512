"""Fitting a model: epochs, early stopping, checkpoints, callbacks, loggers; runs."""

from mdsrec_pyg.training.baselines import fit_baselines
from mdsrec_pyg.training.callbacks import Callback, TrainingContext
from mdsrec_pyg.training.checkpoint import load_weights
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.loggers import (
    LineLogger,
    Logger,
    MLflowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from mdsrec_pyg.training.plots import plot_learning
from mdsrec_pyg.training.run_config import RunConfig, preset_options, synthetic_settings
from mdsrec_pyg.training.run_folder import History
from mdsrec_pyg.training.run_texts import write_texts
from mdsrec_pyg.training.runs import Run, TrainedRun, train_run
from mdsrec_pyg.training.trainer import Trainer
from mdsrec_pyg.training.updates import update_model

__all__ = [
    "Callback",
    "History",
    "LineLogger",
    "Logger",
    "MLflowLogger",
    "Run",
    "RunConfig",
    "TensorBoardLogger",
    "TrainedRun",
    "Trainer",
    "TrainerConfig",
    "TrainingContext",
    "WandbLogger",
    "fit_baselines",
    "load_weights",
    "plot_learning",
    "preset_options",
    "synthetic_settings",
    "train_run",
    "update_model",
    "write_texts",
]
