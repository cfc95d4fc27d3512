import numpy as np
import pytest

from mdsrec_pyg.datasets import FolderDataset, HMDataset

DAY = 86_400
FIRST = 1_600_214_400  # 2020-09-16
HEADER = "t_dat,customer_id,article_id,price,sales_channel_id\n"
# (day of September 2020, customer, article): two units of the same article on the 16th.
ROWS = [
    (17, "c1", "0108775015"), (16, "c2", "0663713001"), (16, "c2", "0663713001"),
    (16, "c1", "0663713001"), (18, "c2", "0108775015"), (19, "c2", "0663713001"),
    (22, "c3", "0900000000"),
]  # fmt: skip
COLUMNS = (
    "article_id,product_code,prod_name,product_type_no,product_type_name,product_group_name,"
    "graphical_appearance_no,graphical_appearance_name,colour_group_code,colour_group_name,"
    "perceived_colour_value_id,perceived_colour_value_name,perceived_colour_master_id,"
    "perceived_colour_master_name,department_no,department_name,index_code,index_name,"
    "index_group_no,index_group_name,section_no,section_name,garment_group_no,garment_group_name,"
    "detail_desc"
)


def article(number, name, description):
    return (
        f"{number},{number[1:7]},{name},253,Vest top,Garment Upper body,1010016,Solid,09,Black,4,"
        "Dark,5,Black,1676,Jersey Basic,A,Ladieswear,1,Ladieswear,16,Womens Everyday Basics,1002,"
        f"Jersey Basic,{description}"
    )


ARTICLES = [
    COLUMNS,
    article("0108775015", "Strap top", '"Jersey top, with ""narrow"" straps."'),
    article("0663713001", "Blåklint & co", ""),
    article("0999999999", "Nobody's", "x"),
]


def write(folder, rows=ROWS, articles=ARTICLES, images=("0663713001",)):
    folder.mkdir(exist_ok=True)
    lines = [f"2020-09-{day},{user},{item},0.0508,{n % 2 + 1}\n" for n, (day, user, item)
             in enumerate(rows)]  # fmt: skip
    (folder / "transactions_train.csv").write_text(HEADER + "".join(lines))
    (folder / "articles.csv").write_text("\n".join(articles) + "\n", encoding="utf-8")
    for name in images:
        path = folder / "images" / name[:3] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def read(root, **kwargs):
    return HMDataset(root, **{"k_core": None, **kwargs})


