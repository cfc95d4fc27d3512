"""A model on disk, by way of ``standalone.py``: its folder, its tensors, its card, the Hub."""

from mdsrec_pyg.nn.models.saving.card import ModelCard

__all__ = ["ModelCard"]
