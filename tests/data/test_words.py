import pytest

from mdsrec_pyg.data.words import counted


@pytest.mark.parametrize(
    ("number", "thing", "said"),
    [
        (0, "item", "0 items"),
        (1, "item", "1 item"),
        (1, "modality", "1 modality"),
        (2, "modality", "2 modalities"),
        (12_345, "query", "12,345 queries"),
    ],
)
def test_one_is_one(number: int, thing: str, said: str) -> None:
    assert counted(number, thing) == said
    assert counted(3, "child", "children") == "3 children"
