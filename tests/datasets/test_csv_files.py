import numpy as np
import pytest

from mdsrec_pyg.datasets import FolderDataset, from_csv

# In no order; ann took b twice; ids with a comma, quotes, a tab and other letters.
ORDERS = (
    "when,sku,who,price\n"
    '2020-01-03,b,"ann ""x""",1\n'
    "2020-01-01,ж,bob,2\n"
    '2020-01-01,b,"ann ""x""",3\n'
    '2020-01-02 12:00,"c,\t1","ann ""x""",4\n'
)
ITEMS = 'sku,title,photo\nb,"Red ""shoe"",\nlarge",http://b\n"c,\t1",,\nd,Nobody\'s,http://d\n'
NAMES = {"user": "who", "item": "sku", "timestamp": "when", "text": "title", "image_url": "photo"}
ANN = 'ann "x"'


def write(folder, orders=ORDERS, items=ITEMS):
    (folder / "orders.csv").write_text(orders, encoding="utf-8")
    (folder / "items.csv").write_text(items, encoding="utf-8")
    np.save(folder / "image.npy", np.array([[1.0, 1], [2, 2], [3, 3]]))
    images = folder / "photos"
    images.mkdir()
    (images / "b.jpg").write_bytes(b"")
    (images / "zzz.png").write_bytes(b"")
    return folder


def read(root, *args, **kwargs):
    return from_csv(root / "orders.csv", *args, **{**NAMES, **kwargs})


def table(dataset):
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    return list(zip(users, items, strict=True))


EXPECTED = [(ANN, "b"), (ANN, "c,\t1"), (ANN, "b"), ("bob", "ж")]


def test_everything(tmp_path):
    write(tmp_path)
    dataset = read(tmp_path, tmp_path / "items.csv", {"image": tmp_path / "image.npy"},
                   images=tmp_path / "photos")  # fmt: skip
    assert table(dataset) == EXPECTED
    assert dataset.interactions.timestamp[1] - dataset.interactions.timestamp[0] == 1.5 * 86_400
    assert dataset.item_ids.tolist() == ["b", "ж", "c,\t1"]
    assert dataset.item_text == ['Red "shoe",\nlarge', "", ""]
    assert dataset.image_urls == ["http://b", "", ""]
    assert dataset.features["image"].x.tolist() == [[1, 1], [0, 0], [2, 2]]
    assert dataset.name == "orders"
    assert f"1 of 3 items have an image in {tmp_path / 'photos'}" in dataset.report
    dataset.save(tmp_path / "saved")
    assert table(FolderDataset(tmp_path / "saved", min_interactions=1)) == EXPECTED


def test_options(tmp_path):
    write(tmp_path)
    items = tmp_path / "items.csv"
    order = read(tmp_path, timestamp=None)
    assert order.interactions.timestamp is None
    assert table(order)[:3] == [(ANN, "b"), (ANN, "b"), (ANN, "c,\t1")]
    some = read(tmp_path, images=tmp_path / "photos", require_image=True)
    assert table(some) == [(ANN, "b")] * 2
    assert some.meta["steps"][1]["done"] == "items with an image"
    assert len(read(tmp_path, repeats="first").interactions) == 3
    assert read(tmp_path, k_core=2).item_ids.tolist() == ["b"]
    assert read(tmp_path, items, require=["text"]).item_ids.tolist() == ["b"]
    assert read(tmp_path, items, keep_cold=True).item_ids.tolist()[3:] == ["d"]
    assert read(tmp_path, items, text="none", image_url=None).item_text is None
    assert read(tmp_path, name="shop").name == "shop"
    with pytest.raises(ValueError, match="'require_image' needs 'images'"):
        read(tmp_path, require_image=True)
    with pytest.raises(ValueError, match="'features' needs 'items'"):
        read(tmp_path, features={"image": tmp_path / "image.npy"})


