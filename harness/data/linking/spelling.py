"""Titles and genres brought to a form in which two spellings of one are equal."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TitleForms", "genre_families", "may_agree", "read_title", "title_key"]


BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
TRAILING_BRACKETS = re.compile(r"(?:[\s-]*[(\[{][^()\[\]{}]*[)\]}])+\s*$")
MOVED_ARTICLE = re.compile(
    r"(?P<rest>.+), (?P<article>the|an?|l[aeo']|les|los|las|el|il|lo|gli|i|un|una|une"
    r"|das|der|die|den|det|ein|eine|o|os|as)",
    re.IGNORECASE,
)
LEADING_ARTICLE = re.compile(r"^(the|an?)\s+(?=\S)")
ALSO_KNOWN_AS = re.compile(r"^(a\.?k\.?a\.?|also known as)\s+", re.IGNORECASE)
EPISODE = re.compile(r"\bepisode [ivx]+\b", re.IGNORECASE)
EDITION = re.compile(
    r"\b(4k|uhd|hd|(un)?cut|editions?|versions?|subtitled|subbed|sub|dub|dubbed|unrated"
    r"|restored|remastered|colou?r|colorized|black & white|silent|short|bonus|dialog"
    r"|language|narration|episode|special|vol(ume)?|movie|workout|weights|in spanish"
    r"|hindi|tamil|telugu|telegu|malayalam|kannada|marathi|english|us|v)\b",
    re.IGNORECASE,
)
YEAR = re.compile(r"(?:18|19|20)\d\d")

WORDS = {
    "&": "and", "+": "and", "pt": "part", "vol": "volume", "vs": "versus",
    "dr": "doctor", "mr": "mister", "mt": "mount",
}  # fmt: skip
UNDECOMPOSED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
ROMAN = {
    roman: str(number)
    for number, roman in enumerate(
        ("ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"), start=2
    )
}
"""Roman numerals of sequels. A lone "I" is more often a pronoun than a number; "V" and
"X" as numbers do no harm, because both sides of a comparison get the same treatment."""


@dataclass(frozen=True, slots=True)
class TitleForms:
    """The forms under which one title may be found elsewhere."""

    full: str  # key of the title itself, with its leading article
    short: str  # the same without a leading English article
    # Keys, without article, of the alternative titles in brackets
    others: tuple[str, ...]
    # Year in brackets, where the title has one: ``"The Courier (2021)"``
    year: int | None


def title_key(text: str) -> str:
    """Reduce a title to what spellings of it have in common.

    Case, accents, punctuation and spaces go; "&" becomes "and", a Roman numeral the
    number, an article moved to the end comes back to the front.

    Examples
    --------
    >>> title_key("Misérables, Les") == title_key("Les Miserables")
    True
    >>> title_key("Fast & Furious II")
    'fastandfurious2'
    """
    return _joined(_plain(text)) or text.strip().casefold()


def read_title(text: str) -> TitleForms:
    """Work out the forms of a title as a data set writes it.

    Examples
    --------
    >>> read_title("Seven (a.k.a. Se7en)")
    TitleForms(full='seven', short='seven', others=('se7en',), year=None)
    >>> read_title("Matrix, The").full, read_title("The Matrix").short
    ('thematrix', 'matrix')
    """
    outside = TRAILING_BRACKETS.sub("", text) or text
    inside = [part.strip() for part in BRACKETS.findall(text[len(outside) :])]
    years = [int(part) for part in inside if YEAR.fullmatch(part)]
    others = [ALSO_KNOWN_AS.sub("", part) for part in inside if _is_title(part)]
    # "Star Wars: Episode IV - A New Hope" is elsewhere "Star Wars: A New Hope".
    if EPISODE.search(outside):
        others.append(EPISODE.sub("", outside))
    short = _short_key(outside)
    keys = dict.fromkeys(_short_key(other) for other in others)
    return TitleForms(
        full=title_key(outside),
        short=short,
        others=tuple(key for key in keys if key and key != short),
        year=years[-1] if years else None,
    )


def _plain(text: str) -> str:
    """Lower case without accents, words apart, and a moved article back in front."""
    moved = MOVED_ARTICLE.fullmatch(text.strip())
    if moved:
        text = f"{moved['article']} {moved['rest']}"
    letters = unicodedata.normalize("NFKD", text.casefold().translate(UNDECOMPOSED))
    return "".join(c for c in letters if not unicodedata.combining(c)).strip()


def _joined(plain: str) -> str:
    # Apostrophes and dots join ("Schindler's", "S.W.A.T."), all else separates.
    words = re.findall(r"[^\W_]+|[&+]", re.sub(r"['\u2019\u02bc`.]", "", plain))
    return "".join(WORDS.get(word, ROMAN.get(word, word)) for word in words)


def _short_key(text: str) -> str:
    plain = _plain(text)
    return _joined(LEADING_ARTICLE.sub("", plain, count=1)) or title_key(text)


def _is_title(part: str) -> bool:
    return bool(part) and not YEAR.fullmatch(part) and not EDITION.search(part)


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
    """Say whether two titles may be one film, as far as their genres tell."""
    return not one or not other or bool(one & other)
