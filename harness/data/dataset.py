"""A data set: ratings, the catalogue of their titles, and where both come from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings

__all__ = ["Dataset", "DatasetFacts"]


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What studies, trackers and reports say about a data set.

    Parameters
    ----------
    name : str
        Short name: ``"ml-100k"``.
    source : str
        What the user named: a path, or the name of an embedded data set.
    fingerprint : str
        Of ratings and catalogue together.
    n_users, n_items, n_ratings : int
        Counts of all ratings, training and test part alike.
    scale : tuple of float
        Lowest and highest rating that is possible.
    ratings_fingerprint : str, optional
        Of the ratings alone.
    simulated : bool, default False
        Whether the ratings were made by a program.
    notes : tuple of str
        What the reader repaired or left out, counted, one sentence each.
    options : mapping
        JSON-like: what the user said about how to read the source, by option.
    """

    name: str
    source: str
    fingerprint: str
    n_users: int
    n_items: int
    n_ratings: int
    scale: tuple[float, float]
    ratings_fingerprint: str | None = None
    simulated: bool = False
    notes: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Ratings and the catalogue of their titles.

    Parameters
    ----------
    name : str
        Short name for studies, runs and reports: ``"ml-100k"``.
    ratings : Ratings
        All ratings, training and test part alike.
    catalogue : Catalogue
        Empty, or one row for each item code.
    source : str
        What the user named: a path, or the name of an embedded data set.
    simulated : bool, default False
        Whether the ratings were made by a program; every report says so.
    notes : tuple of str
        What the reader repaired or left out, counted, one sentence each.
    predefined_test : ndarray of bool, shape (n_ratings,), optional
        True for the ratings of the test part that the source itself defines.
    watch_minutes : ndarray of float32, shape (n_ratings,), optional
        Minutes watched, where the source knows them.
    options : mapping
        JSON-like: what the user said about how to read the source, by option.
    """

    name: str
    ratings: Ratings
    catalogue: Catalogue
    source: str
    simulated: bool = False
    notes: tuple[str, ...] = ()
    predefined_test: npt.NDArray[np.bool_] | None = None
    watch_minutes: npt.NDArray[np.float32] | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def ratings_fingerprint(self) -> str:
        """Hash of the ratings alone: 16 hexadecimal digits."""
        return self.ratings.fingerprint()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ratings and catalogue: 16 hexadecimal digits."""
        parts = self.ratings_fingerprint + self.catalogue.fingerprint()
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def facts(self) -> DatasetFacts:
        """Collect what studies, trackers and reports say about the data set."""
        ratings = self.ratings
        return DatasetFacts(
            name=self.name,
            source=self.source,
            fingerprint=self.fingerprint,
            ratings_fingerprint=self.ratings_fingerprint,
            n_users=ratings.n_users,
            n_items=ratings.n_items,
            n_ratings=len(ratings),
            scale=(ratings.scale.low, ratings.scale.high),
            simulated=self.simulated,
            notes=self.notes,
            options=dict(self.options),
        )

    def introduction(self) -> list[str]:
        """Say size and notes in a few lines, as commands do before they start."""
        simulated = ", simulated" if self.simulated else ""
        ratings = self.ratings
        size = (
            f"{self.name}{simulated}: {len(ratings):,} ratings, {ratings.n_users:,} "
            f"users, {ratings.n_items:,} titles"
        )
        return [size, *(f"  {note}" for note in self.notes)]
