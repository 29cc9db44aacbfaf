"""The report on a data set shows what there is, and breaks on nothing that is not."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.ott import generate_ott
from harness.data.profile import profile
from harness.data.ratings import Ratings, RatingScale
from harness.errors import DataError
from harness.features.pairs import summarize_features
from harness.report.data import (
    NOTHING,
    SIMULATED,
    characteristics_table,
    data_tables,
    feature_tables,
    write_data_report,
)
from harness.report.figures.data import DATA_FIGURES, draw_data_figures
from harness.report.ratings import _describe_split
from tests.experiment.records import make_record
from tests.facts import split_facts

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def bare() -> Dataset:
    """Ratings only: no times, no catalogue."""
    ratings = Ratings.from_columns(
        list("aab"), list("xyx"), [1, 2, 5], scale=RatingScale(1, 5)
    )
    return Dataset(
        name="bare", ratings=ratings, catalogue=Catalogue.empty(), source="bare.csv"
    )


@pytest.fixture(scope="module")
def service() -> Dataset:
    return generate_ott(0)


def report(dataset, folder):
    tables = (
        *data_tables(profile(dataset)),
        *feature_tables(summarize_features(dataset.ratings, dataset.catalogue)),
    )
    return write_data_report(dataset, tables, folder).read_text("utf-8")


def test_everything_is_drawn_of_data_that_has_everything(service):
    assert list(draw_data_figures(service)) == list(DATA_FIGURES)


def test_only_what_there_is_data_for_is_drawn(bare):
    names = [figure.name for figure in draw_data_figures(bare)]
    assert names == ["ratings", "long-tail"]


def test_each_figure_is_written_and_shown(service, tmp_path):
    text = report(service, tmp_path / "deep" / "folder")
    shown = re.findall(r"!\[.+\]\((.+\.png)\)", text)
    assert shown == [f"{figure.name}.png" for figure in DATA_FIGURES]
    for name in shown:
        assert (tmp_path / "deep" / "folder" / name).read_bytes().startswith(PNG)


def test_equal_data_give_equal_reports(bare, tmp_path):
    for name in ("one", "two"):
        report(bare, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_report_replaces_the_one_before(bare, tmp_path):
    assert report(bare, tmp_path) == report(bare, tmp_path)


def test_simulated_ratings_are_said_to_be_and_others_are_not(service, bare, tmp_path):
    assert SIMULATED in report(service, tmp_path / "ott")
    assert SIMULATED not in report(bare, tmp_path / "bare")


def test_published_and_measured_stand_side_by_side(service, bare):
    first = data_tables(profile(service), published=True)[0]
    rows = {row[0]: row[1:] for row in first.rows}
    assert rows["peak hours, UTC"] == ("20:00-23:00", "20:00-23:00", "none")
    assert rows["minutes watched, mean"] == ("95", "95", "+0.0 %")
    first = data_tables(profile(bare), published=True)[0]
    rows = {row[0]: row[1:] for row in first.rows}
    assert rows["sparsity"] == ("0.25", "0.95", "-73.7 %")  # 1 - 3 / (2 * 2)
    assert rows["peak hours, UTC"] == ("-", "20:00-23:00", "-")


def test_own_data_are_not_compared_unasked(bare):
    first = data_tables(profile(bare))[0]
    assert first.head == ("characteristic", "measured")
    assert ("sparsity", "0.25") in first.rows
    assert not any("-" in row for row in first.rows)


def many_values(shift=0.0, scale=1.0):
    rng = np.random.default_rng(0)
    values = np.round(shift + scale * rng.normal(size=4000), 6)
    ratings = Ratings.from_columns(
        [f"u{k % 50}" for k in range(4000)],
        [f"i{k // 50}" for k in range(4000)],
        values,
        scale=RatingScale(values.min(), values.max()),
    )
    return Dataset(name="m", ratings=ratings, catalogue=Catalogue.empty(), source="m")


def test_many_different_ratings_are_drawn_in_bins():
    drawn = {f.name: figure for f, figure in draw_data_figures(many_values()).items()}
    axes = drawn["ratings"].axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == 4000
    assert len(heights) < 100
    # Wide enough to be seen: at least a hundredth of what is drawn.
    widths = [bar.get_width() for bar in axes.patches]
    assert min(widths) > np.ptp(axes.get_xlim()) / 100


def test_axes_show_numbers_not_differences_from_one_in_a_corner():
    dataset = many_values(shift=3778.8, scale=0.01)
    drawn = {f.name: figure for f, figure in draw_data_figures(dataset).items()}
    axes = drawn["ratings"].axes[0]
    drawn["ratings"].draw_without_rendering()
    assert axes.xaxis.get_offset_text().get_text() == ""
    mean = axes.get_title(loc="left").rpartition(" ")[2].replace(",", "")
    assert float(mean) == pytest.approx(3778.8, abs=0.001)


def test_nothing_is_minus_zero(tmp_path):
    dataset = many_values()
    centred = dataset.ratings.values - dataset.ratings.values.mean(dtype=np.float64)
    ratings = replace(dataset.ratings, values=centred.astype(np.float32))
    text = report(replace(dataset, ratings=ratings), tmp_path)
    assert not re.search(r"-0(\.0*)?(?![\d.])", text)
    drawn = next(iter(draw_data_figures(replace(dataset, ratings=ratings)).values()))
    assert "-0.0" not in drawn.axes[0].get_title(loc="left")


def test_a_long_tail_of_less_than_a_decade_has_plain_numbers():
    drawn = {f.name: figure for f, figure in draw_data_figures(many_values()).items()}
    axes = drawn["long-tail"].axes[0]
    drawn["long-tail"].draw_without_rendering()
    labels = axes.get_xticklabels(which="both")
    assert not any("math" in label.get_text() for label in labels)


def test_long_names_of_platforms_do_not_lie_on_each_other(bare):
    names = [f"A streaming service with a long name {k}" for k in range(8)]
    frame = pd.DataFrame({"source": names, "type": ["Movie", "TV Show"] * 4})
    dataset = replace(bare, catalogue=Catalogue(frame))
    drawn = {f.name: figure for f, figure in draw_data_figures(dataset).items()}
    figure = drawn["titles-by-platform"]
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) == 8
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_every_table_has_a_cell_for_each_head(service):
    for table in data_tables(profile(service)):
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_without_catalogue_there_is_no_table_of_missing_values(service, bare):
    titles = [table.title for table in data_tables(profile(bare))]
    assert len(data_tables(profile(service))) == len(titles) + 1
    assert not any("Missing" in title for title in titles)


def test_features_of_users_titles_and_both_stand_in_a_table_each(service, bare):
    summaries = summarize_features(service.ratings, service.catalogue)
    tables = feature_tables(summaries)
    assert [len(table.rows) for table in tables] == [13, 6, 2]
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.head)}
    of_users = {row[0]: row[1:] for row in tables[0].rows}
    assert of_users["n_ratings"][:2] == ("number of ratings", "100.0 %")
    few = feature_tables(summarize_features(bare.ratings, bare.catalogue))
    assert [[row[0] for row in table.rows] for table in few] == [
        ["n_ratings", "mean", "variance", "bias"],
        ["bias", "popularity"],
    ]


def test_words_stand_on_the_left_and_numbers_on_the_right(service, tmp_path):
    text = report(service, tmp_path)
    below = text.split("## Features of users\n\n")[1].splitlines()
    assert below[0].startswith("| feature | what it says |")
    assert re.fullmatch(r"\|( ?:?-+ ?\|){2}( ?-+: ?\|){3}", below[1])
    assert "Here they come from all ratings" in text


def test_names_and_notes_from_outside_stand_as_they_are(bare, tmp_path):
    hostile = replace(bare, name="a|b<script>", notes=("# not a heading\n| x |",))
    text = report(hostile, tmp_path)
    assert "<script>" not in text
    assert "\n# not" not in text
    assert "\n| x |" not in text


def test_foreign_genres_platforms_and_types_do_not_break_a_figure(bare, tmp_path):
    frame = pd.DataFrame(
        {
            "listed_in": [r"$\nosuch{$, " + "x" * 200, "_hidden, 日本"],
            "source": [r"$\nosuch{$", None],
            "type": [None, "_Movie"],
            "release_year": [1999.0, np.nan],
        }
    )
    dataset = replace(bare, catalogue=Catalogue(frame))
    assert "titles-by-platform" in report(dataset, tmp_path)


def test_a_single_platform_and_type_is_not_worth_a_figure(bare):
    frame = pd.DataFrame({"type": ["Movie", "Movie"]})
    drawn = draw_data_figures(replace(bare, catalogue=Catalogue(frame)))
    assert "titles-by-platform" not in [figure.name for figure in drawn]


def test_types_alone_are_compared(bare):
    frame = pd.DataFrame({"type": ["Movie", "TV Show"]})
    drawn = draw_data_figures(replace(bare, catalogue=Catalogue(frame)))
    assert "titles-by-platform" in [figure.name for figure in drawn]


def test_one_rating_value_or_dates_without_hours_can_be_drawn(bare, tmp_path):
    ratings = replace(
        bare.ratings,
        values=np.full(3, 4, dtype=np.float32),
        timestamps=np.array([0, 86_400, 0]),
    )
    assert "activity.png" in report(replace(bare, ratings=ratings), tmp_path)


def test_a_folder_that_cannot_be_made_is_one_sentence(bare, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file/x: .*name another with --out"):
        write_data_report(bare, (), tmp_path / "file" / "x")


def test_a_report_says_what_a_split_within_users_has_seen():
    split = split_facts(method="user-temporal")
    assert "later ratings by other users" in _describe_split(make_record(split=split))
    other = make_record(split=split_facts(method="temporal"))
    assert "other users" not in _describe_split(other)


def test_nothing_is_a_share_of_a_published_zero():
    found = characteristics_table({"variance": 0.5}, {"variance": 0.0})
    assert [row[-1] for row in found.rows] == [NOTHING]
