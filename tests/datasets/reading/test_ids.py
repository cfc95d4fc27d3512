import numpy as np
import pyarrow as pa
import pytest

from mdsrec_pyg.datasets.reading import ids
from mdsrec_pyg.datasets.reading.ids import IdEncoder


@pytest.mark.parametrize("flush", [1, 7, 10**6])
def test_numbers_in_the_order_of_the_first_row(monkeypatch, flush):
    monkeypatch.setattr(ids, "FLUSH", flush)
    rng = np.random.default_rng(0)
    chunks = [[f"ü{i}" for i in rng.integers(40, size=n)] for n in (5, 0, 1, 30, 12)]
    encoder = IdEncoder()
    for chunk in chunks:
        encoder.add(pa.array(chunk, pa.string()))
    code, raw = encoder.finish()
    rows = [name for chunk in chunks for name in chunk]
    assert raw.tolist() == list(dict.fromkeys(rows))
    assert raw[code].tolist() == rows
    assert code.dtype == np.int64


def test_nothing():
    code, raw = IdEncoder().finish()
    assert len(code) == len(raw) == 0
