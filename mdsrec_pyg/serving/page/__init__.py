"""The page that ``mdsrec serve`` shows: one HTML file with its styles and modules."""

__all__: list[str] = []
