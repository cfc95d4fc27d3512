"""The page that ``mdsrec serve`` shows: one HTML file with its styles and modules."""

from mdsrec_pyg.serving.page.routes import add_page

__all__ = ["add_page"]
