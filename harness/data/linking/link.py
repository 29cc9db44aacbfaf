"""Ratings linked to a streaming catalogue by title and year."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import align_catalogue
from harness.data.dataset import Dataset
from harness.data.linking.match import (
    KINDS,
    Match,
    MatchKind,
    WantedFilm,
    group_films,
    match_films,
    merge_rows,
)
from harness.data.linking.spelling import genre_families, may_agree, read_title
from harness.data.ratings import Ratings
from harness.data.wording import counted
from harness.data.write import new_folder, write_files
from harness.errors import DataError
from harness.formatting import percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LINK_COLUMNS", "link", "write_linked"]


LINK_COLUMNS = (
    "item_id",
    "title",
    "release_year",
    "catalogue_title",
    "catalogue_year",
    "unique_id",
    "kind",
    "genres_agree",
    "n_ratings",
)
"""Columns of the table of links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounts:
    """What became of the rated titles."""

    # Linked titles by the kind of match, see `harness.data.linking.match.KINDS`
    by_kind: Mapping[MatchKind, int]
    # Titles that fit several films, or share their film with another title
    ambiguous: int
    undated: int  # titles that could not be looked for: without a title or a year
    unmatched: int  # titles that are not in the catalogue
    n_ratings: int  # of the linked titles
    n_ratings_before: int  # of all titles

    @property
    def linked(self) -> int:
        """Number of linked titles."""
        return sum(self.by_kind.values())

    def sentences(self) -> list[str]:
        """Say it in words."""
        kinds = "; ".join(f"{KINDS[kind]}: {n:,}" for kind, n in self.by_kind.items())
        share = self.n_ratings / self.n_ratings_before
        return [
            f"{counted(self.linked, 'rated title')} linked to the catalogue ({kinds}).",
            (
                f"{self.n_ratings:,} of {self.n_ratings_before:,} ratings ({percent(share, 1)}) "
                "are of linked titles; the others were left out."
            ),
            (
                f"Not linked: {counted(self.unmatched, 'title')} not in the catalogue, "
                f"{self.ambiguous:,} ambiguous, {self.undated:,} without title or year."
            ),
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkResult:
    """Ratings with the metadata of a catalogue."""

    # Only the linked titles and the users who rated them. In its catalogue
    # ``unique_id`` is the item id of the ratings; all else is the catalogue's
    dataset: Dataset
    # shape (n_linked, 9): What was linked to what, in the columns of `LINK_COLUMNS`,
    # for a person to check. ``unique_id`` lists the catalogue's rows, ``kind`` is a key
    # of `KINDS`
    links: "pd.DataFrame"
    counts: LinkCounts  # what became of the rated titles


def write_linked(result: LinkResult, folder: Path) -> None:
    """Write the linked data set, and the links in ``links.csv`` beside it."""
    with new_folder(folder) as unfinished:
        write_files(result.dataset, unfinished)
        result.links.to_csv(unfinished / "links.csv", index=False)


def link(dataset: Dataset, catalogue: "pd.DataFrame") -> LinkResult:
    """Give the titles of a data set the metadata of a streaming catalogue.

    Films are matched by title and year of release; `match_films` says how, and when it
    refuses. A film on several platforms is one film: its values are taken from the
    first platform of `PLATFORM_ORDER` that knows them.
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
