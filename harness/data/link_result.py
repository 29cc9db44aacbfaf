"""What linking gives: the linked data set, the links, and their counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from harness.data.dataset import Dataset
from harness.data.matching import KINDS, MatchKind
from harness.data.notes import counted
from harness.data.written_folder import write_dataset
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LINK_COLUMNS", "LinkCounts", "LinkResult", "write_linked"]

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
    """What became of the rated titles.

    Parameters
    ----------
    by_kind : mapping of str to int
        Linked titles by the kind of match, see `harness.data.matching.KINDS`.
    ambiguous : int
        Titles that fit several films, or share their film with another title.
    undated : int
        Titles that could not be looked for: without a title or a year.
    unmatched : int
        Titles that are not in the catalogue.
    n_ratings, n_ratings_before : int
        Ratings of the linked titles, and of all.
    """

    by_kind: Mapping[MatchKind, int]
    ambiguous: int
    undated: int
    unmatched: int
    n_ratings: int
    n_ratings_before: int

    @property
    def linked(self) -> int:
        """Number of linked titles."""
        return sum(self.by_kind.values())

    def sentences(self) -> list[str]:
        """Say it in words.

        Returns
        -------
        list of str
            Notes for the linked data set.
        """
        kinds = "; ".join(f"{KINDS[kind]}: {n:,}" for kind, n in self.by_kind.items())
        share = self.n_ratings / self.n_ratings_before
        return [
            f"{counted(self.linked, 'rated title')} linked to the catalogue ({kinds}).",
            (
                f"{self.n_ratings:,} of {self.n_ratings_before:,} ratings ({share:.1%}) "
                "are of linked titles; the others were left out."
            ),
            (
                f"Not linked: {counted(self.unmatched, 'title')} not in the catalogue, "
                f"{self.ambiguous:,} ambiguous, {self.undated:,} without title or year."
            ),
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkResult:
    """Ratings with the metadata of a catalogue.

    Parameters
    ----------
    dataset : Dataset
        Only the linked titles and the users who rated them. In its catalogue
        ``unique_id`` is the item id of the ratings; all else is the catalogue's.
    links : DataFrame, shape (n_linked, 9)
        What was linked to what, in the columns of `LINK_COLUMNS`, for a person to
        check. ``unique_id`` lists the catalogue's rows, ``kind`` is a key of `KINDS`.
    counts : LinkCounts
        What became of the rated titles.
    """

    dataset: Dataset
    links: "pd.DataFrame"
    counts: LinkCounts


def write_linked(result: LinkResult, folder: Path) -> None:
    """Write the linked data set, and the links in ``links.csv`` beside it.

    Parameters
    ----------
    result : LinkResult
        What to write.
    folder : Path
        A folder that does not exist yet, or is empty. It appears complete or not at all.

    Raises
    ------
    DataError
        If the folder holds something, or cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(
            f"{folder}: is there already and not empty; remove it or name another."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that the rename cannot cross file systems.
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as near:
            unfinished = Path(near) / folder.name
            write_dataset(result.dataset, unfinished)
            result.links.to_csv(unfinished / "links.csv", index=False)
            unfinished.replace(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}.") from error
