"""Every source by name, through the example that writes a folder, and every split by name."""

from pathlib import Path

import pytest

from mdsrec_pyg.data import Interactions, leave_last_out, temporal_split
from mdsrec_pyg.datasets import SOURCES, SPLITS, FolderDataset, RecommendationDataset

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(
    f"{n % 3},{n % 5},{n % 2 + 3.5},{964_982_703 + n}\n" for n in range(30)
)
MOVIES = "movieId,title,genres\n" + "".join(f"{n},Film {n},Drama\n" for n in range(5))


def test_prepare_data(tmp_path, run_script):
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "movies.csv").write_text(MOVIES)
    arguments = ["movielens", tmp_path, "--set", "min_rating=4", "k_core=null", "repeats=last"]
    out = tmp_path / "out"
    said = run_script(EXAMPLES, "prepare_data.py", *arguments, "--out", out)
    assert "rated at least 4" in said
    assert f"written to {out}" in said
    dataset = FolderDataset(out, min_interactions=1)
    assert dataset.meta["options"]["min_rating"] == 4
    assert dataset.meta["options"]["k_core"] is None
    assert len(dataset.interactions) == 15
    with pytest.raises(SystemExit, match=r"error: --set must name one of version, .*got 'rating'"):
        run_script(EXAMPLES, "prepare_data.py", *arguments[:3], "rating=4", "--out", out)
    with pytest.raises(SystemExit, match=r"error: --set must give genres a value"):
        run_script(EXAMPLES, "prepare_data.py", *arguments[:3], "genres", "--out", out)
    with pytest.raises(SystemExit, match=r"error: 'root' must hold ratings\.dat"):
        run_script(EXAMPLES, "prepare_data.py", *arguments[:3], "version=1m", "--out", out)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_says_where_its_data_are(tmp_path, name):
    read = SOURCES[name]
    text = read.__doc__ or ""
    assert "https://" in text or "http://" in text
    assert "terms" in text.lower()
    assert "Raises:" in text
    with pytest.raises(ValueError, match="'root' must be a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="'root'"):
        read(tmp_path)


def test_splits_by_name():
    rows = Interactions.from_arrays([0] * 8, range(8), range(8))
    labels = ["train"] * 5 + ["val", "test", "test"]
    dataset = RecommendationDataset("toy", rows, labels=labels)
    assert SPLITS["given"](dataset).test.target.tolist() == [6, 7]
    assert SPLITS["leave_last_out"](dataset).method == leave_last_out(rows).method
    assert SPLITS["temporal"](dataset).method == temporal_split(rows).method
    dataset = RecommendationDataset("toy", rows, labels=["test", *labels[1:]])
    assert SPLITS["given_by_label"](dataset).test.target.tolist() == [0, 6, 7]
    with pytest.raises(ValueError, match="order='label'"):
        SPLITS["given"](dataset)
