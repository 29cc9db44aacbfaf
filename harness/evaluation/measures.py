"""The table of measures: everything that is measured of a model, and how it is written."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.cold_start import COLD, POOLED_DEPTHS
from harness.evaluation.metrics import Direction
from harness.evaluation.results import (
    Costs,
    DepthError,
    Side,
    without_interval,
)
from harness.evaluation.statistics import Estimate
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.formatting import duration, milliseconds, percent, size, stars
from harness.plain import Params

__all__ = [
    "BLOCK",
    "DEPTH_MEASURES",
    "LOG_LOSS",
    "MEASURES",
    "DepthMeasure",
    "Evidence",
    "Measure",
    "take_measures",
]

Unit = Literal["rating", "share", "index", "ms", "s", "bytes", "bits", "number"]
Kind = Literal["accuracy", "ranking", "cold start", "cost", "setting"]

LOG_LOSS = "log_loss"
"""The one measure that asks for probabilities, which few families give."""

BLOCK = "block."
"""Prefix of a content block: ``block.genre`` is its share of the weights of all four."""

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What there is to measure a model by, when it is judged.

    Parameters
    ----------
    params : mapping
        Settings of the model.
    blocks_off : tuple of str
        Feature blocks that have nothing to work on.
    train, test : Ratings
        The two parts, with the same codes.
    catalogue : Catalogue
        Of the titles.
    predictions : list of ndarray of float32, shape (n_test,)
        Of the test ratings, one for each seed.
    accuracy : mapping of str to Estimate
        What `ScoreIntervals.metrics` has estimated, by name.
    ranking : mapping of str to Estimate
        What the lists are like, by name.
    depth : mapping of {"users", "items"} to tuple of DepthError
        RMSE by training ratings.
    coverage : float
        Share of test pairs whose user and title have training ratings.
    fit_seconds : float
        Mean training time of the seeds.
    costs : Costs or None
        Measured in a process of its own, of tuned models and the bias baseline.
    """

    params: Params
    blocks_off: tuple[str, ...]
    train: Ratings
    test: Ratings
    catalogue: Catalogue
    predictions: list[npt.NDArray[np.float32]]
    accuracy: Mapping[str, Estimate] = field(default_factory=dict)
    ranking: Mapping[str, Estimate] = field(default_factory=dict)
    depth: Mapping[Side, tuple[DepthError, ...]] = field(default_factory=dict)
    coverage: float = 1.0
    fit_seconds: float = math.nan
    costs: Costs | None = None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number of a model that reports, criteria, claims and preferences may name.

    Parameters
    ----------
    name : str
        Name in files and in MLflow.
    label : str
        Name for people.
    unit : {"rating", "share", "index", "ms", "s", "bytes", "bits", "number"}
        How values are written; "rating" is the unit of the data, stars on a star scale.
    direction : {"minimize", "maximize"} or None
        Which way is better; None for what is neither, such as a setting.
    kind : {"accuracy", "ranking", "cold start", "cost", "setting"}
        Where reports list it.
    compute : callable or None
        From `Evidence` to a number, an `Estimate`, or None where it is not defined. None
        for what is known of a model only beside others.
    negligible : float
        A difference up to this decides nothing.
    definition : str
        One sentence for people.
    is_mean_over_users : bool
        Whether a list measure is a mean over test users, whose interval says what may be
        chance; else it describes the lists as they are.
    """

    name: str
    label: str
    unit: Unit = "number"
    direction: Direction | None = "minimize"
    kind: Kind = "accuracy"
    compute: Callable[[Evidence], Estimate | float | None] | None = None
    negligible: float = 0.0
    definition: str = ""
    is_mean_over_users: bool = False

    def format(self, value: float | str | None) -> str:
        """Write a value as such quantities are usually read, in a table.

        Examples
        --------
        >>> MEASURES["rmse"].format(0.57491), MEASURES["within_one_star"].format(0.91)
        ('0.5749', '91.0 %')
        >>> MEASURES["latency_p95_ms"].format(7.34), MEASURES["model_bytes"].format(2.5e6)
        ('7.3 ms', '2.5 MB')
        """
        if value is None or isinstance(value, str):
            return "-" if value is None else value
        return "-" if math.isnan(value) else _FORMATS[self.unit](value)

    def sentence(self, value: float | str, unit_of_ratings: str = "stars") -> str:
        """Write a value with its unit, in a sentence.

        Examples
        --------
        >>> MEASURES["rmse"].sentence(0.90384), MEASURES["latency_p95_ms"].sentence(8)
        ('0.9038 stars', '8.0 ms')
        """
        tail = f" {unit_of_ratings}" if self.unit == "rating" else ""
        return self.format(value) + tail

    def given(self, value: float | str, unit_of_ratings: str = "") -> str:
        """Write a value that somebody chose or published: no digits added.

        Examples
        --------
        >>> MEASURES["rmse"].given(0.89), MEASURES["within_half_star"].given(0.6225)
        ('0.89', '62.25 %')
        >>> MEASURES["fit_seconds"].given(150), MEASURES["peak_memory_bytes"].given(5e7)
        ('2 min 30 s', '50 MB')
        """
        if isinstance(value, str):
            return value
        tail = (
            f" {unit_of_ratings}" if self.unit == "rating" and unit_of_ratings else ""
        )
        match self.unit:
            case "share":
                return f"{100 * value:.6g} %"
            case "s" | "bytes":
                return _FORMATS[self.unit](value)
            case "ms" | "bits":
                return f"{value:.6g} {self.unit}"
        # "1 star", but "1.0000 stars".
        return f"{value:.6g}{tail.removesuffix('s') if value == 1 else tail}"

    def difference(self, one: float, other: float) -> str:
        """Write by how much one value exceeds another, with its sign.

        Examples
        --------
        >>> MEASURES["within_one_star"].difference(0.919, 0.9118)
        '+0.7 percentage points'
        >>> MEASURES["rmse"].difference(0.5, 0.5)
        '0'
        """
        gap = one - other
        if self.unit == "share":
            text = f"{100 * abs(gap):.1f} percentage points"
        elif self.unit == "number":
            # No more digits than the two have that it is between.
            text = self.format(round(abs(gap), _n_decimals(max(abs(one), abs(other)))))
        else:
            text = self.format(abs(gap))
        if not any(digit in text for digit in "123456789") or abs(gap) < _ROUNDING:
            return "0"
        return f"{'-' if gap < 0 else '+'}{text}"

    def amount(self, gap: float, unit_of_ratings: str | None = None) -> str:
        """Write by how much two values differ, with the unit if that of ratings is given.

        Examples
        --------
        >>> MEASURES["rmse"].amount(0.005, "stars"), MEASURES["rmse"].amount(-0.005)
        ('0.0050 stars', '-0.0050')
        >>> MEASURES["within_half_star"].amount(0.005, "stars")
        '0.50 percentage points'
        """
        match self.unit:
            case "rating":
                text = stars(gap)
            case "share":
                text = f"{100 * gap:.2f}"
            case "index":
                text = f"{gap:.4f}"
            case _:
                text = f"{gap:.3g}"
        tail = self.unit_of_amounts(unit_of_ratings or "")
        return f"{text} {tail}" if tail and unit_of_ratings is not None else text

    def unit_of_amounts(self, unit_of_ratings: str = "stars") -> str:
        """Name the unit of differences; empty where they have none.

        Examples
        --------
        >>> MEASURES["rmse"].unit_of_amounts(), MEASURES["novelty"].unit_of_amounts()
        ('stars', 'bits')
        >>> MEASURES["within_half_star"].unit_of_amounts()
        'percentage points'
        """
        named = {"rating": unit_of_ratings, "share": "percentage points"}
        return named.get(
            self.unit, "" if self.unit in {"index", "number"} else self.unit
        )

    def signed(self, gap: float) -> str:
        """Write by how much two values differ, with its sign, for a table.

        Examples
        --------
        >>> MEASURES["rmse"].signed(0.005), MEASURES["rmse"].signed(-0.00001)
        ('+0.0050', '0.0000')
        >>> MEASURES["within_half_star"].signed(-0.005)
        '-0.50'
        """
        text = self.amount(gap).removeprefix("-")
        if not any(digit in text for digit in "123456789"):
            return text
        return f"{'-' if gap < 0 else '+'}{text}"

    def tolerance(self, value: float, unit_of_ratings: str = "") -> str:
        """Write how large a difference may be."""
        if self.unit == "share":
            return f"{100 * value:.6g} percentage points"
        return self.given(value, unit_of_ratings)

    def estimate(self, evidence: Evidence) -> Estimate | None:
        """Measure a model; None where the measure is not defined for it."""
        found = None if self.compute is None else self.compute(evidence)
        if found is None or isinstance(found, Estimate):
            return found
        value = float(found)
        return None if math.isnan(value) else without_interval(value)


def _n_decimals(value: float) -> int:
    """Count the decimals that a value with four significant digits has at most."""
    whole = len(f"{value:.0f}") if value >= 1 else 0
    return max(0, 4 - whole)


_FORMATS: Mapping[Unit, Callable[[float], str]] = {
    "rating": stars,
    "share": lambda value: percent(value, 1),
    # Adding 0 turns -0.0 into 0.0.
    "index": lambda value: f"{round(value, 3) + 0.0:.3f}",
    "ms": milliseconds,
    "s": duration,
    "bytes": size,
    "bits": lambda value: f"{value:.1f} bits",
    "number": lambda value: f"{value:.4g}",
}


HALF_A_DIGIT: Mapping[Unit, float] = {"index": 0.0005, "bits": 0.05}
"""Half of the last digit that is written of a mean over lists."""


@dataclass(frozen=True, slots=True)
class DepthMeasure:
    """Which test pairs an error is of: those of which little is known.

    Parameters
    ----------
    side : {"users", "items"}
        Whose training ratings are few.
    depth : str
        How few, as `harness.evaluation.cold_start` names it.
    """

    side: Side
    depth: str


DEPTH_MEASURES: Mapping[str, DepthMeasure] = {
    "cold_user_rmse": DepthMeasure("users", COLD),
    "cold_item_rmse": DepthMeasure("items", COLD),
    "sparse_user_rmse": DepthMeasure("users", "6-20"),
    "sparse_item_rmse": DepthMeasure("items", "6-20"),
}
"""Errors by depth, by the name of their measure."""


def _accuracy(name: str, label: str, unit: Unit, **more: Any) -> Measure:
    return Measure(
        name=name,
        label=label,
        unit=unit,
        compute=lambda evidence: evidence.accuracy.get(name),
        **more,
    )


def _ranking(name: str, label: str, unit: Unit, **more: Any) -> Measure:
    return Measure(
        name=name,
        label=label,
        unit=unit,
        kind="ranking",
        direction="maximize",
        compute=lambda evidence: evidence.ranking.get(name),
        **more,
    )


def _cost(name: str, label: str, unit: Unit, negligible: float, what: str) -> Measure:
    return Measure(
        name=name,
        label=label,
        unit=unit,
        kind="cost",
        compute=lambda evidence: (
            None if evidence.costs is None else evidence.costs.estimate(name)
        ),
        negligible=negligible,
        definition=what,
    )


def _training_time(evidence: Evidence) -> Estimate | float | None:
    costs = evidence.costs
    return evidence.fit_seconds if costs is None else costs.estimate("fit_seconds")


def _depth(name: str, label: str, whose: str) -> Measure:
    r"""Pool groups: :math:`\sqrt{\sum_g n_g e_g^2 / \sum_g n_g}`."""
    at = DEPTH_MEASURES[name]

    def pooled(evidence: Evidence) -> float | None:
        found = [
            (group.n_pairs, group.rmse.value)
            for group in evidence.depth.get(at.side, ())
            if group.depth in POOLED_DEPTHS[at.depth] and group.rmse is not None
        ]
        n_pairs = sum(n for n, _ in found)
        squares = sum(n * value**2 for n, value in found)
        return math.sqrt(squares / n_pairs) if n_pairs else None

    return Measure(
        name=name,
        label=label,
        unit="rating",
        kind="cold start",
        compute=pooled,
        definition=f"RMSE on the test pairs whose {whose}.",
    )


def _block(block: str) -> Measure:
    def share(evidence: Evidence) -> float | None:
        if block in evidence.blocks_off:
            return None
        return block_weights(evidence.params).get(block)

    return Measure(
        name=f"{BLOCK}{block}",
        label=f"share of the weights: {block}",
        unit="share",
        direction=None,
        kind="setting",
        compute=share,
        definition=f"Weight of the {block} block over the sum of all blocks' weights.",
    )


def _table(*measures: Measure) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


MEASURES: dict[str, Measure] = _table(
    _accuracy(
        "rmse", "RMSE", "rating", definition="Root mean squared error over all pairs."
    ),
    _accuracy("mae", "MAE", "rating", definition="Mean absolute error over all pairs."),
    _accuracy(
        "r2",
        "R²",
        "index",
        direction="maximize",
        negligible=0.005,
        definition="Share of the variance of the test ratings that is explained.",
    ),
    _accuracy(
        "within_half_star",
        "within 0.5",
        "share",
        direction="maximize",
        negligible=0.005,
        definition="Share of predictions off by at most 0.5.",
    ),
    _accuracy(
        "within_one_star",
        "within 1.0",
        "share",
        direction="maximize",
        negligible=0.005,
        definition="Share of predictions off by at most 1.0.",
    ),
    _accuracy(
        LOG_LOSS,
        "log loss",
        "number",
        negligible=0.005,
        definition="Mean of -ln p, p being how probable the rating that was given was said to be.",
    ),
    _accuracy(
        "user_rmse",
        "RMSE per user",
        "rating",
        definition="Mean over users of each user's own RMSE.",
    ),
    Measure(
        name="gain_over_bias",
        label="gain over the bias baseline",
        unit="rating",
        direction="maximize",
        definition="RMSE of the bias baseline minus RMSE of the model.",
    ),
    _depth(
        "cold_user_rmse", "RMSE of users with 0-5 ratings", "user has 0 to 5 ratings"
    ),
    _depth(
        "cold_item_rmse", "RMSE of titles with 0-5 ratings", "title has 0 to 5 ratings"
    ),
    _depth(
        "sparse_user_rmse",
        "RMSE of users with 6-20 ratings",
        "user has 6 to 20 ratings",
    ),
    _depth(
        "sparse_item_rmse",
        "RMSE of titles with 6-20 ratings",
        "title has 6 to 20 ratings",
    ),
    Measure(
        name="coverage",
        label="coverage of pairs",
        unit="share",
        direction="maximize",
        kind="cold start",
        compute=lambda evidence: evidence.coverage,
        definition="Share of test pairs whose user and title have training ratings.",
    ),
    Measure(
        name="fit_seconds",
        label="training time",
        unit="s",
        kind="cost",
        compute=_training_time,
        negligible=10.0,
        definition="Training on the whole training part, on one core.",
    ),
    _cost(
        "latency_p50_ms", "p50 latency", "ms", 1.0, "Median time of a user's top 10."
    ),
    _cost(
        "latency_p95_ms", "p95 latency", "ms", 1.0, "95 % of top 10 lists take less."
    ),
    _cost(
        "latency_p99_ms", "p99 latency", "ms", 1.0, "99 % of top 10 lists take less."
    ),
    _cost(
        "peak_memory_bytes",
        "peak memory",
        "bytes",
        50e6,
        "Growth of the resident set while the model is fitted and asked.",
    ),
    _cost("model_bytes", "model size", "bytes", 10e6, "Size of the saved model."),
    _ranking(
        "ndcg_at_10",
        "NDCG@10",
        "index",
        negligible=0.002,
        is_mean_over_users=True,
        definition="Normalised discounted cumulative gain of the top 10 of all titles.",
    ),
    _ranking(
        "recall_at_10",
        "recall@10",
        "index",
        is_mean_over_users=True,
        negligible=0.002,
        definition="Share of a user's liked test titles that are in the top 10.",
    ),
    _ranking(
        "catalogue_coverage",
        "catalogue coverage",
        "share",
        negligible=0.02,
        definition="Share of all titles that are in somebody's top 10.",
    ),
    _ranking(
        "intra_list_diversity",
        "intra-list diversity",
        "index",
        negligible=0.02,
        definition="Mean distance of two titles of a list by genre and decade.",
    ),
    _ranking(
        "novelty",
        "novelty",
        "bits",
        negligible=0.05,
        definition="Mean surprise of a recommended title, given its popularity.",
    ),
    _ranking(
        "serendipity",
        "serendipity",
        "index",
        is_mean_over_users=True,
        negligible=0.002,
        definition="Share of a list that is liked and not among the most popular.",
    ),
    *(_block(block) for block in PUBLISHED_WEIGHTS),
)
"""All measures of a model, by name. Adding one here is all there is to adding one."""


def take_measures(evidence: Evidence) -> dict[str, Estimate]:
    """Measure a model by everything in the table."""
    found = {name: each.estimate(evidence) for name, each in MEASURES.items()}
    return {name: each for name, each in found.items() if each is not None}
