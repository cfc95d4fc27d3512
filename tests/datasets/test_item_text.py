import pytest

from mdsrec_pyg.datasets import clean_text, item_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Tea &amp; Cup\n\t ", "Tea & Cup"),
        ("A &amp;quot;B&amp;quot;", 'A "B"'),
        ("<p>One</p><p>Two<br/>Three</p>", "One Two Three"),
        ("&lt;b&gt;Bold&lt;/b&gt;", "Bold"),
        ("1 < 2 and 3 > 2, I <3 tea", "1 < 2 and 3 > 2, I <3 tea"),
        ("a<script type='x'>if (a<b) run()</script>b", "a b"),
        ("a<style>p {color: red}</style>b <!-- hidden <b> -->c", "a b c"),
        ("a<script>never closed", "a"),
        ("zero\u200bwidth\x00nul\u00a0space\u2028line", "zero width nul space line"),
        ("broken \ud83d half", "broken half"),
        ("Käse 茶", "Käse 茶"),
        ("var aPageStart = (new Date()).getTime();\nvar ue_t0=1", ""),
        ("", ""),
    ],
)
def test_clean_text(raw, clean):
    assert clean_text(raw) == clean


def test_the_template():
    fields = {
        "description": ["It is good.", ""],
        "features": ["Blue", "Blue", "No. 5!"],
        "categories": [["Home", "Tea"], ["Home", "Cups"]],
        "brand": "Nord",
        "title": "Cup &#39;A&#39;",
        "price": "$5",
    }
    assert item_text(fields) == "Cup 'A'. Nord. Home, Tea, Cups. Blue. No. 5! It is good."
    assert item_text({"title": "Nord", "brand": "Nord"}) == "Nord"
    assert item_text({"title": None, "brand": 5, "description": {"a": "b"}}) == ""
    assert item_text({}) == ""


@pytest.mark.parametrize(
    ("max_length", "text"),
    [(None, "Blue tea cup"), (12, "Blue tea cup"), (11, "Blue tea"), (8, "Blue tea"), (3, "Blu")],
)
def test_length(max_length, text):
    assert item_text({"title": "Blue tea cup"}, max_length) == text


def test_errors():
    with pytest.raises(ValueError, match="'max_length' must be at least 1 or None"):
        item_text({}, 0)
