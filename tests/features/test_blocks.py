"""Blocks of a catalogue: which there are, and that they are built once."""

import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.features import blocks as module
from harness.features.blocks import (
    BLOCK_COLUMNS,
    PUBLISHED_WEIGHTS,
    explain_blocks_off,
    title_blocks,
)


def films():
    return pd.DataFrame(
        {
            "title": ["Star Wars", "Star Trek", "Trek Hall"],
            "release_year": [1977.0, 1979.0, 1977.0],
            "listed_in": ["Sci-Fi", "Sci-Fi", "Comedy"],
        }
    )


def test_the_weights_are_those_of_the_study():
    assert sum(PUBLISHED_WEIGHTS.values()) == pytest.approx(1)
    assert list(PUBLISHED_WEIGHTS) == list(BLOCK_COLUMNS)


def test_what_a_catalogue_of_films_allows():
    assert list(title_blocks(Catalogue(films()))) == ["metadata", "genre", "text"]
    why = "the catalogue has no director or cast or production_company"
    assert explain_blocks_off(Catalogue(films())) == [
        f"Title features: block people is off: {why}."
    ]


def test_an_empty_catalogue_has_no_block():
    assert title_blocks(Catalogue.empty()) == {}
    assert len(explain_blocks_off(Catalogue.empty())) == 4


def test_columns_that_say_nothing_are_a_reason_of_their_own():
    catalogue = Catalogue(films().assign(cast=["A", "B", "C"]))
    (note,) = explain_blocks_off(catalogue)
    assert note.endswith(
        "people is off: all titles have the same cast, or each its own."
    )


def test_a_title_of_which_nothing_is_known_has_zeros():
    frame = pd.concat([films(), pd.DataFrame([{"title": None}])], ignore_index=True)
    for block in title_blocks(Catalogue(frame)).values():
        assert block.values.shape[0] == 4
        assert not block.values[3].any()


def test_blocks_are_built_once_for_a_catalogue(monkeypatch):
    built = []
    original = module._build
    monkeypatch.setattr(module, "_build", lambda *of: built.append(1) or original(*of))
    catalogue = Catalogue(films())
    first = title_blocks(catalogue)
    assert title_blocks(Catalogue(catalogue.frame))["genre"] is first["genre"]
    assert len(built) == 1


def test_few_catalogues_are_remembered():
    for _ in range(10):
        title_blocks(Catalogue(films()))
    assert len(module._built) == 4
