"""Data sets that can be downloaded: where they are, what they are, on what terms."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import UnknownNameError

__all__ = ["BASE_URL", "DOWNLOADS", "Download", "find_download"]

BASE_URL = "https://files.grouplens.org"
"""The public home of the MovieLens data sets."""

RESEARCH_ONLY = (
    "For research purposes. You may not state or imply any endorsement from the "
    "University of Minnesota or the GroupLens Research Group; you must acknowledge the "
    "use of the data set in publications; {more}; you may not use it for any commercial "
    "or revenue-bearing purposes without permission from a faculty member of the "
    "GroupLens Research Project. No guarantee of correctness is given. The full terms "
    "are in the README of the data set. To cite: F. M. Harper and J. A. Konstan, The "
    "MovieLens Datasets: History and Context, ACM TiiS 5 (4), 2015, "
    "doi:10.1145/2827872."
)
NOT_PASSED_ON = RESEARCH_ONLY.format(
    more="you may not redistribute the data without separate permission"
)
COPY_ASKED_FOR = RESEARCH_ONLY.format(
    more="you must send GroupLens a copy of those publications; you may not "
    "redistribute the data without separate permission"
)
PASSED_ON_ALIKE = RESEARCH_ONLY.format(
    more="you may redistribute the data set, including transformations, under the same "
    "license conditions"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A data set that can be downloaded.

    Parameters
    ----------
    name : str
        Name on the command line.
    about : str
        What it is, in a few words.
    checksum : str
        Algorithm and hexadecimal digest of the archive: ``"sha256:..."``.
    n_bytes : int
        Size of the archive.
    ratings_file : str
        File that a complete folder holds.
    terms : str
        Terms of use, condensed from the README of the data set.
    """

    name: str
    about: str
    checksum: str
    n_bytes: int
    ratings_file: str
    terms: str

    @property
    def path(self) -> str:
        """Where the archive is, below the base address."""
        return f"datasets/movielens/{self.name}.zip"


# Sizes and SHA-256 as TensorFlow Datasets publishes them (url_checksums/movielens.txt).
# For 10M and 32M it has none: those are the MD5 sums that GroupLens publishes beside the
# archives (ml-10m.zip.md5, ml-32m.zip.md5). "ml-latest" has no lasting checksum.
_ALL = (
    Download(
        name="ml-100k",
        about="MovieLens 100K: 100,000 ratings by 943 users, 1 to 5 stars, 1998",
        checksum="sha256:"
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        n_bytes=4_924_029,
        ratings_file="u.data",
        terms=NOT_PASSED_ON,
    ),
    Download(
        name="ml-latest-small",
        about="MovieLens latest small: 100,836 ratings by 610 users, half stars, 2018",
        checksum="sha256:"
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        n_bytes=978_202,
        ratings_file="ratings.csv",
        terms=PASSED_ON_ALIKE,
    ),
    Download(
        name="ml-1m",
        about="MovieLens 1M: 1,000,209 ratings by 6,040 users, 1 to 5 stars, 2003",
        checksum="sha256:"
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        n_bytes=5_917_549,
        ratings_file="ratings.dat",
        terms=NOT_PASSED_ON,
    ),
    Download(
        name="ml-10m",
        about="MovieLens 10M: 10,000,054 ratings by 69,878 users, half stars, 2009",
        checksum="md5:ce571fd55effeba0271552578f2648bd",
        n_bytes=65_566_137,
        ratings_file="ratings.dat",
        terms=COPY_ASKED_FOR,
    ),
    Download(
        name="ml-20m",
        about="MovieLens 20M: 20,000,263 ratings by 138,493 users, half stars, 2016",
        checksum="sha256:"
        "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        n_bytes=198_702_078,
        ratings_file="ratings.csv",
        terms=NOT_PASSED_ON,
    ),
    Download(
        name="ml-25m",
        about="MovieLens 25M: 25,000,095 ratings by 162,541 users, half stars, 2019",
        checksum="sha256:"
        "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
        n_bytes=261_978_986,
        ratings_file="ratings.csv",
        terms=NOT_PASSED_ON,
    ),
    Download(
        name="ml-32m",
        about="MovieLens 32M: 32,000,204 ratings by 200,948 users, half stars, 2023",
        checksum="md5:d472be332d4daa821edc399621853b57",
        n_bytes=238_950_008,
        ratings_file="ratings.csv",
        terms=PASSED_ON_ALIKE,
    ),
)

DOWNLOADS: Mapping[str, Download] = {download.name: download for download in _ALL}
"""By name, in the order of their size."""


def find_download(name: str) -> Download:
    """Look up a data set.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    Download
        What is known about it.

    Raises
    ------
    UnknownNameError
        If there is no data set of that name.
    """
    if name not in DOWNLOADS:
        raise UnknownNameError("data set to download", name, DOWNLOADS)
    return DOWNLOADS[name]
