"""A trained model over a catalog that grows: further items, and newer interactions.

``kept``: what a model was built from. ``items``: a model with further items. ``refit``: a model
over newer interactions. ``model``: the two as methods of the model.
"""

from mdsrec_pyg.nn.models.growing.kept import BuiltFrom

__all__ = ["BuiltFrom"]
