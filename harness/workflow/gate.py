"""The gate that a model must pass to be promoted: one check after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.experiment.criteria import check_criteria
from harness.experiment.decision import beats_bias_of
from harness.experiment.spec_checks import WINNER
from harness.workflow.duel import Duel
from harness.workflow.promotion_source import PromotionSource

__all__ = [
    "Bounds",
    "Check",
    "check_bounds",
    "check_duel",
    "check_experiment",
    "check_gain",
    "default_bounds",
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
        """Take from others what is None here.

        Parameters
        ----------
        others : Bounds
            Defaults.

        Returns
        -------
        Bounds
            Both.
        """
        own = {name: value for name, value in vars(self).items() if value is not None}
        return Bounds(**{**vars(others), **own})


def default_bounds(source: PromotionSource) -> Bounds:
    """Bound what no criterion of an experiment's file bounds for the winner.

    Parameters
    ----------
    source : PromotionSource
        What is to be promoted.

    Returns
    -------
    Bounds
        20 ms, 500 MB, half of the test pairs, and not worse than user and item bias; None
        where there is a criterion, which `check_experiment` checks.
    """
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
    """Check the acceptance criteria of the experiment's file; a study has none.

    Parameters
    ----------
    source : PromotionSource
        What is to be promoted.

    Returns
    -------
    list of Check
        In the order of the file.
    """
    if source.experiment is None:
        return []
    return [
        Check(passed=each.passed, sentence=each.sentence)
        for each in check_criteria(source.experiment)
    ]


def check_gain(bounds: Bounds, source: PromotionSource) -> list[Check]:
    """Check by how much a model is better than user and item bias.

    Parameters
    ----------
    bounds : Bounds
        What is asked.
    source : PromotionSource
        What is to be promoted.

    Returns
    -------
    list of Check
        One if there is a bound; what was not measured has not passed.
    """
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
    """Say so if a model does not beat user and item bias beyond chance.

    Parameters
    ----------
    source : PromotionSource
        What is to be promoted.

    Returns
    -------
    str or None
        A sentence; None if it does, or the two were not compared.
    """
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
    """Check latency, size and coverage.

    Parameters
    ----------
    bounds : Bounds
        What is asked.
    costs : mapping
        As `harness.evaluation.efficiency.measure_efficiency` gives them; may be empty
        where no bound is on latency.
    size_bytes : int
        Of the packaged model.
    coverage : float
        Share of the test pairs whose user and title are known.

    Returns
    -------
    list of Check
        One for each bound.
    """
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
    """Check that a model is not significantly worse than the champion.

    Parameters
    ----------
    duel : Duel
        Both on the same test ratings.
    champion : str
        Name of the champion, for the sentence.
    significance : float
        Level below which a difference counts.

    Returns
    -------
    Check
        It fails if the RMSE is higher and p is below the level.
    """
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
