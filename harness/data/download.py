"""Data sets downloaded whole and intact, or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.data.registry import BASE_URL, Download
from harness.data.unpack import unpack
from harness.errors import DownloadError

__all__ = ["Progress", "fetch", "is_fetched"]

TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 2**16

Progress = Callable[[int, int], None]
"""Is told the bytes that have come, and the bytes to come in all (0: not known)."""


def is_fetched(download: Download, folder: Path) -> bool:
    """Say whether a data set is there already.

    Parameters
    ----------
    download : Download
        The data set.
    folder : Path
        Where it would be.

    Returns
    -------
    bool
        True if the folder holds its ratings: it appears complete or not at all.
    """
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

    Parameters
    ----------
    download : Download
        What to download.
    folder : Path
        Where to: a folder that does not exist yet, or is empty.
    base_url : str
        Address below which the archives are, of GroupLens or of a mirror.
    progress : callable, optional
        Is called now and then with two numbers: the bytes that have come, and the bytes
        to come in all (0 if the server does not say).

    Raises
    ------
    DownloadError
        If the folder is not empty or cannot be written, the server cannot be reached,
        refuses or breaks off, or what came is not the published file.
    """
    url = _address(base_url, download)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise DownloadError(
            f"{folder}: is there already, but is not {download.name}; remove it, or "
            "name another folder with --out."
        )
    try:
        with _workshop(folder) as workshop:
            archive = _retrieve(url, download, workshop, progress)
            content = workshop / "content"
            unpack(archive, content)
            content.replace(folder)
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


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """Lend a temporary folder beside another one; afterwards all traces are gone."""
    made = [p for p in folder.absolute().parents if not p.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that the rename cannot cross file systems.
        workshop = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
        try:
            yield Path(workshop)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    finally:
        for parent in made:
            with suppress(OSError):  # not empty: the data set is there
                parent.rmdir()


def _retrieve(
    url: str, download: Download, workshop: Path, progress: Progress | None
) -> Path:
    import logging

    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)  # what it would say is said elsewhere
    try:
        archive = pooch.retrieve(
            url,
            known_hash=download.checksum,
            fname=f"{download.name}.zip",
            path=workshop,
            downloader=_Downloader(progress, most_bytes=2 * download.n_bytes),
        )
    except requests.RequestException as error:
        raise DownloadError(_what_went_wrong(url, error)) from error
    except ValueError as error:  # pooch: the hash does not match
        algorithm = download.checksum.partition(":")[0]
        raise DownloadError(
            f"{_shown(url)}: is not the file that was published (its {algorithm} "
            "checksum differs); try again, or name another mirror with --url."
        ) from error
    return Path(archive)


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
