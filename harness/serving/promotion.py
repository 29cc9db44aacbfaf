"""Promotion: the gate that a model passes before it becomes the champion."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from harness.errors import StudyError
from harness.experiment.file import WINNER
from harness.serving.folder import PackagedModel
from harness.serving.package import log_model
from harness.serving.promotion_material import (
    ChampionComparison,
    PromotionMaterial,
    PromotionSource,
    compare_with_champion,
    read_source,
)
from harness.serving.registry import (
    CHALLENGER,
    CHAMPION,
    RegisteredVersion,
    Registry,
    make_champion,
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
    named = {
        _BOUND_OF.get((each.metric, kind))
        for each in source.record.spec.criteria
        for kind in ("at_most", "at_least")
        if each.candidate in (WINNER, source.candidate)
        and getattr(each, kind) is not None
    }
    if source.study.family == "baseline":  # need not be better than itself
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
    """Repeat whether the acceptance criteria of the experiment's file hold."""
    return [
        Check(passed=each.passed, sentence=each.sentence)
        for each in source.record.criteria
    ]


def check_gain(bounds: Bounds, source: PromotionSource) -> list[Check]:
    """Check by how much a model is better than user and item bias."""
    if bounds.min_gain is None:
        return []
    value = source.model.value("gain_over_bias")
    if value is None:
        sentence = "The gain over user and item bias was not measured."
        return [Check(passed=False, sentence=sentence)]
    verdict = f"at least {bounds.min_gain:g}, as required"
    if value < bounds.min_gain:
        gap = bounds.min_gain - value
        verdict = f"{gap:.4f} below the {bounds.min_gain:g} required"
    sentence = f"The gain over user and item bias is {value:.4f} stars: {verdict}."
    return [Check(passed=value >= bounds.min_gain, sentence=sentence)]


def check_floor(source: PromotionSource, *, force: bool) -> list[Check]:
    """Check what the report says: a model that does not beat the floor is not used."""
    decision = source.record.decision
    if source.study.family == "baseline" or decision is None or decision.beats_floor:
        return []
    floor = source.record.baseline(decision.floor)
    assert floor is not None
    value, baseline = source.model.rmse.value, floor.rmse.value
    chance = ", which may be chance" if value < baseline else ""
    forced = "; promoted by force" if force else ""
    return [
        Check(
            passed=force,
            sentence=(
                f"It does not beat the baseline {floor.name!r}, whose RMSE on the same "
                f"test ratings is {baseline:.4f}: its own is {abs(value - baseline):.4f} "
                f"stars {'lower' if value < baseline else 'higher'}{chance}{forced}."
            ),
        )
    ]


def check_bounds(
    bounds: Bounds, source: PromotionSource, *, size_bytes: int
) -> list[Check]:
    """Check latency, size and coverage."""
    checks = []
    p95 = source.model.value("latency_p95_ms") or 0.0
    coverage = source.model.value("coverage") or 0.0
    if bounds.max_latency_ms is not None:
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


def check_comparison(
    comparison: ChampionComparison, *, champion: str, significance: float
) -> Check:
    """Check that a model is not significantly worse than the champion."""
    gap = comparison.difference
    worse = gap.value > 0 and comparison.p_value < significance
    sentence = (
        f"RMSE is {comparison.rmse:.4f}, that of {champion} {comparison.champion_rmse:.4f} on the "
        f"same {comparison.n_pairs:,} test ratings: {abs(gap.value):.4f} stars "
        f"{'more' if gap.value > 0 else 'less'} [{gap.low:+.4f}, {gap.high:+.4f}], "
        f"p {_write_p(comparison.p_value)}"
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
    force : bool, default False
        Promote a model that does not beat the baselines.
    """

    name: str
    storage: str
    location: Location
    bounds: Bounds = field(default_factory=Bounds)
    rejudge: bool = False
    dry_run: bool = False
    challenge: bool = False
    force: bool = False


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
    comparison : ChampionComparison or None
        The comparison, if there was one.
    opening : int or None
        Which opening of the test ratings it was, if they were opened.
    """

    outcome: Outcome
    model: str
    source: PromotionSource
    version: RegisteredVersion | None = None
    before: RegisteredVersion | None = None
    checks: tuple[Check, ...] = ()
    comparison: ChampionComparison | None = None
    opening: int | None = None


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
        self._comparison: ChampionComparison | None = None
        self._opening: int | None = None

    def pass_through(self) -> Promotion:
        """Check, register and make_champion, as far as it goes."""
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
            comparison=self._comparison,
            opening=self._opening,
        )

    def _check(self, newcomer: PackagedModel) -> None:
        bounds = self._settings.bounds.filled(default_bounds(self._source))
        self._checks = [
            *check_experiment(self._source),
            *check_floor(self._source, force=self._settings.force),
            *check_gain(bounds, self._source),
            *check_bounds(
                bounds, self._source, size_bytes=self._material.size_bytes(newcomer)
            ),
        ]
        if self._before is not None and all(check.passed for check in self._checks):
            self._compare(newcomer, self._before)

    def _compare(self, newcomer: PackagedModel, before: RegisteredVersion) -> None:
        champion = self._material.fetch_champion(before)
        test, self._opening = self._material.open_test()
        self._comparison = compare_with_champion(newcomer, champion, test)
        self._checks.append(
            check_comparison(
                self._comparison,
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
            uri = log_model(newcomer, run_id=run_id, location=location)
        version = self._registry.register(
            self._name,
            uri,
            run_id=run_id,
            tags=self._source.tags | {"verdict": outcome},
            description=self._describe(outcome),
        )
        if outcome == "promoted":
            make_champion(self._registry, version, self._before)
        else:
            self._registry.move(CHALLENGER, version, name=self._name)
        return version

    def _describe(self, outcome: Outcome) -> str:
        """Say in the registry what was promoted or refused, and why."""
        source, today = self._source, datetime.now(UTC).date()
        rmse = source.model.rmse
        summary = (
            f"RMSE {rmse.value:.4f} stars [{rmse.low:.4f}, {rmse.high:.4f}]: "
            f"{source.study.family}, trial {source.trial.number}, of {source.name}; "
            f"{outcome}, {today}\n"
        )
        lines = [
            summary,
            *(
                f"- {'pass' if c.passed else 'FAIL'}: {c.sentence}"
                for c in self._checks
            ),
        ]
        return "\n".join(lines)