def table(dataset):
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    days = ((x.timestamp - FIRST) // DAY + 16).tolist()
    return list(zip(users, items, days, strict=True))


A, B, C = "0108775015", "0663713001", "0900000000"
EXPECTED = [
    ("c1", B, 16),
    ("c1", A, 17),
    ("c2", B, 16),
    ("c2", A, 18),
    ("c2", B, 19),
    ("c3", C, 22),
]


def test_everything(tmp_path):
    dataset = read(write(tmp_path))
    assert table(dataset) == EXPECTED
    assert dataset.interactions.timestamp.dtype == np.int64
    assert dataset.item_ids.tolist() == [A, B, C]
    assert dataset.item_text == [
        "Strap top. Vest top. Black. Solid. Ladieswear. Jersey Basic. "
        'Jersey top, with "narrow" straps.',
        "Blåklint & co. Vest top. Black. Solid. Ladieswear. Jersey Basic",
        "",
    ]
    assert dataset.images == tmp_path / "images"
    assert dataset.image_paths == [None, tmp_path / "images" / "066" / f"{B}.jpg", None]
    assert f"1 of 3 items have an image in {tmp_path / 'images'}" in dataset.report
    assert dataset.meta["items"][-1] == dataset.report[-1]
    assert dataset.meta["steps"][1]["note"] == "1 interaction dropped"
    dataset.save(tmp_path / "saved")
    again = FolderDataset(tmp_path / "saved", min_interactions=1)
    assert table(again) == EXPECTED
    assert again.item_ids.tolist() == [A, B, C]  # with their zeros


def test_the_folder_of_images_is_what_encoders_read(tmp_path):
    encoders = pytest.importorskip("mdsrec_pyg.encoders")
    dataset = read(write(tmp_path))
    assert encoders.find_images(dataset.images) == {B: dataset.image_paths[1]}


def test_days(tmp_path):
    write(tmp_path / "raw")
    some = read(tmp_path, start="2020-09-17", end="2020-09-19")
    assert table(some) == [("c1", A, 17), ("c2", A, 18), ("c2", B, 19)]
    assert some.meta["steps"][0]["note"] == "3 of 7 rows are from start to end"
    assert some.meta["options"]["start"] == "2020-09-17"
    assert table(read(tmp_path, end="2020-09-16")) == [("c2", B, 16), ("c1", B, 16)]
    with pytest.raises(ValueError, match="from 'start' to 'end', got none of 7 rows there"):
        read(tmp_path, start="2020-09-23")
    for day in ("16.9.2020", "2020-09", 5):
        with pytest.raises(ValueError, match="'start' must be a day such as 2020-09-16"):
            read(tmp_path, start=day)


def test_options(tmp_path):
    write(tmp_path)
    assert table(read(tmp_path, merge_units=False)).count(("c2", B, 16)) == 2
    assert table(read(tmp_path, repeats="last"))[2:4] == [("c2", A, 18), ("c2", B, 19)]
    assert table(read(tmp_path, k_core=2)) == EXPECTED[:5]
    with pytest.raises(ValueError, match="after the step '5-core'"):
        HMDataset(tmp_path)
    assert read(tmp_path, text=("prod_name", "department_name")).item_text[0] == (
        "Strap top. Jersey Basic"
    )
    assert read(tmp_path, max_text_length=9).item_text[0] == "Strap"
    assert read(tmp_path, require=["text"]).item_ids.tolist() == [A, B]
    assert read(tmp_path, require_image=True).item_ids.tolist() == [B]
    assert read(tmp_path, name="clothes").name == "clothes"
    with pytest.raises(ValueError, match=r"at least 90% of the 3 items.*got 2 of them"):
        read(tmp_path, min_coverage=0.9)
    with pytest.raises(ValueError, match="'text' must be a sequence of columns"):
        read(tmp_path, text="prod_name")
    with pytest.raises(ValueError, match=r"articles\.csv, line 1: expected one column 'plot'"):
        read(tmp_path, text=["plot"])


def test_without_images(tmp_path):
    dataset = read(write(tmp_path, images=()))
    assert dataset.images is None
    assert dataset.image_paths == [None] * 3
    with pytest.raises(ValueError, match="'require_image' needs a folder 'images'"):
        read(tmp_path, require_image=True)


def test_a_missing_file_has_its_page(tmp_path):
    (write(tmp_path) / "articles.csv").unlink()
    with pytest.raises(ValueError, match=r"must hold articles\.csv.*https://www\.kaggle\.com/"):
        read(tmp_path)
    assert read(write(tmp_path)).raw_file_names == ["transactions_train.csv", "articles.csv"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2020-09-16,c1,663713001,0.05,1", r"column 'article_id': expected an article's ten dig"),
        ("2020-09-16,c1,0663713001", "expected 5 values separated by ',' .*got 3"),
        ("2020-09-16\tc1\t0663713001\t0.05\t1", "expected 5 values separated by ',' .*got 1"),
        ("2020-09-16,,0663713001,0.05,1", "column 'customer_id': expected an id, got nothing"),
        ("2120-09-16,c1,0663713001,0.05,1", "column 't_dat': expected a time .*before 2021-01-01"),
        ("1969-09-16,c1,0663713001,0.05,1", "column 't_dat': expected a time .*from 2018-01-01"),
        ("16.09.2020,c1,0663713001,0.05,1", "column 't_dat': expected a time such as 2009-05-04"),
        ('2020-09-16,"c1,0663713001,0.05,1', "expected quotes that are closed"),
    ],
)
def test_a_row_that_cannot_be_used(tmp_path, line, message):
    path = write(tmp_path) / "transactions_train.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], line, *lines[3:]]))
    with pytest.raises(ValueError, match=rf"transactions_train\.csv, line 4(: |, ){message}"):
        read(tmp_path)
    dataset = read(tmp_path, on_error="skip")
    assert table(dataset) == EXPECTED
    assert "1 record skipped" in dataset.report[0]
    some = read(tmp_path, on_error="skip", start="2020-09-17")
    assert "4 of 7 rows are from start to end; transactions_train.csv: 1 rec" in some.report[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0663713001,1", "line 3: expected 25 values, got 2"),
        (article("663713001", "A", ""), "line 3: expected an article's ten digits"),
        (ARTICLES[1], "line 3: expected an article that no other row has, got 0108775015"),
    ],
)
def test_an_article_that_cannot_be_used(tmp_path, line, message):
    write(tmp_path, articles=[*ARTICLES[:2], line, *ARTICLES[2:]])
    with pytest.raises(ValueError, match=rf"articles\.csv, {message}"):
        read(tmp_path)
    assert read(tmp_path, on_error="skip").item_text[1].startswith("Blåklint")


def test_wrong_encoding(tmp_path):
    (write(tmp_path) / "articles.csv").write_bytes("\n".join(ARTICLES).encode("latin-1"))
    with pytest.raises(ValueError, match=r"articles\.csv, line 3: expected UTF-8 text"):
        read(tmp_path)


def test_a_blank_line_at_the_end(tmp_path):
    write(tmp_path, articles=[*ARTICLES, ""])
    assert table(read(tmp_path)) == EXPECTED


def test_a_line_of_names_that_is_none(tmp_path):
    write(tmp_path, articles=["x" * 200_000, *ARTICLES[1:]])
    with pytest.raises(ValueError, match=r"articles\.csv, line 1: field larger than"):
        read(tmp_path)
    write(tmp_path, articles=["article_id", *ARTICLES[1:]])
    with pytest.raises(ValueError, match=r"articles\.csv, line 1: expected one column 'prod_name'"):
        read(tmp_path)
