"""The words that titles, people and plots are made of."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["vocabulary"]


@cache
def vocabulary() -> dict[str, Any]:
    """Read the shipped vocabulary.

    Returns
    -------
    dict
        The tables of ``vocabulary.toml``: genres, themes, countries, names, places,
        platforms and content_ratings.
    """
    text = resources.files(__package__).joinpath("vocabulary.toml").read_text("utf-8")
    return tomllib.loads(text)
