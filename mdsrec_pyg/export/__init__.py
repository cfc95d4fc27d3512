"""Programs that answer without this library: ONNX, or ``torch.export``.

Any module from histories to scores is written by this folder; which one a model makes of itself
stands beside the models, :mod:`mdsrec_pyg.nn.models.dense`.
"""

from mdsrec_pyg.export.folder import ExportedModel, write_export
from mdsrec_pyg.export.program import Program

__all__ = ["ExportedModel", "Program", "write_export"]
