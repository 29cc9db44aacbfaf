"""Films matched by title and year, or refused where two films could be meant."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Literal

from harness.data.linking.spelling import (
    TitleForms,
    genre_families,
    may_agree,
    read_title,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "KINDS",
    "Match",
    "MatchKind",
    "WantedFilm",
    "group_films",
    "match_films",
    "merge_rows",
]


PLATFORM_ORDER = ("NETFLIX", "DISNEY", "AMAZON", "HULU")
"""From whom a value is taken first. Netflix and Disney+ give country, date and a common
content rating; Amazon's are mostly missing or its own; Hulu has neither cast nor
director. Other sources follow, in order of their names."""

TOLERANCE_MINUTES = {0: 10.0, 1: 2.0}
"""How far durations of one film may lie apart, by the difference of the years. In the
four published catalogues, pairs of equal title and different people are 5 to 36 minutes
apart; pairs of one film in neighbouring years at most 1 minute."""

TOGETHER = (
    ("maturity", "rating"),
    ("duration_minutes", "duration", "n_seasons"),
    ("title", "release_year", "show_id", "type"),
)
"""Columns that must come from one row, or they would contradict each other."""


@dataclass(frozen=True, slots=True)
class CatalogueFilm:
    """A film, as one or more platforms show it."""

    # Positions in the catalogue, in the order in which values are taken
    rows: tuple[int, ...]
    short: str  # key of the title without its article, see `TitleForms`
    full: frozenset[str]  # keys of the title, with their articles
    years: frozenset[int]  # years of release that the platforms name
    families: frozenset[str]  # families of its genres


@dataclass(frozen=True, slots=True)
class _Row:
    position: int
    rank: tuple[bool, int, str, int]
    forms: TitleForms
    year: int
    directors: frozenset[str]
    cast: frozenset[str]
    minutes: float
    families: frozenset[str]

    def is_same_film(self, other: "_Row") -> bool:
        """Say whether two rows of one short title are one film."""
        years_apart = abs(self.year - other.year)
        if years_apart > 1:
            return False
        people = (self.directors, other.directors), (self.cast, other.cast)
        if any(a and b for a, b in people):
            return any(a & b for a, b in people)
        # "The Trap" and "Trap" of one year are two films: without people, no liberties.
        if self.forms.full != other.forms.full:
            return False
        apart = abs(self.minutes - other.minutes)
        # An edition ("Extended Cut") may be longer; unknown durations say nothing.
        if isnan(apart) or self.is_edition != other.is_edition:
            return years_apart == 0
        return apart <= TOLERANCE_MINUTES[years_apart]

    @property
    def is_edition(self) -> bool:
        """Whether brackets follow the title."""
        return self.rank[0]


def group_films(
    catalogue: "pd.DataFrame", wanted: Collection[str]
) -> dict[str, list[CatalogueFilm]]:
    """Bring the rows of each film together.

    Rows of equal title within a year of each other are one film if they share a
    director or an actor; where people cannot be compared, if their durations are close.
    """
    buckets: dict[str, list[_Row]] = defaultdict(list)
    for row in _movies(catalogue):
        if row.forms.short in wanted:
            buckets[row.forms.short].append(row)
    return {
        short: [_film(short, group) for group in _groups(rows)]
        for short, rows in buckets.items()
    }


def merge_rows(
    catalogue: "pd.DataFrame", films: Sequence[Sequence[int]]
) -> "pd.DataFrame":
    """Merge what several rows know of one film, for many films."""
    merged = catalogue.iloc[[rows[0] for rows in films]].reset_index(drop=True)
    known = catalogue.notna()
    together = {column for group in TOGETHER for column in group}
    groups = [*TOGETHER, *((c,) for c in catalogue.columns if c not in together)]
    for columns in groups:
        has_value = known[columns[0]].tolist()
        donors = [next((r for r in rows if has_value[r]), rows[0]) for rows in films]
        for column in columns:
            merged[column] = catalogue[column].iloc[donors].set_axis(merged.index)
    sources = catalogue["source"].tolist()
    merged["source"] = [", ".join(dict.fromkeys(sources[r] for r in f)) for f in films]
    return merged


def _movies(catalogue: "pd.DataFrame") -> Iterator[_Row]:
    usable = catalogue["type"].eq("Movie") & catalogue[
        ["title", "release_year"]
    ].notna().all(axis=1)
    chosen = catalogue[usable]
    columns = (
        "title",
        "release_year",
        "director",
        "cast",
        "duration_minutes",
        "listed_in",
    )
    values = (chosen[column].tolist() for column in (*columns, "source"))
    for position, title, year, director, cast, minutes, genres, source in zip(
        chosen.index, *values, strict=True
    ):
        forms = read_title(title)
        known = source in PLATFORM_ORDER
        platform = PLATFORM_ORDER.index(source) if known else len(PLATFORM_ORDER)
        yield _Row(
            position=position,
            # A plain title goes before "(Extended Cut)" and the like.
            rank=("(" in title or "[" in title, platform, source, position),
            forms=forms,
            year=forms.year or int(year),
            directors=_names(director),
            cast=_names(cast),
            minutes=minutes,
            families=genre_families(genres),
        )


def _names(people: object) -> frozenset[str]:
    if not isinstance(people, str):
        return frozenset()
    return frozenset(name.strip().casefold() for name in people.split(",")) - {""}


def _groups(rows: list[_Row]) -> list[list[_Row]]:
    groups: list[list[_Row]] = []
    # Rows that name people first: a row that names none must not bridge two films.
    for row in sorted(rows, key=lambda r: (not r.directors and not r.cast, r.rank)):
        fitting = [g for g in groups if any(row.is_same_film(other) for other in g)]
        if len(fitting) == 1 or (fitting and (row.directors or row.cast)):
            groups = [g for g in groups if g not in fitting]
            groups.append([row, *(other for g in fitting for other in g)])
        else:
            groups.append([row])
    return groups


def _film(short: str, group: list[_Row]) -> CatalogueFilm:
    return CatalogueFilm(
        rows=tuple(row.position for row in sorted(group, key=lambda r: r.rank)),
        short=short,
        full=frozenset(row.forms.full for row in group),
        years=frozenset(row.year for row in group),
        families=frozenset[str]().union(*(row.families for row in group)),
    )


MatchKind = Literal["exact", "article", "alternative", "year"]
KINDS: Mapping[MatchKind, str] = {
    "exact": "same title, same year",
    "article": "title without its article, same year",
    "alternative": "alternative title in brackets, same year",
    "year": "same title, year one off",
}
"""Kinds of matches and what they mean, the most trustworthy first."""


@dataclass(frozen=True, slots=True)
class WantedFilm:
    """A film to be found in a catalogue."""

    code: int
    forms: TitleForms
    year: int
    families: frozenset[str]  # families of its genres; empty if unknown


@dataclass(frozen=True, slots=True)
class Match:
    """A film that was found."""

    wanted: WantedFilm
    film: CatalogueFilm
    kind: MatchKind


def match_films(
    wanted: Sequence[WantedFilm], films: Mapping[str, Sequence[CatalogueFilm]]
) -> tuple[list[Match], set[int]]:
    """Find each film in the catalogue, or refuse to guess.

    Same title and same year are believed. Each liberty asks for more: a missing article
    or an alternative title needs a shared genre; a year one off needs, besides, that no
    other film on either side has that title, for remakes are many. Where several films
    of the catalogue fit equally well, or one film of the catalogue several of the wanted
    ones, none is matched, unless the latter are one film entered twice.
    """
    spread = _years_of_titles(wanted, films)
    found: list[Match] = []
    ambiguous: set[int] = set()
    for item in wanted:
        candidates = _candidates(item, films, spread)
        if len(candidates) == 1:
            found.append(candidates[0])
        elif candidates:
            ambiguous.add(item.code)
    kept = _settle_claims(found)
    ambiguous |= {match.wanted.code for match in found} - {m.wanted.code for m in kept}
    return kept, ambiguous


def _years_of_titles(
    wanted: Iterable[WantedFilm], films: Mapping[str, Sequence[CatalogueFilm]]
) -> Counter[str]:
    """Count the films that share a short title, on the side that has more of them."""
    here = Counter({(w.forms.short, w.year) for w in wanted})
    asked = Counter(short for short, _ in here)
    there = Counter({short: len(group) for short, group in films.items()})
    return asked | there


def _candidates(
    item: WantedFilm,
    films: Mapping[str, Sequence[CatalogueFilm]],
    n_namesakes: Counter[str],
) -> list[Match]:
    """List the catalogue's films that fit best: all of the most trustworthy kind."""
    by_kind: dict[MatchKind, list[Match]] = defaultdict(list)
    for short in (item.forms.short, *item.forms.others):
        for film in films.get(short, ()):
            kind = _kind_of(item, film)
            if kind == "year" and n_namesakes[short] > 1:
                continue
            if kind is not None:
                by_kind[kind].append(Match(item, film, kind))
    return next((by_kind[kind] for kind in KINDS if kind in by_kind), [])


def _kind_of(item: WantedFilm, film: CatalogueFilm) -> MatchKind | None:
    same_title = item.forms.full in film.full
    if item.year in film.years:
        if same_title:
            return "exact"
        if not may_agree(item.families, film.families):
            return None
        return "article" if item.forms.short == film.short else "alternative"
    one_off = any(abs(item.year - year) == 1 for year in film.years)
    agreed = may_agree(item.families, film.families)
    return "year" if same_title and one_off and agreed else None


def _settle_claims(found: Iterable[Match]) -> list[Match]:
    """Give each film of the catalogue to one wanted film, to twins, or to none."""
    claims: dict[tuple[int, ...], list[Match]] = defaultdict(list)
    for match in found:
        claims[match.film.rows].append(match)
    kept: list[Match] = []
    for rivals in claims.values():
        best = next(kind for kind in KINDS if any(m.kind == kind for m in rivals))
        winners = [m for m in rivals if m.kind == best]
        identities = {
            (m.wanted.forms, m.wanted.year, m.wanted.families) for m in winners
        }
        if len(identities) == 1:
            kept += winners
    return sorted(kept, key=lambda match: match.wanted.code)