def test_a_list_of_images_tabs_and_integers(tmp_path):
    (tmp_path / "orders.tsv").write_text("user\titem\ttimestamp\n7\t12\t5\n7\t9\t4\n")
    (tmp_path / "items.tsv").write_text("item\ttext\n12\tA\n9\tB\n")
    (tmp_path / "photos.csv").write_text("raw_id,path\n12,x/12.jpg\n")
    dataset = from_csv(
        tmp_path / "orders.tsv", tmp_path / "items.tsv", images=tmp_path / "photos.csv"
    )
    assert table(dataset) == [(7, 9), (7, 12)]
    assert dataset.item_text == ["B", "A"]
    assert dataset.report[-1].startswith("1 of 2 items have an image")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("orders", "when,sku\n1,b\n", r"orders\.csv, line 1: expected a column 'who', got 'when'"),
        (
            "orders",
            "when;sku;who\n1;b;ann\n",
            "line 1: expected a column 'who', got 'when;sku",
        ),
        ("orders", "when,sku,who\n", "expected at least one row below the column names"),
        ("orders", "when,sku,who\n1,b,ann\n2,b\n", r"orders\.csv, line 3: Expected 3 columns"),
        ("orders", "when,sku,who\n1,b,ann\n2,,ann\n", "line 3, column 'sku': expected an id"),
        ("orders", "when,sku,who\n1,b,ann\nx,b,ann\n", "line 3, column 'when'"),
        ("orders", "when,sku,who\n-1,b,ann\n", "line 2, column 'when': expected a time from 1970"),
        ("orders", "when,sku,who\n1500000000000,b,ann\n", "line 2, column 'when': expected sec"),
        ("items", "id,title\nb,x\n", r"items\.csv, line 1: expected a column 'sku'"),
        ("items", 'sku,title\nc,"x\ny"\nb\n', r"items\.csv, line 4: Expected 2 columns, got 1"),
        (
            "items",
            'sku,title\nb,"x\ny"\nb,z\n',
            r"line 4, column 'sku': .*\(line 3 has it\), got 'b'",
        ),
        ("items", "sku,title\n,x\n", "line 2, column 'sku': expected an id, got nothing"),
        ("items", 'sku,title\nb,"x\n', r"items\.csv, line 2: unexpected end of data"),
        ("items", "sku,title\nq,x\n", "items.csv: expected at least 0% of the 3 items"),
    ],
)
def test_errors(tmp_path, name, text, message):
    (write(tmp_path) / f"{name}.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path, tmp_path / "items.csv")


def test_other_errors(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match=r"expected a file .*nowhere\.csv"):
        from_csv(tmp_path / "nowhere.csv")
    (tmp_path / "items.csv").write_bytes(b"sku,title\nb,caf\xe9\n")
    with pytest.raises(ValueError, match=r"items\.csv, line 2: expected UTF-8 text"):
        read(tmp_path, tmp_path / "items.csv")
    (tmp_path / "items.csv").write_text("sku\nb\n")
    with pytest.raises(ValueError, match=r"image\.npy: expected shape \(1, F\), a row for each"):
        read(tmp_path, tmp_path / "items.csv", {"image": tmp_path / "image.npy"})


def test_blank_lines_at_the_end_and_no_features(tmp_path):
    write(tmp_path, orders=ORDERS + "\n\n")
    assert table(read(tmp_path)) == EXPECTED
    with pytest.raises(ValueError, match=r"expected a file .*none\.npy, got none"):
        read(tmp_path, tmp_path / "items.csv", {"image": tmp_path / "none.npy"})
    (tmp_path / "orders.csv").write_text("when,sku,who\n\n")
    with pytest.raises(ValueError, match="expected at least one row below the column names"):
        read(tmp_path)


def test_line_breaks_in_a_value_of_a_long_file(tmp_path):
    note = '"' + "many words\n" * 10_000 + '"'  # more than one block of Arrow's
    rows = "".join(f"ann,{item},{item},{note}\n" for item in range(30))
    (tmp_path / "orders.csv").write_text("user,item,timestamp,note\n" + rows)
    assert from_csv(tmp_path / "orders.csv").item_ids.tolist() == list(range(30))
