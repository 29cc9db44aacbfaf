"""Promotion: the gate that a model passes before it becomes the champion."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from harness.errors import StudyError
from harness.evaluation.measures import Measure
from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.objectives import margin_of
from harness.evaluation.opening_budget import OpeningBudget
from harness.evaluation.results import BIAS_BASELINE, MEAN_BASELINE
from harness.experiment.spec import WINNER
from harness.formatting import p_relation, stars
from harness.serving.folder import PackagedModel
from harness.serving.promotion_source import (
    ChampionComparison,
    PromotionMaterial,
    PromotionSource,
    compare_with_champion,
    read_source,
    size_on_disk,
)
from harness.serving.registry import (
    CHALLENGER,
    CHAMPION,
    RegisteredVersion,
    Registry,
    VersionFacts,
    make_champion,
    model_name,
    own_promotion,
)
from harness.tracking.location import Location

__all__ = [
    "Bounds",
    "Check",
    "Promotion",
    "PromotionSettings",
    "check_floor",
    "check_gain",
    "check_non_inferiority",
    "default_bounds",
    "promote",
]


_BYTES_PER_MB = 1e6
_DEFAULTS = {"max_latency_ms": 20.0, "max_size_mb": 500.0, "min_coverage": 0.5}
_BOUND_OF = {
    ("latency_p95_ms", "at_most"): "max_latency_ms",
    ("model_bytes", "at_most"): "max_size_mb",
    ("coverage", "at_least"): "min_coverage",
}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a model may cost, and what it must cover."""

    # Of one user's top 10, 95th percentile; None does not ask.
    max_latency_ms: float | None = None
    # Of the packaged model; None does not ask.
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
    return Bounds(**{k: v for k, v in _DEFAULTS.items() if k not in named})


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that must hold, and whether it does."""

    passed: bool
    # What was measured, what is asked, and by how much it fails.
    sentence: str
    # What was said to promote in spite of it: "floor" or "undecided".
    forced_by: str | None = None

    @property
    def lets_pass(self) -> bool:
        """Whether it is no reason to refuse."""
        return self.passed or self.forced_by is not None

    @property
    def word(self) -> str:
        """The word to print before the sentence."""
        if self.passed:
            return "pass"
        return "FAIL" if self.forced_by is None else "FORCED"


def check_experiment(source: PromotionSource) -> list[Check]:
    """Repeat whether the acceptance criteria of the experiment's file hold."""
    return [
        Check(passed=each.passed, sentence=each.sentence)
        for each in source.record.criteria
    ]


def check_floor(source: PromotionSource, *, force: bool) -> list[Check]:
    """Check what the report says: a model that does not beat the floor is not used.

    That is the default bound of the gain: above 0 beyond chance, over both baselines.
    """
    decision = source.record.decision
    if source.study.family == "baseline" or decision is None:
        return []  # a baseline need not be better than itself
    parts = []
    for name in (BIAS_BASELINE, MEAN_BASELINE):
        found = source.record.difference(source.model.name, name)
        if found is not None:
            p = p_relation(found.p_holm)
            gain = source.measure.amount(-found.value, source.unit)
            parts.append(f"{gain} over {name} (p {p})")
    forced = force and not decision.beats_floor
    refused = not (force or decision.beats_floor)
    return [
        Check(
            passed=decision.beats_floor,
            forced_by="floor" if forced else None,
            sentence=(
                f"gain over the baselines{_by(source)}: "
                f"{', '.join(parts) or 'not measured'} (required: above 0, p < {source.significance:g})"
                f"{'; --force promotes it all the same' if refused else ''}"
            ),
        )
    ]


def _by(source: PromotionSource) -> str:
    """Name the objective, where it is not RMSE."""
    is_usual = source.study.metric == OBJECTIVE
    return "" if is_usual else f" by {source.measure.label}"


def check_gain(bounds: Bounds, source: PromotionSource) -> list[Check]:
    """Check by how much a model is better than user and item bias."""
    if bounds.min_gain is None:
        return []
    value = source.model.value("gain_over_bias")
    measured = "was not measured" if value is None else f"{stars(value)} {source.unit}"
    return [
        Check(
            passed=value is not None and value >= bounds.min_gain,
            sentence=(
                f"gain over bias baseline {measured} (required: >= {bounds.min_gain:g})"
            ),
        )
    ]


def check_bounds(
    bounds: Bounds, source: PromotionSource, *, size_bytes: int
) -> list[Check]:
    """Check latency, size and coverage."""
    checks = []
    p95 = source.model.value("latency_p95_ms")
    size = size_bytes / _BYTES_PER_MB
    if bounds.max_latency_ms is not None:
        checks.append(
            _at_most("p95 latency of a top 10", p95, bounds.max_latency_ms, "ms")
        )
    if bounds.max_size_mb is not None:
        checks.append(
            _at_most(
                "size of the model with its titles", size, bounds.max_size_mb, "MB"
            )
        )
    if bounds.min_coverage is not None:
        coverage = source.model.value("coverage")
        measured = "was not measured" if coverage is None else f"{coverage:.3g}"
        checks.append(
            Check(
                passed=coverage is not None and coverage >= bounds.min_coverage,
                sentence=(
                    f"share of test pairs with a known user and title {measured} "
                    f"(required: >= {bounds.min_coverage:.3g})"
                ),
            )
        )
    return checks


