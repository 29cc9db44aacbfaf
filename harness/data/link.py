"""Ratings linked to a streaming catalogue by title and year."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.films import group_films, merge_rows
from harness.data.genres import genre_families, may_agree
from harness.data.item_catalogue import align_catalogue
from harness.data.link_result import LINK_COLUMNS, LinkCounts, LinkResult
from harness.data.matching import KINDS, Match, WantedFilm, match_films
from harness.data.ratings import Ratings
from harness.data.titles import read_title
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["link"]


def link(dataset: Dataset, catalogue: "pd.DataFrame") -> LinkResult:
    """Give the titles of a data set the metadata of a streaming catalogue.

    Films are matched by title and year of release; `match_films` says how, and when it
    refuses. A film on several platforms is one film: its values are taken from the
    first platform of `PLATFORM_ORDER` that knows them.

    Parameters
    ----------
    dataset : Dataset
        Ratings whose catalogue has ``title`` and ``release_year``; ``listed_in`` helps.
    catalogue : DataFrame
        Streaming catalogue, as `read_streaming_catalogue` returns it.

    Returns
    -------
    LinkResult
        The linked data set, the links and their counts.

    Raises
    ------
    DataError
        If the data set has no titles and years, or fewer than two titles are found.
    """
    if not dataset.catalogue.has("title", "release_year"):
        raise DataError(
            f"{dataset.source}: titles and years are needed to link ratings to a "
            "catalogue, but the data set has none; name a MovieLens folder, or ratings "
            "with a catalogue that has the columns title and release_year."
        )
    catalogue = catalogue.reset_index(drop=True)
    wanted = _wanted(dataset)
    keys = {key for w in wanted for key in (w.forms.short, *w.forms.others)}
    matches, ambiguous = match_films(wanted, group_films(catalogue, keys))
    n_ratings = np.bincount(dataset.ratings.items, minlength=dataset.ratings.n_items)
    matches = [match for match in matches if n_ratings[match.wanted.code]]
    if len(matches) < 2:  # nothing could be learnt from the result
        raise DataError(
            f"{dataset.source}: at least two rated titles must be in the catalogue, but "
            f"{len(matches)} of {np.count_nonzero(n_ratings):,} are; check that both "
            "hold titles and years of the same films."
        )
    counts = _count(matches, ambiguous, wanted, n_ratings)
    linked = _reduce(dataset, matches, _described(dataset, matches, catalogue))
    return LinkResult(
        dataset=replace(linked, notes=(*dataset.notes, *counts.sentences())),
        links=_links(dataset, matches, catalogue, n_ratings),
        counts=counts,
    )


def _wanted(dataset: Dataset) -> list[WantedFilm]:
    frame = dataset.catalogue.frame
    genres = frame["listed_in"] if "listed_in" in frame else [None] * len(frame)
    known = frame["title"].notna() & frame["release_year"].notna()
    return [
        WantedFilm(code, read_title(title), int(year), genre_families(genre))
        for code, (title, year, genre, usable) in enumerate(
            zip(frame["title"], frame["release_year"], genres, known, strict=True)
        )
        if usable
    ]


def _count(
    matches: Sequence[Match],
    ambiguous: set[int],
    wanted: Sequence[WantedFilm],
    n_ratings: npt.NDArray[np.intp],
) -> LinkCounts:
    rated = np.flatnonzero(n_ratings)
    kinds = Counter(match.kind for match in matches)
    refused = sum(1 for code in ambiguous if n_ratings[code])
    dated = sum(1 for w in wanted if n_ratings[w.code])
    return LinkCounts(
        by_kind={kind: kinds[kind] for kind in KINDS},
        ambiguous=refused,
        undated=len(rated) - dated,
        unmatched=dated - len(matches) - refused,
        n_ratings=sum(int(n_ratings[match.wanted.code]) for match in matches),
        n_ratings_before=int(n_ratings.sum()),
    )


def _described(
    dataset: Dataset, matches: Sequence[Match], catalogue: "pd.DataFrame"
) -> "pd.DataFrame":
    """Describe each linked title under its item id in the ratings."""
    import pandas as pd

    ids = [dataset.ratings.item_ids[match.wanted.code] for match in matches]
    merged = merge_rows(catalogue, [match.film.rows for match in matches])
    return merged.assign(unique_id=pd.Series(ids, dtype="str"))


def _reduce(
    dataset: Dataset, matches: Sequence[Match], described: "pd.DataFrame"
) -> Dataset:
    """Keep the ratings of linked titles, coded anew, in the order of the source."""
    old = dataset.ratings
    is_linked = np.zeros(old.n_items, dtype=bool)
    is_linked[[match.wanted.code for match in matches]] = True
    kept = np.flatnonzero(is_linked[old.items])
    kept = kept[np.argsort(old.rows[kept], kind="stable")]
    ratings = Ratings.from_codes(
        (old.users[kept], old.user_ids),
        (old.items[kept], old.item_ids),
        old.values[kept],
        scale=old.scale,
        timestamps=None if old.timestamps is None else old.timestamps[kept],
    )
    source = kept[ratings.rows]
    tested, watched = dataset.predefined_test, dataset.watch_minutes
    return replace(
        dataset,
        name=f"{dataset.name}-linked",
        ratings=ratings,
        catalogue=align_catalogue(
            described, described["unique_id"].tolist(), ratings.item_ids
        ),
        predefined_test=None if tested is None else tested[source],
        watch_minutes=None if watched is None else watched[source],
    )


def _links(
    dataset: Dataset,
    matches: Sequence[Match],
    catalogue: "pd.DataFrame",
    n_ratings: npt.NDArray[np.intp],
) -> "pd.DataFrame":
    import pandas as pd

    codes = [match.wanted.code for match in matches]
    shown = catalogue.iloc[[match.film.rows[0] for match in matches]]
    unique_ids = catalogue["unique_id"].tolist()
    columns = (
        dataset.ratings.item_ids[codes],
        dataset.catalogue.frame["title"].iloc[codes].to_numpy(),
        [match.wanted.year for match in matches],
        shown["title"].to_numpy(),
        shown["release_year"].to_numpy().astype(int),
        [", ".join(unique_ids[row] for row in match.film.rows) for match in matches],
        [match.kind for match in matches],
        [may_agree(match.wanted.families, match.film.families) for match in matches],
        n_ratings[codes],
    )
    return pd.DataFrame(dict(zip(LINK_COLUMNS, columns, strict=True)))
