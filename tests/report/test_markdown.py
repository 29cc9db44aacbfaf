import pytest

from harness.report.markdown import code, escape, table


@pytest.mark.parametrize(
    ("foreign", "safe"),
    [
        ("<script>", "&lt;script&gt;"),
        ("a & b", "a &amp; b"),
        ("[x](http://y)", r"\[x\](http://y)"),
        ("# no heading", r"\# no heading"),
        ("1. no list", r"1\. no list"),
        ("- no list", r"\- no list"),
        ("0.005", "0.005"),
        ("two\nlines\x00", "two lines"),
    ],
)
def test_foreign_text_stays_text(foreign, safe):
    assert escape(foreign) == safe


def test_long_text_is_cut():
    assert len(escape("a" * 1_000_000)) == 300


@pytest.mark.parametrize(
    ("foreign", "span"),
    [("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("<b>", "`<b>`"), ("", "` `")],
)
def test_backticks_do_not_end_a_code_span(foreign, span):
    assert code(foreign) == span


def test_a_bar_does_not_end_a_cell():
    assert table(["a"], [[code("x|y")]]).splitlines()[2] == r"| `x\|y` |"
