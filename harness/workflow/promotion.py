"""Promotion: the gate that a model passes before it becomes the champion."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from harness.errors import StudyError
from harness.tracking.location import Location
from harness.tracking.model_folder import PackagedModel
from harness.tracking.packaging import log_model
from harness.tracking.registered_version import RegisteredVersion, model_name
from harness.tracking.registry import CHALLENGER, CHAMPION, Registry
from harness.workflow.duel import Duel, fight
from harness.workflow.gate import (
    Bounds,
    Check,
    check_bounds,
    check_duel,
    check_experiment,
    check_gain,
    default_bounds,
    warn_of_floor,
)
from harness.workflow.promotion_material import PromotionMaterial
from harness.workflow.promotion_source import PromotionSource, read_source
from harness.workflow.succession import crown, own_succession

__all__ = ["Promotion", "PromotionSettings", "promote"]

Outcome = Literal["promoted", "refused", "challenger", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class PromotionSettings:
    """What to promote, and how: what the command line says.

    Parameters
    ----------
    name : str
        Name of an experiment or of a study.
    storage : str
        URL or path of the Optuna storage.
    location : Location
        The MLflow store, whose registry it is.
    bounds : Bounds
        Beside the criteria of an experiment; what is None is bounded by default, unless
        a criterion bounds it.
    rejudge : bool, default False
        Compare with a champion that was judged on another test set, on that of the
        newcomer.
    dry_run : bool, default False
        Leave MLflow as it is.
    challenge : bool, default False
        Register as challenger; compare with nobody.
    """

    name: str
    storage: str
    location: Location
    bounds: Bounds = field(default_factory=Bounds)
    rejudge: bool = False
    dry_run: bool = False
    challenge: bool = False


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """How a promotion went.

    Parameters
    ----------
    outcome : {"promoted", "refused", "challenger", "unchanged"}
        What became of the model; in a dry run, what would have.
    model : str
        Name of the registered model.
    source : PromotionSource
        What was to be promoted.
    version : RegisteredVersion or None
        Its version; None in a dry run.
    before : RegisteredVersion or None
        The champion it was compared with.
    checks : tuple of Check
        What had to hold.
    duel : Duel or None
        The comparison, if there was one.
    looks : int or None
        How often the test set was opened so far, if it was opened now.
    """

    outcome: Outcome
    model: str
    source: PromotionSource
    version: RegisteredVersion | None = None
    before: RegisteredVersion | None = None
    checks: tuple[Check, ...] = ()
    duel: Duel | None = None
    looks: int | None = None


def promote(
    settings: PromotionSettings, *, on_step: Callable[[str], None]
) -> Promotion:
    """Put a model through the gate, and make it the champion if it passes.

    The costs come first: for a model that fails there, the test set stays closed.

    Parameters
    ----------
    settings : PromotionSettings
        What to promote, and how.
    on_step : callable
        Is told what comes next.

    Returns
    -------
    Promotion
        How it went. A model that is refused is registered as challenger.

    Raises
    ------
    UnknownNameError
        If the storage has no such experiment or study.
    StudyError
        If it was not judged, or the champion was judged on another test set.
    DataError
        If its data has changed, or the champion's files are not intact.
    TrackingError
        If the registry cannot be used, or another promotion is under way.
    """
    source = read_source(settings.storage, settings.name)
    name = model_name(str(source.study.dataset["name"]))
    registry = Registry(settings.location)
    with own_succession(settings.location, name):
        before = registry.aliased(name, CHAMPION)
        if before is not None and source.is_version(before):
            PromotionMaterial(source, settings.location, on_step).fetch_champion(before)
            return Promotion(
                outcome="unchanged",
                model=name,
                source=source,
                version=before,
                before=before,
            )
        if before is not None and not settings.challenge:
            _require_comparable(source, before, settings)
        return _Gate(settings, source, registry, before, on_step).pass_through()


def _require_comparable(
    source: PromotionSource, champion: RegisteredVersion, settings: PromotionSettings
) -> None:
    if settings.rejudge or champion.test_set.are(source.test_set):
        return
    raise StudyError(
        f"The champion, version {champion.version} of {champion.name!r}, was judged on "
        f"another test set (ratings and split {champion.test_set}) than {source.name!r} "
        f"({source.test_set}), so that their figures cannot be compared: judge both on that of the newcomer with "
        "--rejudge, or register it with --challenger."
    )


class _Gate:
    """One promotion, from the first check to the alias."""

    def __init__(
        self,
        settings: PromotionSettings,
        source: PromotionSource,
        registry: Registry,
        before: RegisteredVersion | None,
        on_step: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._registry = registry
        self._before = before
        self._material = PromotionMaterial(source, settings.location, on_step)
        self._name = model_name(str(source.study.dataset["name"]))
        self._checks: list[Check] = []
        self._duel: Duel | None = None
        self._looks: int | None = None

    def pass_through(self) -> Promotion:
        """Check, register and crown, as far as it goes."""
        run_id = uri = None
        if not self._settings.dry_run:
            run_id = self._material.log_runs()
            uri = self._registry.logged_model(run_id, trial=self._source.trial.number)
        newcomer, uri = self._material.fetch_or_refit(uri)
        outcome: Outcome = "challenger"
        if not self._settings.challenge:
            self._check(newcomer)
            passed = all(check.passed for check in self._checks)
            outcome = "promoted" if passed else "refused"
        version = None
        if run_id is not None:
            version = self._register(newcomer, run_id, uri, outcome)
        return Promotion(
            outcome=outcome,
            model=self._name,
            source=self._source,
            version=version,
            before=self._before,
            checks=tuple(self._checks),
            duel=self._duel,
            looks=self._looks,
        )

    def _check(self, newcomer: PackagedModel) -> None:
        bounds = self._settings.bounds.filled(default_bounds(self._source))
        self._checks = [
            *check_experiment(self._source),
            *check_gain(bounds, self._source),
            *check_bounds(
                bounds,
                {} if bounds.max_latency_ms is None else self._material.costs(),
                size_bytes=self._material.size_bytes(newcomer),
                coverage=self._material.coverage(),
            ),
        ]
        if self._before is not None and all(check.passed for check in self._checks):
            self._compare(newcomer, self._before)

    def _compare(self, newcomer: PackagedModel, before: RegisteredVersion) -> None:
        champion = self._material.fetch_champion(before)
        test, self._looks = self._material.open_test()
        self._duel = fight(newcomer, champion, test)
        self._checks.append(
            check_duel(
                self._duel,
                champion=f"the champion (version {before.version})",
                significance=self._source.significance,
            )
        )

    def _register(
        self,
        newcomer: PackagedModel,
        run_id: str,
        uri: str | None,
        outcome: Outcome,
    ) -> RegisteredVersion:
        location = self._settings.location
        if uri is None:
            uri = log_model(
                newcomer,
                run_id=run_id,
                tracking_uri=location.tracking_uri,
                experiment=location.experiment,
            )
        if self._looks is not None:
            self._material.log_runs()  # they say how often the test set was opened
        version = self._registry.register(
            self._name,
            uri,
            run_id=run_id,
            tags=self._source.tags | {"verdict": outcome},
            description=self._describe(outcome),
        )
        if outcome == "promoted":
            crown(self._registry, version, self._before)
        else:
            self._registry.move(CHALLENGER, version, name=self._name)
        return version

    def _describe(self, outcome: Outcome) -> str:
        """Say in the registry what was promoted or refused, and why."""
        source, today = self._source, datetime.now(UTC).date()
        kind = "study" if source.experiment is None else "experiment"
        summary = (
            f"RMSE {source.rmse['value']:.4f} stars [{source.rmse['low']:.4f}, "
            f"{source.rmse['high']:.4f}]: {source.study.family}, trial "
            f"{source.trial.number}, of {kind} {source.name}; {outcome}, {today}\n"
        )
        warning = warn_of_floor(source)
        lines = [
            summary,
            *([] if warning is None else [f"{warning}\n"]),
            *(
                f"- {'pass' if c.passed else 'FAIL'}: {c.sentence}"
                for c in self._checks
            ),
        ]
        return "\n".join(lines)
