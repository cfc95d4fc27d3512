"""Small files of each generation of the Amazon Reviews, in the form of the published ones."""

import gzip
import json

import numpy as np

DAY = 86_400
START = 1_300_000_000
# Raw ids that are hard to write: a tab, a quote, letters of other alphabets, a line separator.
USERS = ["A\t1", 'A"2', "Ä3", "用户\u20284"]
ITEMS = ["B000000001", "B000000002", "B000000003"]
# (user, item, day): the first user took the first item twice, later first.
PAIRS = [(0, 0, 9), (0, 1, 2), (0, 0, 1), (1, 0, 3), (1, 1, 4), (2, 1, 5), (2, 0, 5), (3, 2, 6)]


def review(generation, user, item, day):
    if generation == "2023":
        return {
            "rating": 5.0,
            "title": "Fine",
            "text": "Fine <br /> thing",
            "images": [],
            "asin": "B000000099",
            "parent_asin": ITEMS[item],
            "user_id": USERS[user],
            "timestamp": (START + day * DAY) * 1000 + 250,
            "helpful_vote": 0,
            "verified_purchase": True,
        }
    return {
        "reviewerID": USERS[user],
        "asin": ITEMS[item],
        "reviewerName": "x",
        "helpful": [0, 0],
        "reviewText": "Fine \u2028 thing, 'asin': 'B000000002'",
        "overall": 5.0,
        "summary": "Fine",
        "unixReviewTime": START + day * DAY,
        "reviewTime": "03 13, 2011",
    }


def item(generation, number):
    asin, name = ITEMS[number], f"Tea &amp; Cup  {number}"
    if generation == "2014":
        return {
            "asin": asin,
            "title": name,
            "imUrl": f"http://ecx/{number}.jpg",
            "categories": [["Home", "Tea"], ["Home", "Cups"]],
            "brand": "Nord",
            "description": "A <b>fine</b> cup's tea.",
            "salesRank": {"Home": 5},
            "related": {"also_bought": ITEMS},
        }
    if generation == "2018":
        return {
            "category": ["Home", "Tea"],
            "tech1": "",
            "description": ["A <b>fine</b> cup's tea.", ""],
            "title": name,
            "also_buy": ITEMS,
            "brand": "Nord",
            "feature": ["Blue", "Blue"],
            "rank": [">#5 in Home"] if number else "5 in Home",
            "price": '<div class="a-box">.a-box { color: red }</div>' * 50,
            "asin": asin,
            "imageURL": [f"https://small/{number}.jpg", "https://small/other.jpg"],
            "imageURLHighRes": [f"https://large/{number}.jpg"] if number != 1 else [],
        }
    return {
        "main_category": "Home",
        "title": name,
        "average_rating": 4.5,
        "rating_number": 3,
        "features": ["Blue", "Blue"],
        "description": ["A <b>fine</b> cup's tea."],
        "price": None,
        "images": [
            {"thumb": "https://t/0.jpg", "large": "https://l/0.jpg", "variant": "PT01"},
            {
                "thumb": f"https://thumb/{number}.jpg",
                "large": f"https://large/{number}.jpg",
                "variant": "MAIN",
                "hi_res": f"https://hi/{number}.jpg" if number != 1 else None,
            },
        ],
        "videos": [],
        "store": "Nord",
        "categories": ["Home", "Tea"],
        "details": {"Color": "Blue"},
        "parent_asin": asin,
        "bought_together": None,
    }


NAMES = {
    "2014": ("reviews_Home_5.json.gz", "meta_Home.json.gz"),
    "2018": ("Home_5.json.gz", "meta_Home.json.gz"),
    "2023": ("Home.jsonl.gz", "meta_Home.jsonl.gz"),
}


def pack(path, lines):
    """Writes lines, compressed if the name says so."""
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def review_lines(generation, pairs=PAIRS):
    return [json.dumps(review(generation, *pair), ensure_ascii=False) for pair in pairs]


def item_lines(generation, numbers=(2, 0, 1)):
    dump = repr if generation == "2014" else json.dumps
    return [dump(item(generation, number)) for number in numbers]


def write_category(root, generation):
    """Reviews and metadata of a category called Home."""
    root.mkdir(parents=True, exist_ok=True)
    reviews, metadata = NAMES[generation]
    pack(root / reviews, review_lines(generation))
    pack(root / metadata, item_lines(generation))
    return root


def features(number):
    """4,096 features that tell the items apart."""
    return np.arange(4096, dtype="<f4") + 10_000 * number


def feature_bytes(numbers=(1, 0)):
    return b"".join(ITEMS[number].encode() + features(number).tobytes() for number in numbers)
