"""The page that ``mdsrec serve`` shows: one HTML file with styles and modules, no outside request."""

from mdsrec_pyg.serving.page.routes import add_page

__all__ = ["add_page"]
