"""Fitting a model: epochs, early stopping, checkpoints, resume."""

from mdsrec_pyg.training.checkpoint import load_weights
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.run_folder import History
from mdsrec_pyg.training.trainer import Trainer

__all__ = ["History", "Trainer", "TrainerConfig", "load_weights"]
