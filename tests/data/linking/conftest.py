"""Small data sets and catalogues to link."""

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import CATALOGUE_COLUMNS, DERIVED_COLUMNS, Catalogue
from harness.data.dataset import Dataset
from harness.data.linking.link import link
from harness.data.ratings import Ratings, RatingScale


@pytest.fixture(name="pair")
def _pair():
    """Two films: so many must be linked at least."""
    return ("Alien", 1979), ("Aliens", 1986)


@pytest.fixture(name="rated")
def _rated():
    """Make a data set of titles."""
    return rated


@pytest.fixture(name="shown")
def _shown():
    """Make a streaming catalogue."""
    return shown


@pytest.fixture(name="links")
def _links():
    """Link, and say which catalogue rows each title got."""
    return links


@pytest.fixture(name="kinds")
def _kinds():
    """Link, and say how each title was found."""
    return kinds


def rated(*titles, seed=0):
    """Each title as (title, year[, genres]), rated by ann and then by bob; ids m0, m1 ..."""
    ids = [f"m{k}" for k in range(len(titles))]
    frame = pd.DataFrame(
        {
            "unique_id": ids,
            "title": [t[0] for t in titles],
            "release_year": [float(t[1]) for t in titles],
            "listed_in": pd.Series(
                [t[2] if len(t) > 2 else None for t in titles], dtype="str"
            ),
        }
    )
    rng = np.random.default_rng(seed)
    ratings = Ratings.from_columns(
        np.tile(["ann", "bob"], len(ids)),
        np.repeat(ids, 2),
        rng.integers(1, 6, 2 * len(ids)),
        scale=RatingScale(1, 5),
        timestamps=np.arange(2 * len(ids)) + 1_600_000_000,
    )
    return Dataset(
        name="toy", ratings=ratings, catalogue=Catalogue(frame), source="toy"
    )


def shown(*rows, **defaults):
    """Make a streaming catalogue; each row is a dict, or (title, year[, director])."""
    names = ("title", "release_year", "director")
    filled = []
    for number, row in enumerate(rows):
        known = row if isinstance(row, dict) else dict(zip(names, row, strict=False))
        base = {"source": "NETFLIX", "type": "Movie", "unique_id": f"NFX_{number}"}
        filled.append(base | defaults | known)
    frame = pd.DataFrame(filled, columns=[*CATALOGUE_COLUMNS, *DERIVED_COLUMNS])
    numbers = ("release_year", *DERIVED_COLUMNS)
    return frame.astype({c: float if c in numbers else "str" for c in frame.columns})


def links(dataset, catalogue):
    """Link, and say which catalogue rows each title got."""
    table = link(dataset, catalogue).links
    return dict(zip(table["item_id"], table["unique_id"], strict=True))


def kinds(dataset, catalogue):
    table = link(dataset, catalogue).links
    return dict(zip(table["title"], table["kind"], strict=True))
