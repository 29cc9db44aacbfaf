"""The metadata block."""

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.features.metadata import metadata_parts, scale_to_unit


def parts_by_first_name(**columns):
    parts = metadata_parts(Catalogue(pd.DataFrame(columns)))
    return {part.names[0].split(":")[0]: part for part in parts}


def test_durations_run_from_0_to_1():
    minutes = np.array([60.0, np.nan, 120.0, 90.0])
    np.testing.assert_array_equal(scale_to_unit(minutes), [0, np.nan, 1, 0.5])


def test_a_few_very_long_titles_do_not_press_the_others_together():
    minutes = np.concatenate([np.linspace(60, 180, 500), [5000.0]])
    scaled = scale_to_unit(minutes)
    assert scaled[-1] == 1
    assert scaled[499] > 0.98


@pytest.mark.parametrize("values", [[np.nan, np.nan], [90.0, np.nan]])
def test_durations_that_tell_nothing_apart_are_no_part(values):
    assert parts_by_first_name(duration_minutes=values) == {}


def test_release_years_are_there_in_years_and_by_decade():
    parts = parts_by_first_name(release_year=[1994.0, 1999.0, 2001.0, np.nan])
    years = parts["release year"].values.ravel()
    assert years[0] < years[1] < years[2]
    assert years[3] == 0
    assert parts["decade"].names == ("decade: 1990s", "decade: 2000s")
    nineties = parts["decade"].values[:, 0]
    assert nineties[0] == nineties[1] > nineties[3] == 0 > nineties[2]


def test_a_content_rating_is_one_hot_and_an_age():
    parts = parts_by_first_name(rating=["R", "PG", None], maturity=[17.0, 7.0, np.nan])
    assert parts["content rating"].names == ("content rating: PG", "content rating: R")
    assert parts["age of the content rating"].values.ravel().tolist() == [1, -1, 0]


def test_a_title_may_be_of_several_countries_and_platforms():
    parts = parts_by_first_name(
        country=["India, France", "India", None],
        source=["HULU", "HULU, AMAZON", "AMAZON"],
    )
    assert parts["country"].names == ("country: France", "country: India")
    assert parts["country"].values[2].tolist() == [0, 0]
    hulu = parts["platform"].values[:, parts["platform"].names.index("platform: HULU")]
    assert hulu[0] == hulu[1] > hulu[2]


def test_rare_categories_are_taken_together():
    ratings = [f"label {k}" for k in range(40)] + ["R"] * 10
    parts = parts_by_first_name(rating=ratings)
    assert "content rating: other" in parts["content rating"].names
    assert len(parts["content rating"].names) <= 16


def test_films_alone_have_no_part_for_type():
    assert parts_by_first_name(type=["Movie", "Movie"]) == {}
    assert "type" in parts_by_first_name(type=["Movie", "TV Show", None])
