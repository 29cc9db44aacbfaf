"""Films matched by title and year, or refused where two films could be meant."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.data.films import CatalogueFilm
from harness.data.genres import may_agree
from harness.data.titles import TitleForms

__all__ = ["KINDS", "Match", "MatchKind", "WantedFilm", "match_films"]

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
    """A film to be found in a catalogue.

    Parameters
    ----------
    code : int
        Item code.
    forms : TitleForms
        Forms of its title.
    year : int
        Year of release.
    families : frozenset of str
        Families of its genres; empty if unknown.
    """

    code: int
    forms: TitleForms
    year: int
    families: frozenset[str]


@dataclass(frozen=True, slots=True)
class Match:
    """A film that was found.

    Parameters
    ----------
    wanted : WantedFilm
        What was looked for.
    film : CatalogueFilm
        What was found.
    kind : {"exact", "article", "alternative", "year"}
        By what it was found.
    """

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

    Parameters
    ----------
    wanted : sequence of WantedFilm
        What to look for: all titles of the data set, for they compete.
    films : mapping of str to sequence of CatalogueFilm
        The catalogue, by short title key.

    Returns
    -------
    matches : list of Match
        In the order of `wanted`.
    ambiguous : set of int
        Codes of the films that were refused.
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
