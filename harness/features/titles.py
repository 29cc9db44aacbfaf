"""Named features of titles, as the published study lists them."""

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.features.parts import Part, scale_part, split_names

__all__ = [
    "duration_minutes",
    "primary_genre",
    "rating_statistics_parts",
    "release_year",
    "title_bias",
    "title_popularity",
    "title_type",
]


Floats = npt.NDArray[np.float64]


def title_bias(ratings: Ratings, *, regularization: float = 10.0) -> Floats:
    r"""Measure how far titles are rated above or below the mean.

    .. math:: b_i = \frac{\sum_u (r_{ui} - \mu)}{n_i + \lambda}
    """
    deviations = ratings.values.astype(np.float64) - ratings.mean
    sums = np.bincount(ratings.items, weights=deviations, minlength=ratings.n_items)
    counts = np.bincount(ratings.items, minlength=ratings.n_items)
    biases: Floats = sums / np.where(counts > 0, counts + regularization, 1.0)
    return biases


def title_popularity(ratings: Ratings) -> Floats:
    """Measure how often titles are rated."""
    counts = np.bincount(ratings.items, minlength=ratings.n_items)
    popularity: Floats = np.log1p(counts)
    return popularity


def rating_statistics_parts(ratings: Ratings) -> tuple[Part, ...]:
    """Make parts of `title_bias` and `title_popularity`.

    They are centred over ratings, not over titles: most ratings are of popular titles, and
    a title that is new must not look as if everybody had passed it by.
    """
    counts = np.bincount(ratings.items, minlength=ratings.n_items)
    parts = (
        scale_part(["title bias"], title_bias(ratings)[:, None], weights=counts),
        scale_part(
            ["title popularity"], title_popularity(ratings)[:, None], weights=counts
        ),
    )
    return tuple(part for part in parts if part is not None)


def primary_genre(catalogue: Catalogue) -> npt.NDArray[np.object_]:
    """Read the genre that is listed first."""
    found = np.full(len(catalogue), None, dtype=object)
    if catalogue.has("listed_in"):
        for row, text in enumerate(catalogue.frame["listed_in"]):
            names = split_names(text)
            found[row] = names[0] if names else None
    return found


def release_year(catalogue: Catalogue) -> Floats:
    """Read the year of release."""
    return _numbers(catalogue, "release_year")


def duration_minutes(catalogue: Catalogue) -> Floats:
    """Read the duration of films."""
    return _numbers(catalogue, "duration_minutes")


def title_type(catalogue: Catalogue) -> npt.NDArray[np.object_]:
    """Read whether titles are films or shows."""
    found = np.full(len(catalogue), None, dtype=object)
    if catalogue.has("type"):
        known = catalogue.frame["type"].notna().to_numpy()
        found[known] = catalogue.frame["type"].to_numpy(dtype=object)[known]
    return found


def _numbers(catalogue: Catalogue, column: str) -> Floats:
    if column not in catalogue.frame:
        return np.full(len(catalogue), np.nan)
    values: Floats = catalogue.frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    return values