def _at_most(what: str, value: float | None, bound: float, unit: str) -> Check:
    measured = "was not measured" if value is None else f"{value:.3g} {unit}"
    return Check(
        passed=value is not None and value <= bound,
        sentence=f"{what} {measured} (required: <= {bound:g} {unit})",
    )


def check_non_inferiority(
    comparison: ChampionComparison,
    *,
    champion: str,
    source: PromotionSource,
    force_undecided: bool,
) -> Check:
    """Check that a model is not worse than the champion by as much as the margin."""
    test, measure, unit = comparison.test, source.measure, source.unit
    less = "" if source.study.metric.direction == "minimize" else "loss of "
    sentence = (
        f"{measure.label} {measure.format(comparison.score)} against "
        f"{measure.format(comparison.champion_score)} of {champion} on the same "
        f"{comparison.n_pairs:,} test ratings: {less}"
        f"{_signed(measure, test.difference, unit)}, {_upper(comparison, measure)} "
        f"(required: < {measure.tolerance(test.margin)}, the margin)"
    )
    if test.non_inferior:
        answer = (
            f"better by {measure.amount(-test.difference, unit)}, "
            f"p {p_relation(test.p_value)}"
            if test.superior
            else "not worse by the margin"
        )
        return Check(passed=True, sentence=f"{sentence}: {answer}")
    if test.inferior:
        return Check(
            passed=False, sentence=f"{sentence}: worse by more than the margin"
        )
    hint = "" if force_undecided else "; --force-undecided promotes it all the same"
    return Check(
        passed=False,
        sentence=f"{sentence}: undecided, {_what_would_decide(comparison)}{hint}",
        forced_by="undecided" if force_undecided else None,
    )


def _signed(measure: Measure, value: float, unit: str | None = None) -> str:
    # Adding 0 turns -0.0 into 0.0.
    text = measure.amount(value + 0.0, unit)
    return text if text.startswith("-") else f"+{text}"


def _upper(comparison: ChampionComparison, measure: Measure) -> str:
    test = comparison.test
    if math.isnan(test.upper):
        return "without an interval"
    return f"at most {_signed(measure, test.upper)} at level {test.alpha:.2g}"


def _what_would_decide(comparison: ChampionComparison) -> str:
    needed, there = comparison.test.users_needed, comparison.n_users
    if there < 2:
        return "for one test user does not tell how others differ"
    if needed is None:
        return (
            f"and more than these {there:,} test users would not tell: their titles are "
            "too few"
        )
    if needed <= there:
        return f"though {there:,} test users would mostly do for an equal model"
    return (
        f"for {there:,} test users are too few: {needed - there:,} more would let an "
        "equal model pass in 4 of 5 cases"
    )


