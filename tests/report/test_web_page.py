import base64
import re
from html.parser import HTMLParser

import pytest

from harness.errors import StudyError
from harness.report.markdown import code, escape, fold, table
from harness.report.page import write_html

# A picture of one grey pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


class Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.texts = {}
        self.open = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag] = self.texts.get(tag, "") + data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def read(tmp_path):
    def make(text):
        source = tmp_path / "report.md"
        source.write_text(text, encoding="utf-8")
        (tmp_path / "figure.png").write_bytes(PIXEL)
        write_html(source, tmp_path / "report.html")
        return Reader((tmp_path / "report.html").read_text(encoding="utf-8"))

    return make


def test_an_image_is_part_of_the_page_and_keeps_its_description(read):
    (image,) = read('# A\n\n![RMSE of "a" & b](figure.png)').all("img")
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == PIXEL
    assert image["alt"] == 'RMSE of "a" & b'


def test_an_image_whose_name_has_a_space_is_found(read, tmp_path):
    (tmp_path / "two words.png").write_bytes(PIXEL)
    assert len(read("![x](<two words.png>)").all("img")) == 1


def test_nothing_is_fetched_and_nothing_runs(read):
    page = read("# A\n\n![a](figure.png)\n\n[b](https://example.org/)\n")
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    (policy,) = (m for m in page.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy["content"]
    assert "url(" not in page.texts["style"]
    assert "@import" not in page.texts["style"]


@pytest.mark.parametrize(
    "foreign",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '"><b onclick=alert(1)>',
        "[x](javascript:alert(1))",
        "![x](javascript:alert(1))",
        "&lt;script&gt;",
    ],
)
@pytest.mark.parametrize(
    "place", ["# {}", "{}", "> {}", "- {}", "| a |\n| - |\n| {} |"]
)
def test_markup_in_foreign_text_stays_text(read, foreign, place):
    page = read("# A\n\n" + place.format(foreign))
    assert not {"script", "img", "b"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert not any(a["href"].startswith("java") for a in page.all("a"))


@pytest.mark.parametrize("foreign", ["<i>&amp;", "a|b", "$x_1$", "`", "2 < 3 & 4"])
def test_text_escaped_for_markdown_is_shown_as_it_was(read, foreign):
    page = read(f"{escape(foreign)}\n\n" + table(["a"], [[code(foreign)]]))
    assert page.texts["p"] == foreign
    assert page.texts["code"] == foreign


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://example.org/a?b=c", True),
        ("http://127.0.0.1:5000/#/experiments/1", True),
        ("space.toml", True),
        ("a/space.toml", True),
        ("#cold-start", True),
        ("javascript:alert(1)", False),
        ("JavaScript:alert(1)", False),
        ("java&#115;cript:alert(1)", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("mailto:a@example.org", False),
        ("//example.org/a", False),
        ("/etc/passwd", False),
    ],
)
def test_links_lead_to_the_web_to_headings_or_to_files_near_by(read, address, allowed):
    assert len(read(f"[x]({address})").all("a")) == allowed


@pytest.mark.parametrize(
    "address", ["gone.png", "../above.png", "https://example.org/a.png", "notes.txt"]
)
def test_an_image_that_is_not_in_the_folder_is_refused(read, tmp_path, address):
    (tmp_path.parent / "above.png").write_bytes(PIXEL)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(StudyError, match=r"an image must be .* write the report again"):
        read(f"![x]({address})")
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_made_leaves_the_earlier_one(read, tmp_path):
    read("# First")
    with pytest.raises(StudyError):
        read("# Second\n\n![x](gone.png)")
    assert "First" in (tmp_path / "report.html").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {
        "figure.png",
        "report.html",
        "report.md",
    }


def test_a_report_that_is_not_there_is_an_error_in_one_sentence(tmp_path):
    with pytest.raises(StudyError, match=r"No such file or directory: .*gone\.md"):
        write_html(tmp_path / "gone.md", tmp_path / "gone.html")


def test_the_title_is_the_first_heading(read):
    assert (
        read("# The `svd` & *others*\n\n## Next").texts["title"] == "The svd & others"
    )


def test_without_a_heading_the_title_is_the_name_of_the_file(read):
    page = read("Nothing but words.")
    assert page.texts["title"] == "report"
    assert not page.all("nav")


def test_every_entry_of_the_contents_leads_to_its_heading(read):
    page = read("# A\n\n## Cold start: users\n\n### Depth\n\n## Depth\n\n#### Deep\n")
    links = [a["href"] for a in page.all("a")]
    ids = [f"#{a['id']}" for tag, a in page.tags if re.fullmatch("h[1-6]", tag)]
    assert links == ["#cold-start-users", "#depth", "#depth-1"]
    assert ids == ["#a", *links, "#deep"]


def test_the_contents_follow_the_words_before_the_first_section(read):
    tags = [tag for tag, _ in read("# A\n\nVerdict.\n\n## B\n\nMore.").tags]
    assert tags.index("h1") < tags.index("p") < tags.index("nav") < tags.index("h2")


def test_numbers_are_on_the_right_and_stay_on_one_line(read):
    rows = [["svd [a b]", "0.9 [0.8, 1.0]"], ["p", "< 0.003"], ["share", "75.0 %"]]
    page = read(table(["model", "RMSE"], rows, align="lr"))
    assert [a.get("class") for a in page.all("td")] == [None, "number"] * 3
    cells = page.texts["td"]
    assert "svd [a b]" in cells
    for number in ("0.9 [0.8,\xa01.0]", "<\xa00.003", "75.0\xa0%"):
        assert number in cells


def test_a_wide_table_scrolls_in_a_box_of_its_own(read):
    tags = read(table(["a", "b"], [["1", "2"]])).tags
    box = tags[[tag for tag, _ in tags].index("table") - 1]
    assert box[0] == "div"
    assert (box[1]["class"], box[1]["tabindex"]) == ("scroll", "0")


def test_a_folded_part_folds_and_its_content_is_read_as_usual(read):
    page = read(
        "# A\n\n" + fold("All of *it*", "## B\n\n| a |\n| - |\n| 1 |") + "\n\nEnd."
    )
    tags = [tag for tag, _ in page.tags]
    assert tags.index("details") < tags.index("summary") < tags.index("table")
    assert page.texts["summary"] == "All of *it*"
    assert "1" in page.texts["details"]
    assert "End." not in page.texts["details"]


@pytest.mark.parametrize(
    "foreign",
    [
        "<details>",
        "<details open>\n<summary>x</summary>",
        "<details>\n<summary><b>x</b></summary>",
        "<details onclick=alert(1)>\n<summary>x</summary>",
    ],
)
def test_nothing_else_of_html_is_taken_over(read, foreign):
    page = read(f"# A\n\n{foreign}\n\nEnd.")
    assert not {"details", "summary", "b"} & {tag for tag, _ in page.tags}
