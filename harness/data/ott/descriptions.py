"""Invented plots, in words that go with the genres and with the theme of a title."""

import numpy as np

from harness.data.ott.titles import Titles
from harness.data.ott.vocabulary import vocabulary

__all__ = ["describe_titles"]

SINGULAR = ("a ", "an ", "the last ", "the crew ")


def describe_titles(rng: np.random.Generator, titles: Titles) -> list[str]:
    """Write a description of each title.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    titles : Titles
        Their genres and themes count.

    Returns
    -------
    list of str, length n_titles
        Two sentences each.
    """
    words = vocabulary()
    genres = list(words["genres"].values())
    themes = list(words["themes"].values())
    places = words["places"]["names"]
    chances = rng.integers(2**31, size=(len(titles.names), 8)).tolist()
    texts = []
    for k, chance in enumerate(chances):
        first = genres[titles.first_genres[k]]
        having = [genres[g] for g in np.flatnonzero(titles.genres[k])]
        other = having[chance[6] % len(having)]
        about, also = _two(themes[titles.themes[k]], chance[0], chance[1])
        who = first["who"][chance[2] % len(first["who"])]
        what = other["what"][chance[3] % len(other["what"])]
        goal = (first if chance[7] % 2 else other)["goal"]
        place = places[chance[4] % len(places)]
        plural = not who.startswith(SINGULAR)
        must = "must" if chance[7] % 3 else _agree("sets out to", plural=plural)
        texts.append(
            f"In {place}, {who} {_agree(what, plural=plural)} and {must} "
            f"{goal[chance[5] % len(goal)]}. A story of {about} and {also}."
        )
    return texts


def _two(words: list[str], one: int, other: int) -> tuple[str, str]:
    """Pick two different words."""
    first = one % len(words)
    second = (first + 1 + other % (len(words) - 1)) % len(words)
    return words[first], words[second]


def _agree(what: str, *, plural: bool) -> str:
    """Put the verb in the plural: ``"falls"`` becomes ``"fall"``."""
    if not plural:
        return what
    verb, _, rest = what.partition(" ")
    irregular = {"is": "are", "hatches": "hatch", "misses": "miss"}
    return f"{irregular.get(verb, verb.removesuffix('s'))} {rest}"
