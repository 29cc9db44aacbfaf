"""Genres of different vocabularies, compared by what they have in common."""

from collections.abc import Mapping

__all__ = ["genre_families", "may_agree"]

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "documentary": ("documentar",),
    "action": ("action", "adventure", "war", "military", "western", "superhero", "spy"),
    "comedy": ("comed", "stand up", "stand-up", "parody"),
    "drama": ("drama", "histor", "biograph", "coming of age"),
    "family": ("animat", "anime", "cartoon", "child", "kids", "family"),
    "fantastic": ("sci-fi", "science fiction", "fantasy"),
    "music": ("music", "concert", "dance"),
    "romance": ("roman",),
    "suspense": (
        "suspense",
        "thriller",
        "horror",
        "crime",
        "mystery",
        "noir",
        "film-noir",
    ),
}
"""Beginnings of the words of each family, as MovieLens and four platforms write them.
"International", "Independent" and the like say nothing of what a film is about."""


def genre_families(genres: object) -> frozenset[str]:
    """Find the families to which the genres of a title belong.

    Parameters
    ----------
    genres : str or missing value
        Comma-separated genres of any vocabulary.

    Returns
    -------
    frozenset of str
        Empty where nothing is known.

    Examples
    --------
    >>> sorted(genre_families("Sci-Fi & Fantasy, Thrillers, International Movies"))
    ['fantastic', 'suspense']
    """
    if not isinstance(genres, str):
        return frozenset()
    text = f" {genres.lower()}"
    return frozenset(
        family
        for family, beginnings in FAMILIES.items()
        if any(f" {beginning}" in text for beginning in beginnings)
    )


def may_agree(one: frozenset[str], other: frozenset[str]) -> bool:
    """Say whether two titles may be one film, as far as their genres tell.

    Parameters
    ----------
    one, other : frozenset of str
        Families of the two titles.

    Returns
    -------
    bool
        True if they share a family, or nothing is known of one.
    """
    return not one or not other or bool(one & other)
