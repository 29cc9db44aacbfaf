"""Data sets that can be downloaded, whole and intact or not at all."""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.errors import DownloadError, UnknownNameError
from harness.files import scratch_beside

__all__ = [
    "BASE_URL",
    "DOWNLOADS",
    "DOWNLOAD_FOLDER",
    "Download",
    "fetch",
    "find_download",
    "is_fetched",
]


BASE_URL = "https://files.grouplens.org"
"""The public home of the MovieLens data sets."""

DOWNLOAD_FOLDER = "harness-data"
"""Where `harness data get` writes, and where a name that is no path is looked for."""

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
    """A data set that can be downloaded: an archive that its checksum pins.

    `checksum` is algorithm and digest (``"sha256:..."``), `n_bytes` the archive's size,
    and `ratings_file` a file that a complete folder holds.
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
    """Look up a data set."""
    if name not in DOWNLOADS:
        raise UnknownNameError("data set to download", name, DOWNLOADS)
    return DOWNLOADS[name]


TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 2**16

Progress = Callable[[int, int], None]
"""Is told the bytes that have come, and the bytes to come in all (0: not known)."""


def is_fetched(download: Download, folder: Path) -> bool:
    """Say whether a data set is there already."""
    return (folder / download.ratings_file).is_file()


def fetch(
    download: Download,
    folder: Path,
    *,
    base_url: str = BASE_URL,
    progress: Progress | None = None,
) -> None:
    """Download a data set, check it and unpack it.

    All happens in a temporary folder beside the final one, which is renamed in the end:
    when this fails or is interrupted, nothing is left behind.
    """
    url = _address(base_url, download)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise DownloadError(
            f"{folder}: is there already, but is not {download.name}; remove it, or "
            "name another folder with --out."
        )
    try:
        with scratch_beside(folder) as scratch:
            content = scratch / "content"
            _retrieve(url, download, content, progress)
            inside = [*content.iterdir()]
            # Archives of data sets have a single folder around everything.
            whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else content
            whole.replace(folder)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{folder}: cannot be written ({error.strerror or error}); free some space, "
            "or name another folder with --out."
        ) from error


def _address(base_url: str, download: Download) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadError(
            "The address to download from must begin with http:// or https://, but got "
            f"{base_url!r}; correct --url or HARNESS_DATA_URL."
        )
    return f"{base_url.rstrip('/')}/{download.path}"


def _retrieve(
    url: str, download: Download, content: Path, progress: Progress | None
) -> None:
    import logging

    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)  # what it would say is said elsewhere
    try:
        pooch.retrieve(
            url,
            known_hash=download.checksum,
            fname=f"{download.name}.zip",
            path=content.parent,
            downloader=_Downloader(progress, most_bytes=2 * download.n_bytes),
            processor=pooch.Unzip(extract_dir=content.name),
        )
    except requests.RequestException as error:
        raise DownloadError(_what_went_wrong(url, error)) from error
    except ValueError as error:  # pooch: the hash does not match
        algorithm = download.checksum.partition(":")[0]
        raise DownloadError(
            f"{_shown(url)}: is not the file that was published (its {algorithm} "
            "checksum differs); try again, or name another mirror with --url."
        ) from error
    except zipfile.BadZipFile as error:
        raise DownloadError(
            f"{_shown(url)}: is damaged: {error}; name another mirror with --url."
        ) from error


class _Downloader:
    """Downloads for pooch; its own leaves the connection open when it fails."""

    def __init__(self, progress: Progress | None, *, most_bytes: int) -> None:
        self._progress = progress
        self._most_bytes = most_bytes

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        import requests

        done = 0
        with (
            requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response,
            Path(output_file).open("wb") as output,
        ):
            response.raise_for_status()
            total = int(response.headers.get("content-length", 0))
            for chunk in response.iter_content(CHUNK_BYTES):
                output.write(chunk)
                done += len(chunk)
                if done > self._most_bytes:  # the checksum would fail, once it is full
                    raise ValueError
                if self._progress is not None:
                    self._progress(done, total)


def _what_went_wrong(url: str, error: Exception) -> str:
    import requests

    answer = getattr(error, "response", None)
    if answer is not None:
        what = f"the server answered {answer.status_code} {answer.reason}"
    elif isinstance(error, requests.exceptions.SSLError):
        what = "its certificate cannot be verified"
    elif isinstance(error, requests.Timeout):
        what = f"the server did not answer within {TIMEOUT_SECONDS:g} seconds"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError):
        what = "the download broke off"
    else:
        what = "the server cannot be reached"
    return (
        f"{_shown(url)}: {what}; check the connection, try again later, or name a "
        "mirror with --url."
    )


def _shown(url: str) -> str:
    """Leave out the user name and password that an address may have."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
