"""MovieLens folders, in the three layouts in which GroupLens has published them.

References
----------
F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM
Transactions on Interactive Intelligent Systems 5 (4), 2015. The layouts are described in
the README of each data set.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.data.options import ReadOptions
from harness.data.readers.checks import RatingTable, stack
from harness.data.readers.files import open_text
from harness.data.readers.table import read_table
from harness.data.wording import counted
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Layout", "find_layout", "parse_title"]


Film = tuple[str, str, Sequence[str]]
"""Id, title with year, genres."""

GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery",
    "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""Order of the 19 flags in ``u.item``, as its README gives it."""

UNKNOWN = {"", "unknown", "(no genres listed)"}
TITLE = re.compile(r"(.*\S)\s*\((\d{4})(?:[-\N{EN DASH}]\d{0,4})?\)(?: \(V\))?")


@dataclass(frozen=True, slots=True)
class Layout:
    """A MovieLens folder in one of its forms; the file of titles need not be there."""

    ratings: Path
    films: Path
    parse_films: Callable[[Path], Iterator[Film]]

    def read_ratings(self, options: ReadOptions) -> RatingTable:
        """Read the ratings, or both parts of a predefined split."""
        if options.predefined is None:
            return read_table(self.ratings, options)
        folder, name = self.ratings.parent, options.predefined
        base, test = folder / f"{name}.base", folder / f"{name}.test"
        if not (base.is_file() and test.is_file()):
            there = sorted(
                p.stem
                for p in folder.glob("*.base")
                if p.with_suffix(".test").is_file()
            )
            raise DataError(
                f"{folder}: has no predefined split {name!r} ({base.name} and "
                f"{test.name}); {f'choose from {there}' if there else 'it has none'}."
            )
        plain = replace(options, predefined=None)
        return stack(read_table(base, plain), read_table(test, plain))

    def scale_of(self, table: RatingTable) -> tuple[float, float]:
        """Tell the rating scale."""
        halves = self.ratings.name.startswith("ratings.csv") or (
            self.ratings.name.startswith("ratings.dat")
            and bool((table.stars % 1 != 0).any())
        )
        return (0.5, 5.0) if halves else (1.0, 5.0)

    def read_films(self) -> tuple["pd.DataFrame | None", list[str]]:
        """Read the titles."""
        if not self.films.is_file():
            return None, [f"{self.films.name} is not there: titles are not known."]
        try:
            films = list(self.parse_films(self.films))
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{self.films}: is not the file of titles that belongs to "
                f"{self.ratings.name}: {error}."
            ) from error
        return _frame(films)

    def read_users(self) -> "pd.DataFrame | None":
        """Read age, gender, occupation and the first character of the zip code, by user.

        MovieLens 100K and 1M tell them; None for the others.
        """
        for name, separator, order in (
            ("u.user", "|", ("age", "gender", "occupation", "zip")),
            ("users.dat", "::", ("gender", "age", "occupation", "zip")),
        ):
            path = self.ratings.parent / name
            if path.is_file():
                return _read_users(path, separator, order)
        return None


def _read_users(path: Path, separator: str, order: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    with open_text(path, "latin-1") as file:
        lines = [line.rstrip("\r\n").split(separator) for line in file if line.strip()]
    try:
        users = pd.DataFrame(
            [dict(zip(order, cells[1:], strict=True)) for cells in lines],
            index=pd.Index([cells[0] for cells in lines], dtype=object),
            columns=list(order),
        )
        users["age"] = users["age"].astype(float)
    except ValueError as error:
        raise DataError(
            f"{path}: is not the file of users that belongs to the ratings: {error}."
        ) from error
    users["region"] = users.pop("zip").str[:1]
    return users[~users.index.duplicated()]


def find_layout(folder: Path) -> Layout | None:
    """Recognise a MovieLens folder by its files."""
    for ratings, films, parse in (
        ("u.data", "u.item", _films_of_u_item),
        ("ratings.dat", "movies.dat", _films_of_movies_dat),
        ("ratings.csv", "movies.csv", _films_of_movies_csv),
    ):
        for end in ("", ".gz"):
            path = folder / (ratings + end)
            titles = next(
                (p for e in ("", ".gz") if (p := folder / (films + e)).is_file()), None
            )
            # A ratings.csv alone is a table like any other.
            if path.is_file() and (titles or ratings != "ratings.csv"):
                return Layout(path, titles or folder / films, parse)
    return None


def parse_title(text: str) -> tuple[str | None, float]:
    """Separate title and year.

    Examples
    --------
    >>> parse_title("Toy Story (1995)")
    ('Toy Story', 1995.0)
    >>> parse_title("Babylon 5")
    ('Babylon 5', nan)
    """
    text = text.strip()
    if text in UNKNOWN:
        return None, np.nan
    found = TITLE.fullmatch(text)
    return (found[1], float(found[2])) if found else (text, np.nan)


def _films_of_u_item(path: Path) -> Iterator[Film]:
    with open_text(path, "latin-1") as file:
        for line in filter(str.strip, file):
            cells = line.rstrip("\r\n").split("|")
            flags = (flag == "1" for flag in cells[-len(GENRES_100K) :])
            yield cells[0], cells[1], tuple(compress(GENRES_100K, flags))


def _films_of_movies_dat(path: Path) -> Iterator[Film]:
    # 1M is in Latin-1, 10M in UTF-8, and nothing in the files says which.
    try:
        with open_text(path, "utf-8") as file:
            lines = file.read().splitlines()
    except UnicodeError:
        with open_text(path, "latin-1") as file:
            lines = file.read().splitlines()
    for line in filter(str.strip, lines):
        film_id, title, genres = line.split("::")
        yield film_id, title, genres.split("|")


def _films_of_movies_csv(path: Path) -> Iterator[Film]:
    with open_text(path, "utf-8") as file:
        for row in csv.DictReader(file):
            try:
                yield row["movieId"], row["title"], row["genres"].split("|")
            except KeyError as error:
                raise ValueError(f"it has no column {error}") from error


def _frame(films: Sequence[Film]) -> tuple["pd.DataFrame", list[str]]:
    import pandas as pd

    ids = pd.Series([f[0].strip() for f in films], dtype="str")
    titles = [parse_title(f[1]) for f in films]
    genres = [", ".join(g for g in f[2] if g not in UNKNOWN) or None for f in films]
    frame = pd.DataFrame(
        {
            "unique_id": ids,
            "show_id": ids,
            "type": pd.Series("Movie", index=ids.index, dtype="str"),
            "title": pd.Series([t for t, _ in titles], dtype="str"),
            "release_year": [y for _, y in titles],
            "listed_in": pd.Series(genres, dtype="str"),
        }
    )
    counts = {
        "without title": frame["title"].isna().sum(),
        "without year": frame["release_year"].isna().sum(),
        "without genre": frame["listed_in"].isna().sum(),
    }
    return frame, [f"{counted(n, 'film')} {what}." for what, n in counts.items() if n]
