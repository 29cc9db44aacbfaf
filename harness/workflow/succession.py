"""Who is champion: aliases of the registry, moved by one process at a time."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import TrackingError
from harness.search.ownership import own_file
from harness.tracking.location import Location
from harness.tracking.model_source import fetch_model
from harness.tracking.registered_version import RegisteredVersion
from harness.tracking.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry

__all__ = ["crown", "only_champion", "own_succession", "roll_back"]


@contextmanager
def own_succession(location: Location, name: str) -> Iterator[None]:
    """Be the only process that promotes versions of a registered model.

    MLflow moves an alias without asking where it was. The lock is a file beside the
    database; for a server it is in the folder for temporary files, and holds on one
    machine only: `crown` looks again before it moves the alias.

    Parameters
    ----------
    location : Location
        The store.
    name : str
        Name of the registered model.

    Yields
    ------
    None
        While no other process promotes.

    Raises
    ------
    TrackingError
        If another process does.
    """

    def refusal(owner: str) -> TrackingError:
        return TrackingError(
            f"Another promotion of {name!r} is under way (process {owner}): wait until it "
            "ends, and look at its outcome with `harness models`."
        )

    with own_file(_lock_path(location, name), refusal):
        yield


def _lock_path(location: Location, name: str) -> Path:
    if location.database is not None:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return location.database.with_name(
            f"{location.database.name}.{digest}.promotion"
        )
    digest = hashlib.sha256(f"{location.tracking_uri}\n{name}".encode()).hexdigest()[:8]
    user = os.getuid() if os.name == "posix" else ""
    return Path(tempfile.gettempdir()) / f"harness-{user}-{digest}.promotion"


def crown(
    registry: Registry, version: RegisteredVersion, before: RegisteredVersion | None
) -> None:
    """Make a version the champion, and the champion the previous one.

    Parameters
    ----------
    registry : Registry
        The registry.
    version : RegisteredVersion
        Has passed the gate.
    before : RegisteredVersion or None
        The champion that it was compared with.

    Raises
    ------
    TrackingError
        If that is no longer the champion.
    """
    now = registry.aliased(version.name, CHAMPION)
    if _number(now) != _number(before):
        raise TrackingError(
            f"The champion of {version.name!r} was {_number(before)} when version "
            f"{version.version} was judged, but another promotion has made it "
            f"{_number(now)} since: repeat the promotion, to compare with that one."
        )
    # A process killed in between leaves the champion that was; the same command goes on.
    if before is not None:
        registry.move(PREVIOUS, before, name=version.name)
    registry.move(CHAMPION, version, name=version.name)
    challenger = registry.aliased(version.name, CHALLENGER)
    if challenger is not None and challenger.version == version.version:
        registry.move(CHALLENGER, None, name=version.name)


def _number(version: RegisteredVersion | None) -> str:
    return "nobody" if version is None else f"version {version.version}"


def roll_back(location: Location, name: str) -> tuple[RegisteredVersion, ...]:
    """Let champion and previous change places.

    Parameters
    ----------
    location : Location
        The store.
    name : str
        Name of the registered model.

    Returns
    -------
    champion, previous : RegisteredVersion
        The new champion, and the one that was.

    Raises
    ------
    UnknownNameError
        If there is no such registered model.
    TrackingError
        If there are not two versions to change places, another process promotes, or the
        registry cannot be used.
    DataError
        If the files of the previous champion are gone, or not intact.
    """
    registry = Registry(location)
    with own_succession(location, name):
        champion = registry.require(name, CHAMPION)
        previous = registry.require(name, PREVIOUS)
        if champion.version == previous.version:
            raise TrackingError(
                f"@{CHAMPION} and @{PREVIOUS} of {name!r} must be two versions to change "
                f"places, but both are version {champion.version}."
            )
        with fetch_model(location, previous.uri):
            pass  # intact: nothing else may become champion
        # First what the rollback is for, should anything happen in between.
        registry.move(CHAMPION, previous, name=name)
        registry.move(PREVIOUS, champion, name=name)
    return previous, champion


def only_champion(location: Location) -> str:
    """Name the only registered model that has a champion.

    Parameters
    ----------
    location : Location
        The store.

    Returns
    -------
    str
        Name of the registered model.

    Raises
    ------
    TrackingError
        If none has one, or several have.
    """
    registry = Registry(location)
    names = [n for n in registry.names() if registry.aliased(n, CHAMPION) is not None]
    if len(names) == 1:
        return names[0]
    found = (
        f"{len(names)} have: name one of {', '.join(names)}" if names else "none has"
    )
    raise TrackingError(
        f"One registered model of {location.shown} must have a champion, but {found}"
        f"{' with --model.' if names else '; `harness promote` makes one.'}"
    )
