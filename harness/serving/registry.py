"""The model registry: versions, what they were judged on, and their aliases."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from harness.errors import HarnessError, TrackingError, UnknownNameError
from harness.plain import from_json, to_json
from harness.search.openings import SealedRatings
from harness.search.ownership import own_file
from harness.serving.fetch import CHAMPION, fetch_model, open_client, registered_models
from harness.serving.folder import TrainedOn
from harness.tracking.location import Location
from harness.tracking.runs import REPORT
from harness.tracking.store import unusable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "RegisteredVersion",
    "Registry",
    "VersionFacts",
    "make_champion",
    "model_name",
    "only_champion",
    "own_promotion",
    "roll_back",
]


def model_name(dataset: str) -> str:
    """Name the registered model of a data set: what serves the same ratings competes.

    Examples
    --------
    >>> model_name("ml-100k")
    'ml-100k'
    """
    return re.sub(r"[/:]", "-", dataset)


_FACTS_TAG = "mlflow.harness.facts"
"""Tag of a logged model: facts by the name that it is registered under.

The list of versions shows every tag of a version, whatever its name; the page of a logged
model leaves out those that begin with MLflow's name.
"""


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """What a version is, how it was judged, and how it was promoted."""

    family: str
    experiment: str
    study: str
    trial: int
    # The Optuna storage, without a password.
    storage: str
    dataset: str
    # Whether a program made the ratings.
    simulated: bool
    split: str
    test_set: SealedRatings
    n_test: int
    # Test RMSE, mean over seeds, and its 95 % interval.
    rmse: float
    rmse_low: float
    rmse_high: float
    # When the test set was opened for it, in UTC.
    opened: datetime
    # What the model that is served was fitted to.
    trained_on: TrainedOn = "training part"
    # URI of the logged model that was judged, where another one is served.
    judged_source: str | None = None
    verdict: str = ""
    # What it was promoted in spite of: "floor", "undecided".
    forced: tuple[str, ...] = ()
    margin: float | None = None
    # Whether it was shown to be better than that champion.
    superior: bool | None = None
    # Promotions decided on these test ratings by then, its own included.
    promotion_tests: int = 0
    # Error that all these may cause together.
    alpha: float = 0.05
    # What was searched for, with its interval on the test set.
    objective: str = "rmse"
    score: float | None = None
    score_low: float | None = None
    score_high: float | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow's pages show of it."""
        shown = {
            "family": self.family,
            "source": f"{self.experiment}, trial {self.trial}",
            "test_rmse": f"{self.rmse:.4f} [{self.rmse_low:.4f}, {self.rmse_high:.4f}]",
            "trained_on": self.trained_on,
            "verdict": self.verdict,
        }
        if self.objective != "rmse" and self.score is not None:
            shown[f"test_{self.objective}"] = (
                f"{self.score:.4f} [{self.score_low:.4f}, {self.score_high:.4f}]"
            )
        if self.forced:
            shown["forced"] = ", ".join(self.forced)
        return shown

    def has_settings_of(self, other: "VersionFacts") -> bool:
        """Tell whether both are the same settings, judged at the same time."""
        same = ("study", "trial", "storage", "opened")
        return self.test_set.are(other.test_set) and all(
            getattr(self, name) == getattr(other, name) for name in same
        )


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model."""

    name: str
    version: int
    aliases: tuple[str, ...]
    created: datetime
    run_id: str
    source: str
    # Those that MLflow's pages show.
    tags: Mapping[str, str]
    # None where something else than harness promote has registered it.
    facts: VersionFacts | None

    @property
    def uri(self) -> str:
        """URI that names it: ``"models:/ml-100k/3"``."""
        return f"models:/{self.name}/{self.version}"

    @property
    def judged_uri(self) -> str:
        """URI of the model that its figures are of."""
        judged = None if self.facts is None else self.facts.judged_source
        return judged or self.uri

    @property
    def test_set(self) -> SealedRatings:
        """What its figures were measured on."""
        if self.facts is None:
            return SealedRatings(dataset=None, ratings=None, split=None)
        return self.facts.test_set


def convert_version(
    version: "ModelVersion", aliases: Mapping[str, int], kept: str | None = None
) -> RegisteredVersion:
    """Convert what MLflow knows of a version; `kept` are the facts of its model."""
    number = int(version.version)
    name = str(version.name)
    return RegisteredVersion(
        name=name,
        version=number,
        aliases=tuple(alias for alias, v in aliases.items() if v == number),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        run_id=version.run_id or "",
        source=version.source or "",
        tags=dict(version.tags),
        facts=None if kept is None else _read_facts(kept, name, number),
    )


def _read_facts(kept: str, name: str, version: int) -> VersionFacts | None:
    try:
        facts = json.loads(kept).get(name)
        found: VersionFacts | None = (
            None if facts is None else from_json(VersionFacts, facts)
        )
    except (ValueError, AttributeError, HarnessError) as error:
        raise TrackingError(
            f"Version {name} {version}: the tag {_FACTS_TAG} of its logged model is not as "
            "`harness promote` wrote it: promote its study or experiment again."
        ) from error
    return found


PREVIOUS = "previous"
CHALLENGER = "challenger"

_VERSIONS_TAG = "mlflow.modelVersions"
_LOGGED = "models:/"
_PARENT_TAG = "mlflow.parentRunId"

P = ParamSpec("P")
T = TypeVar("T")


def _explained(
    method: "Callable[Concatenate[Registry, P], T]",
) -> "Callable[Concatenate[Registry, P], T]":
    """Say in one sentence what was wrong with the registry."""

    def call(self: "Registry", /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except HarnessError:
            raise
        except Exception as error:
            raise unusable(self.location, error) from error

    call.__doc__, call.__name__ = method.__doc__, method.__name__
    return call


class Registry:
    """Reads and writes the model registry of an MLflow store.

    Parameters
    ----------
    location : Location
        The store. Its database must exist; nothing is created.

    Raises
    ------
    TrackingError
        If the store cannot be used; so do all methods.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._client: MlflowClient = open_client(location)

    @_explained
    def names(self) -> list[str]:
        """List the registered models."""
        return sorted(model.name for model in registered_models(self._client))

    @_explained
    def versions(self, name: str) -> list[RegisteredVersion]:
        """List the versions of a registered model, newest first; none if it is unknown."""
        if name not in self.names():
            return []
        aliases = self._aliases(name)
        quote = '"' if "'" in name else "'"
        found = self._client.search_model_versions(f"name = {quote}{name}{quote}")
        versions = [
            convert_version(each, aliases, self._facts_of(each.source))
            for each in found
        ]
        return sorted(versions, key=lambda each: -each.version)

    @_explained
    def aliased(self, name: str, alias: str) -> RegisteredVersion | None:
        """Find the version that has an alias; None where no version has it."""
        aliases = self._aliases(name) if name in self.names() else {}
        if alias not in aliases:
            return None
        found = self._client.get_model_version(name, str(aliases[alias]))
        return convert_version(found, aliases, self._facts_of(found.source))

    def require(self, name: str, alias: str) -> RegisteredVersion:
        """Find the version that has an alias."""
        if name not in self.names():
            raise UnknownNameError("registered model", name, self.names())
        found = self.aliased(name, alias)
        if found is None:
            raise TrackingError(
                f"The registered model {name!r} must have a version with the alias "
                f"@{alias}, but has none; `harness models` shows which aliases there are."
            )
        return found

    @_explained
    def logged_model(
        self, run_id: str, *, trial: int, trained_on: TrainedOn = "training part"
    ) -> str | None:
        """Find the model of a trial that was logged to a run."""
        wanted = {"trial": str(trial), "trained_on": trained_on}
        run = self._client.get_run(run_id)
        for output in reversed(run.outputs.model_outputs if run.outputs else []):
            model = self._client.get_logged_model(output.model_id)
            if str(model.status) == "READY" and wanted.items() <= model.tags.items():
                return str(model.model_uri)
        return None

    @_explained
    def report_of(self, version: RegisteredVersion) -> str | None:
        """Find the report that tells more of a version."""
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(version.run_id)
            # The run of a final model has that of its experiment above it.
            run_id = run.data.tags.get(_PARENT_TAG, version.run_id)
            found = self._client.list_artifacts(run_id, REPORT)
        except MlflowException as error:
            if error.error_code in {
                "RESOURCE_DOES_NOT_EXIST",
                "INVALID_PARAMETER_VALUE",
            }:
                return None
            raise
        return f"runs:/{run_id}/{REPORT}" if found else None

    @_explained
    def register(
        self,
        name: str,
        source: str,
        *,
        run_id: str,
        facts: VersionFacts,
        description: str,
    ) -> RegisteredVersion:
        """Make a version of a logged model, unless there is one."""
        model_id = source.removeprefix(_LOGGED)
        # Before there is a version, which would be one that nobody knows of.
        kept = json.loads(self._facts_of(source) or "{}") | {name: to_json(facts)}
        self._client.set_logged_model_tags(model_id, {_FACTS_TAG: json.dumps(kept)})
        for known in self.versions(name):
            if known.source == source:
                self._describe(known, facts.tags, description)
                return replace(known, facts=facts)
        self._create_model(name)
        with _as_default(self.location):
            made = self._client.create_model_version(
                name,
                source,
                run_id,
                tags=facts.tags,
                description=description,
                model_id=model_id,
            )
        self._link(model_id, name, str(made.version))
        return replace(convert_version(made, {}), facts=facts)

    @_explained
    def move(self, alias: str, version: RegisteredVersion | None, *, name: str) -> None:
        """Give an alias to a version; to none, take it away."""
        if version is None:
            self._client.delete_registered_model_alias(name, alias)
        else:
            number = str(version.version)
            self._client.set_registered_model_alias(name, alias, number)

    def _describe(
        self, version: RegisteredVersion, tags: Mapping[str, str], description: str
    ) -> None:
        number = str(version.version)
        self._client.update_model_version(version.name, number, description)
        for key, value in tags.items():
            if version.tags.get(key) != value:
                self._client.set_model_version_tag(version.name, number, key, value)

    def _facts_of(self, source: str | None) -> str | None:
        """Read what is kept with a logged model; None where there is nothing."""
        from mlflow.exceptions import MlflowException

        if source is None or not source.startswith(_LOGGED):
            return None
        try:
            model = self._client.get_logged_model(source.removeprefix(_LOGGED))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None  # deleted, or another version's: models:/NAME/1
            raise
        kept: str | None = model.tags.get(_FACTS_TAG)
        return kept

    def _link(self, model_id: str, name: str, version: str) -> None:
        """Let the page of the logged model lead here, as `mlflow.register_model` does."""
        known = self._client.get_logged_model(model_id).tags.get(_VERSIONS_TAG, "[]")
        links = [*json.loads(known), {"name": name, "version": version}]
        self._client.set_logged_model_tags(model_id, {_VERSIONS_TAG: json.dumps(links)})

    def _create_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(
                name,
                description=(
                    f"Recommenders for **{name}**. `harness promote` moves the aliases: "
                    # MLflow would link a bare @name to a person on GitHub.
                    "`champion` is in use, `previous` was before, `challenger` was "
                    "refused or waits."
                ),
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _aliases(self, name: str) -> dict[str, int]:
        # The search of versions leaves their aliases out.
        aliases = self._client.get_registered_model(name).aliases
        return {alias: int(version) for alias, version in aliases.items()}


@contextmanager
def _as_default(location: Location) -> Iterator[None]:
    """Let MLflow look up the logged model in this store.

    Its registry asks the store that is the default of the process, whichever client it
    is used by.
    """
    name = "MLFLOW_TRACKING_URI"
    before = os.environ.get(name)
    os.environ[name] = location.tracking_uri
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def own_promotion(location: Location, name: str) -> Iterator[None]:
    """Be the only process that promotes versions of a registered model.

    MLflow moves an alias without asking where it was. The lock is a file beside the
    database; for a server it is in the folder for temporary files, and holds on one
    machine only: `make_champion` looks again before it moves the alias.
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


def make_champion(
    registry: Registry, version: RegisteredVersion, before: RegisteredVersion | None
) -> None:
    """Make a version the champion, and the champion the previous one."""
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
    """Swap champion and previous."""
    registry = Registry(location)
    with own_promotion(location, name):
        champion = registry.require(name, CHAMPION)
        previous = registry.require(name, PREVIOUS)
        if champion.version == previous.version:
            raise TrackingError(
                f"@{CHAMPION} and @{PREVIOUS} of {name!r} cannot be swapped, because both are "
                f"version {champion.version}."
            )
        fetch_model(location, previous.uri)  # nothing that is not intact is served
        # First what the rollback is for, should anything happen in between.
        registry.move(CHAMPION, previous, name=name)
        registry.move(PREVIOUS, champion, name=name)
    return previous, champion


def only_champion(location: Location) -> str:
    """Name the only registered model that has a champion."""
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
