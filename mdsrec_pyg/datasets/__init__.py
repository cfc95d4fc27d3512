"""Data sets, one source a file."""

from collections.abc import Callable

from mdsrec_pyg.datasets.amazon import AmazonReviewsDataset
from mdsrec_pyg.datasets.atomic import read_atomic
from mdsrec_pyg.datasets.csv_files import from_csv
from mdsrec_pyg.datasets.dataframe import from_dataframe
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.folder import FolderDataset
from mdsrec_pyg.datasets.hm import HMDataset
from mdsrec_pyg.datasets.lastfm_1k import LastFM1KDataset
from mdsrec_pyg.datasets.lastfm_2k import LastFM2KDataset
from mdsrec_pyg.datasets.mmrec import MMRecDataset
from mdsrec_pyg.datasets.movielens import MovieLensDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawFeature, RawInteractions, RawItems, Step
from mdsrec_pyg.datasets.recbole import RecBoleDataset
from mdsrec_pyg.datasets.splitting import SPLITS
from mdsrec_pyg.datasets.synthetic import SyntheticDataset
from mdsrec_pyg.datasets.text import clean_text, item_text
from mdsrec_pyg.datasets.unisrec import UniSRecDataset

__all__ = [
    "SOURCES",
    "SPLITS",
    "AmazonReviewsDataset",
    "FolderDataset",
    "HMDataset",
    "LastFM1KDataset",
    "LastFM2KDataset",
    "MMRecDataset",
    "MovieLensDataset",
    "RawFeature",
    "RawInteractions",
    "RawItems",
    "RecBoleDataset",
    "RecommendationDataset",
    "Step",
    "SyntheticDataset",
    "UniSRecDataset",
    "clean_text",
    "from_csv",
    "from_dataframe",
    "item_text",
    "prepare",
    "read_atomic",
]

#: Readers of raw files whose first argument is the folder, by name.
SOURCES: dict[str, Callable[..., RecommendationDataset]] = {
    "hm": HMDataset,
    "lastfm-1k": LastFM1KDataset,
    "lastfm-2k": LastFM2KDataset,
    "mmrec": MMRecDataset,
    "movielens": MovieLensDataset,
    "recbole": RecBoleDataset,
    "unisrec": UniSRecDataset,
}
