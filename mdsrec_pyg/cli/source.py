"""What the commands answer from: a run, or a saved model that has none."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.io import settle
from mdsrec_pyg.nn import Recommender
from mdsrec_pyg.nn.models.saving.folder import CONFIG
from mdsrec_pyg.training import Run, RunConfig

__all__ = ["SavedModel", "open_run"]


class SavedModel(Run):
    """A saved model that stands alone, asked as a run is; it names no data set.

    Args:
        directory: The model's folder.
        data: Folder of its data set, for users by name.
    """

    def __init__(self, directory: str | Path, data: str | None = None) -> None:
        self.directory, self.config = Path(directory), RunConfig(data=data)

    @cached_property
    def model(self) -> Recommender:
        """The model."""
        return Recommender.load(self.directory)

    @cached_property
    def dataset(self) -> RecommendationDataset:
        """The data set that is named.

        Raises:
            ValueError: None is.
        """
        if self.config.data is None:
            raise ValueError(
                f"'data' must name the data set of {self.directory}, as a saved model does not "
                "(got None)"
            )
        return self.config.read_data()


def open_run(folder: str | Path, data: str | None = None) -> Run:
    """The run or the saved model in a folder.

    Args:
        folder: Of either.
        data: Folder of the data set where it is not the run's.

    Raises:
        ValueError: There is neither.
    """
    path = Path(folder)
    settle(path)
    return SavedModel(path, data) if (path / CONFIG).is_file() else Run(path, data)
