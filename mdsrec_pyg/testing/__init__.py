"""Contract tests for models and layers of your own; ours pass the same.

Example:
    >>> from mdsrec_pyg.testing import RecommenderTests, SmallData
    >>> class TestMine(RecommenderTests):
    ...     def factory(self, data: SmallData) -> Mine:
    ...         return Mine(data.num_items)
"""

try:
    import pytest
except ImportError as error:
    raise ImportError("mdsrec_pyg.testing needs pytest: pip install pytest") from error

# Before they are imported: a failed assertion shows its values, as in any test file.
pytest.register_assert_rewrite("mdsrec_pyg.testing.conv", "mdsrec_pyg.testing.recommender")

from mdsrec_pyg.testing.conv import GraphConvTests  # noqa: E402
from mdsrec_pyg.testing.data import SmallData  # noqa: E402
from mdsrec_pyg.testing.recommender import RecommenderTests  # noqa: E402

__all__ = ["GraphConvTests", "RecommenderTests", "SmallData"]
