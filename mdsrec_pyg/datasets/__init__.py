"""Data sets, one source a file."""

from mdsrec_pyg.datasets.atomic import read_atomic
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.folder import FolderDataset
from mdsrec_pyg.datasets.synthetic import SyntheticDataset

__all__ = ["FolderDataset", "RecommendationDataset", "SyntheticDataset", "read_atomic"]
