"""A trained model as a service over HTTP (extra ``serve``)."""

from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.start import create_app, serve

__all__ = ["ServiceConfig", "create_app", "serve"]
