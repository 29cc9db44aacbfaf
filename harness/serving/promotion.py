"""Promotion: the gate that a model passes before it becomes the champion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from harness.errors import StudyError
from harness.experiment.decision import beats_bias_of, check_criteria
from harness.experiment.file import WINNER
from harness.serving.folder import PackagedModel
from harness.serving.package import log_model
from harness.serving.promotion_material import (
    Duel,
    PromotionMaterial,
    PromotionSource,
    fight,
    read_source,
)
from harness.serving.registry import (
    CHALLENGER,
    CHAMPION,
    RegisteredVersion,
    Registry,
    crown,
    model_name,
    own_succession,
)
from harness.tracking.location import Location

__all__ = [
    "Bounds",
    "Promotion",
    "PromotionSettings",
    "check_gain",
    "default_bounds",
    "promote",
    "warn_of_floor",
]


_BYTES_PER_MB = 1e6
_DEFAULTS = {
    "max_latency_ms": 20.0,
    "max_size_mb": 500.0,
    "min_coverage": 0.5,
    "min_gain": 0.0,
}
_BOUND_OF = {
    ("latency_p95_ms", "at_most"): "max_latency_ms",
    ("model_bytes", "at_most"): "max_size_mb",
    ("coverage", "at_least"): "min_coverage",
    ("gain_over_bias", "at_least"): "min_gain",
}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a model may cost, and what it must cover.

    Parameters
    ----------
    max_latency_ms : float or None
        Of one user's top 10, 95th percentile; None does not ask.
    max_size_mb : float or None
        Of the packaged model; None does not ask.
    min_coverage : float or None
        Share of the test pairs whose user and title have training ratings; None does
        not ask.
    min_gain : float or None
        Stars by which the test RMSE is below that of user and item bias; None does not
        ask.
    """

    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    min_coverage: float | None = None
    min_gain: float | None = None

    def filled(self, others: "Bounds") -> "Bounds":
        """Take from others what is None here."""
        own = {name: value for name, value in vars(self).items() if value is not None}
        return Bounds(**{**vars(others), **own})


def default_bounds(source: PromotionSource) -> Bounds:
    """Bound what no criterion of an experiment's file bounds for the winner."""
    criteria = () if source.experiment is None else source.experiment.spec.criteria
    named = {
        _BOUND_OF.get((each.metric, kind))
        for each in criteria
        for kind in ("at_most", "at_least")
        if each.candidate in (WINNER, source.candidate)
        and getattr(each, kind) is not None
    }
    # The floor need not be better than itself; the first records do not have it.
    if source.study.family == "baseline" or source.gain is None:
        named.add("min_gain")
    return Bounds(**{k: v for k, v in _DEFAULTS.items() if k not in named})


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that must hold, and whether it does.

    Parameters
    ----------
    passed : bool
        Whether it holds.
    sentence : str
        What was measured, what is asked, and by how much it fails.
    """

    passed: bool
    sentence: str


def check_experiment(source: PromotionSource) -> list[Check]:
    """Check the acceptance criteria of the experiment's file; a study has none."""
    if source.experiment is None:
        return []
    return [
        Check(passed=each.passed, sentence=each.sentence)
        for each in check_criteria(source.experiment)
    ]


def check_gain(bounds: Bounds, source: PromotionSource) -> list[Check]:
    """Check by how much a model is better than user and item bias."""
    if bounds.min_gain is None:
        return []
    if source.gain is None:
        sentence = "The gain over user and item bias was not measured."
        return [Check(passed=False, sentence=sentence)]
    value = source.gain["value"]
    verdict = f"at least {bounds.min_gain:g}, as required"
    if value < bounds.min_gain:
        gap = bounds.min_gain - value
        verdict = f"{gap:.4f} below the {bounds.min_gain:g} required"
    sentence = f"The gain over user and item bias is {value:.4f} stars: {verdict}."
    return [Check(passed=value >= bounds.min_gain, sentence=sentence)]


def warn_of_floor(source: PromotionSource) -> str | None:
    """Say so if a model does not beat user and item bias beyond chance."""
    gain = source.gain
    if gain is None or source.floor_rmse is None or _beats_floor(source, gain["low"]):
        return None
    verb = "lower" if gain["value"] > 0 else "higher"
    chance = "" if gain["high"] < 0 else ", which may be chance"
    return (
        "It does not beat user and item bias, whose RMSE on the same test ratings is "
        f"{source.floor_rmse:.4f}: its own is {abs(gain['value']):.4f} stars {verb}{chance}."
    )


def _beats_floor(source: PromotionSource, low: float) -> bool:
    """Decide as the report does: for an experiment by the p-value corrected for all pairs."""
    if source.experiment is None or source.candidate is None:
        return low > 0
    return beats_bias_of(source.experiment, source.candidate)


def check_bounds(
    bounds: Bounds, costs: Mapping[str, Any], *, size_bytes: int, coverage: float
) -> list[Check]:
    """Check latency, size and coverage."""
    checks = []
    if bounds.max_latency_ms is not None:
        p95 = costs["latency_ms"]["p95"]
        checks.append(
            _at_most("Latency p95 of a top 10", p95, bounds.max_latency_ms, "ms")
        )
    if bounds.max_size_mb is not None:
        size = size_bytes / _BYTES_PER_MB
        checks.append(
            _at_most(
                "Size of the model with its titles", size, bounds.max_size_mb, "MB"
            )
        )
    if bounds.min_coverage is not None:
        gap = bounds.min_coverage - coverage
        verdict = f"at least {bounds.min_coverage:.3g}, as required"
        if gap > 0:
            verdict = f"{gap:.3g} below the {bounds.min_coverage:.3g} required"
        sentence = f"Share of test pairs with a known user and title is {coverage:.3g}"
        checks.append(Check(passed=gap <= 0, sentence=f"{sentence}: {verdict}."))
    return checks


def _at_most(what: str, value: float, bound: float, unit: str) -> Check:
    verdict = f"at most {bound:g} {unit}, as required"
    if value > bound:
        verdict = f"{value - bound:.3g} {unit} above the {bound:g} {unit} allowed"
    return Check(
        passed=value <= bound, sentence=f"{what} is {value:.3g} {unit}: {verdict}."
    )


def check_duel(duel: Duel, *, champion: str, significance: float) -> Check:
    """Check that a model is not significantly worse than the champion."""
    gap = duel.difference
    worse = gap.value > 0 and duel.p_value < significance
    sentence = (
        f"RMSE is {duel.rmse:.4f}, that of {champion} {duel.champion_rmse:.4f} on the "
        f"same {duel.n_pairs:,} test ratings: {abs(gap.value):.4f} stars "
        f"{'more' if gap.value > 0 else 'less'} [{gap.low:+.4f}, {gap.high:+.4f}], "
        f"p {_write_p(duel.p_value)}"
    )
    verdict = f"significantly worse at {significance:g}"
    return Check(
        passed=not worse, sentence=f"{sentence}: {'' if worse else 'not '}{verdict}."
    )


def _write_p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


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
