"""Content ratings of several systems on one scale: the age from which they allow a title."""

import re
from collections.abc import Iterable

__all__ = ["age_from", "is_unrated", "unknown_labels"]

AGES = {
    "G": 0, "PG": 7, "PG-13": 13, "R": 17, "NC-17": 18, "X": 18,
    "TV-Y": 0, "TV-Y7": 7, "TV-Y7-FV": 7, "TV-G": 0, "TV-PG": 7, "TV-14": 14, "TV-MA": 17,
    "ALL": 0, "ALL_AGES": 0, "U": 0,
}  # fmt: skip

UNRATED = {"NR", "UR", "TV-NR", "UNRATED", "NOT RATED", "NOT_RATE", "NOT_RATED", "N/A"}

NAMED_AGE = re.compile(r"(?:AGES_|FSK ?|PEGI ?)?(\d{1,2})(?:\+|_|A)?")
OLDEST = 21


def age_from(rating: str) -> float | None:
    """Tell from which age a content rating allows a title.

    =====================  =======================================================
    system                 ages
    =====================  =======================================================
    Motion Picture         G 0, PG 7, PG-13 13, R 17, NC-17 18 (no one 17 and under)
    Association (films)
    TV Parental            TV-Y 0, TV-G 0, TV-Y7 and TV-Y7-FV 7, TV-PG 7, TV-14 14,
    Guidelines             TV-MA 17
    Amazon Prime           ALL 0, 7+, 13+, 16+, 18+; also AGES_16_ and the like
    age in the label       FSK 16, PEGI 12, BBFC 12A, 15: the age itself; BBFC U 0
    =====================  =======================================================

    PG and TV-PG ask parents to decide and name no age; they stand at 7, above G and
    below everything for teenagers, where the streaming services put them too.

    Parameters
    ----------
    rating : str
        The content rating, in any case.

    Returns
    -------
    float or None
        Years of age; None for a title that is not rated, or a rating that is not
        known.

    References
    ----------
    Motion Picture Association and National Association of Theatre Owners,
    "Classification and Rating Rules", 2020. TV Parental Guidelines Monitoring Board,
    "The TV Parental Guidelines". Prime Video Help, "Maturity Ratings". British Board
    of Film Classification, "Classification Guidelines".

    Examples
    --------
    >>> [age_from(r) for r in ("TV-MA", "AGES_18_", "13+", "pg-13", "NR")]
    [17.0, 18.0, 13.0, 13.0, None]
    """
    label = rating.strip().upper()
    if label in AGES:
        return float(AGES[label])
    found = NAMED_AGE.fullmatch(label)
    if found and int(found[1]) <= OLDEST:
        return float(found[1])
    return None


def is_unrated(rating: str) -> bool:
    """Say whether a label states that a title has no content rating.

    Parameters
    ----------
    rating : str
        The content rating, in any case.

    Returns
    -------
    bool
        True for ``NR``, ``UNRATED`` and the like.
    """
    return rating.strip().upper() in UNRATED


def unknown_labels(ratings: Iterable[str]) -> list[str]:
    """List the labels that belong to no system known here.

    Parameters
    ----------
    ratings : iterable of str
        Content ratings.

    Returns
    -------
    list of str
        Sorted, each once.
    """
    return sorted({r for r in ratings if age_from(r) is None and not is_unrated(r)})
