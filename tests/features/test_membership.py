"""Comma-separated lists become a table."""

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.features.parts import read_membership, split_names


def test_names_are_split_at_commas_once_each():
    assert split_names(" Drama, Comedy ,, Drama") == ["Drama", "Comedy"]
    assert split_names(None) == split_names(float("nan")) == split_names(" ,") == []


def test_titles_by_names():
    catalogue = Catalogue(pd.DataFrame({"cast": ["B, A", None, "A"]}))
    people = read_membership(catalogue, "cast")
    assert people.names == ("A", "B")
    assert people.table.toarray().tolist() == [[1, 1], [0, 0], [1, 0]]
    assert people.known.tolist() == [True, False, True]
    assert people.counts.tolist() == [2, 1]


def test_several_columns_are_taken_together():
    frame = pd.DataFrame({"cast": ["A", None], "director": ["A, C", "B"]})
    people = read_membership(Catalogue(frame), "cast", "director")
    assert people.table.toarray().tolist() == [[1, 0, 1], [0, 1, 0]]


def test_rare_names_are_left_out_when_asked():
    catalogue = Catalogue(pd.DataFrame({"cast": ["A, B", "A, C", "C, A"]}))
    assert read_membership(catalogue, "cast", min_titles=2).names == ("A", "C")
    assert read_membership(catalogue, "cast", max_names=1).names == ("A",)


def test_nothing_listed_is_no_name():
    for frame in (
        pd.DataFrame({"cast": [None, " "]}),
        pd.DataFrame({"title": ["x", "y"]}),
    ):
        people = read_membership(Catalogue(frame), "cast")
        assert people.names == ()
        assert people.table.shape == (2, 0)
        assert not people.known.any()


def test_case_and_short_names_are_kept():
    catalogue = Catalogue(pd.DataFrame({"cast": ["T, Mr. T", "mr. t"]}))
    assert set(read_membership(catalogue, "cast").names) == {"T", "Mr. T", "mr. t"}
    assert np.issubdtype(read_membership(catalogue, "cast").table.dtype, np.float32)