Outcome = Literal["promoted", "refused", "challenger", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class PromotionSettings:
    """What to promote, and how: what the command line says."""

    # Name of an experiment or of a study.
    name: str
    # URL or path of the Optuna storage.
    storage: str
    # The MLflow store, whose registry it is.
    location: Location
    bounds: Bounds = field(default_factory=Bounds)
    margin: float | None = None
    rejudge: bool = False
    dry_run: bool = False
    # Register as challenger; compare with nobody.
    challenge: bool = False
    # Promote a model that does not beat the baselines.
    force: bool = False
    # Promote a model of which the test set cannot tell whether it is worse.
    force_undecided: bool = False
    refit_all: bool = False


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """How a promotion went."""

    # What became of the model; in a dry run, what would have.
    outcome: Outcome
    model: str
    source: PromotionSource
    # Its version; None in a dry run.
    version: RegisteredVersion | None = None
    # The champion it was compared with.
    before: RegisteredVersion | None = None
    checks: tuple[Check, ...] = ()
    # The comparison, if there was one.
    comparison: ChampionComparison | None = None
    # Which opening of the test ratings it was, if they were opened.
    opening: int | None = None
    # What the test ratings are still good for, if they were opened.
    budget: OpeningBudget | None = None


def promote(
    settings: PromotionSettings, *, on_step: Callable[[str], None]
) -> Promotion:
    """Put a model through the gate, and make it the champion if it passes.

    The costs come first: for a model that fails there, the test set stays closed.
    """
    source = read_source(settings.storage, settings.name)
    margin_of(source.study.metric, settings.margin, source.study.dataset.scale)
    name = model_name(source.study.dataset.name)
    registry = Registry(settings.location)
    with own_promotion(settings.location, name):
        before = registry.aliased(name, CHAMPION)
        if before is not None and _is_served(source, before, settings):
            material = PromotionMaterial(source, settings.location, on_step)
            material.fetch_champion(before, before.uri)
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


def _is_served(
    source: PromotionSource, champion: RegisteredVersion, settings: PromotionSettings
) -> bool:
    trained_on = "all ratings" if settings.refit_all else "training part"
    return (
        source.is_settings_of(champion)
        and champion.facts is not None
        and champion.facts.trained_on == trained_on
    )


def _require_comparable(
    source: PromotionSource, champion: RegisteredVersion, settings: PromotionSettings
) -> None:
    if settings.rejudge or champion.test_set.are(source.test_set):
        return
    raise StudyError(
        f"The champion, version {champion.version} of {champion.name!r}, was judged on "
        f"another test set (ratings and split {champion.test_set}) than {source.name!r} "
        f"({source.test_set}), so their figures cannot be compared: judge both on "
        "that of the new model with --rejudge, or register it with --challenger."
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
        self._name = model_name(source.study.dataset.name)
        self._checks: list[Check] = []
        self._comparison: ChampionComparison | None = None
        self._opening: int | None = None

    def pass_through(self) -> Promotion:
        """Check, register and make champion, as far as it goes."""
        run_id = uri = None
        if not self._settings.dry_run:
            run_id = self._material.log_runs()
            uri = self._registry.logged_model(run_id, trial=self._source.trial.number)
        newcomer, uri = self._material.obtain(uri)
        outcome: Outcome = "challenger"
        if not self._settings.challenge:
            self._check(newcomer)
            passed = all(check.lets_pass for check in self._checks)
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
            budget=None if self._opening is None else self._budget,
        )

    @property
    def _margin(self) -> float:
        """The margin that was asked for, else that of the experiment."""
        asked = self._settings.margin
        return self._source.judging.margin if asked is None else asked

    @property
    def _budget(self) -> OpeningBudget:
        return OpeningBudget.after(
            self._material.n_promotion_tests, alpha=self._source.significance
        )

    def _check(self, newcomer: PackagedModel) -> None:
        source, settings, before = self._source, self._settings, self._before
        bounds = settings.bounds.filled(default_bounds(source))
        self._checks = [
            *check_experiment(source),
            *check_floor(source, force=settings.force),
            *check_gain(bounds, source),
            *check_bounds(bounds, source, size_bytes=size_on_disk(newcomer)),
        ]
        if before is None or source.is_settings_of(before):
            return  # the same settings, fitted to more or fewer ratings: nothing to test
        if all(check.lets_pass for check in self._checks):
            self._compare(newcomer, before)

    def _compare(self, newcomer: PackagedModel, before: RegisteredVersion) -> None:
        champion = self._material.fetch_champion(before, before.judged_uri)
        # The level depends on how often these ratings have decided before.
        level = self._budget.next_level
        parts, self._opening = self._material.open_test()
        self._comparison = compare_with_champion(
            newcomer,
            champion,
            parts,
            metric=self._source.study.metric,
            margin=self._margin,
            alpha=level,
        )
        self._checks.append(
            check_non_inferiority(
                self._comparison,
                champion=f"the champion (version {before.version})",
                source=self._source,
                force_undecided=self._settings.force_undecided,
            )
        )

    def _register(
        self,
        newcomer: PackagedModel,
        run_id: str,
        judged: str | None,
        outcome: Outcome,
    ) -> RegisteredVersion:
        if judged is None:
            judged = self._material.log(self._registry, newcomer, run_id)
        refit = self._settings.refit_all and outcome != "refused"
        served = self._material.log(self._registry, None, run_id) if refit else judged
        version = self._registry.register(
            self._name,
            served,
            run_id=run_id,
            facts=self._facts(outcome, judged if refit else None),
            description=self._describe(outcome, refit=refit),
        )
        if outcome == "promoted":
            make_champion(self._registry, version, self._before)
        else:
            self._registry.move(CHALLENGER, version, name=self._name)
        return version

    def _facts(self, outcome: Outcome, judged: str | None) -> VersionFacts:
        """Say what the registry keeps; `judged` is given where another one is served."""
        test = None if self._comparison is None else self._comparison.test
        forced = [each.forced_by for each in self._checks if not each.passed]
        return replace(
            self._source.facts,
            trained_on="training part" if judged is None else "all ratings",
            judged_source=judged,
            verdict=outcome,
            forced=tuple(word for word in forced if word is not None),
            margin=None if test is None else test.margin,
            superior=None if test is None else test.superior,
            promotion_tests=self._material.n_promotion_tests,
        )

    def _describe(self, outcome: Outcome, *, refit: bool) -> str:
        """Say in the registry what was promoted or refused, and why."""
        source, today = self._source, datetime.now(UTC).date()
        summary = (
            f"{source.shown_score()}: {source.study.family}, trial {source.trial.number}, of {source.name}; "
            f"{outcome}, {today}\n"
        )
        served = (
            "Fitted to all ratings. The figures are those of the judged model, fitted to "
            "the training part.\n"
        )
        lines = [f"- {check.word}: {check.sentence}" for check in self._checks]
        return "\n".join([summary, *([served] if refit else []), *lines])
