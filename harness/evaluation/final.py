"""The final judging: refits with several seeds, scored once on the sealed test set."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.cold_start import compare_by_depth, known_share, rmse_by_depth
from harness.evaluation.dependence import ScoreIntervals
from harness.evaluation.metrics import rmse
from harness.evaluation.ranking import rank_test_users
from harness.evaluation.splits import SealedTest
from harness.evaluation.statistics import holm
from harness.models.base import Recommender

__all__ = [
    "BIAS_BASELINE",
    "MEAN_BASELINE",
    "Contestant",
    "Entry",
    "FittedEntry",
    "describe_residuals",
    "evaluate_final",
    "fit_contestant",
    "fit_entries",
    "judge_entries",
]


BIAS_BASELINE = "user and item bias"
"""Name of the contestant that a family must beat to be worth its cost."""

MEAN_BASELINE = "global mean"
"""Name of the contestant that knows nothing."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model to be judged.

    Parameters
    ----------
    name : str
        Name in the report: ``"tuned"``, ``"initial"``, ``"user and item bias"``.
    family : type
        Class of the model.
    params : mapping
        Its hyperparameters.
    """

    name: str
    family: type[Recommender]
    params: Mapping[str, Any]


def evaluate_final(
    contestants: Sequence[Contestant],
    train: Ratings,
    catalogue: Catalogue,
    test: SealedTest,
    *,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Fit on the whole training part, and score on the test set."""
    fitted = [
        fit_contestant(contestant, train, catalogue, seeds=seeds)
        for contestant in contestants
    ]
    ratings = test.open()
    intervals = ScoreIntervals(ratings)
    predictions = [
        [_predict_all(model, ratings) for model in models] for models, _ in fitted
    ]
    return {
        "opened": datetime.now(UTC).isoformat(timespec="seconds"),
        "looks": test.looks,
        "seeds": list(seeds),
        "n_test": len(ratings),
        "confidence": intervals.confidence,
        "models": [
            judge_contestant(contestant, intervals, ratings, predicted)
            | {"fit_seconds": fit_seconds}
            for contestant, predicted, (_, fit_seconds) in zip(
                contestants, predictions, fitted, strict=True
            )
        ],
        "differences": [
            _compare(intervals, contestants, predictions, other)
            for other in range(1, len(contestants))
        ],
    }


def fit_contestant(
    contestant: Contestant,
    train: Ratings,
    catalogue: Catalogue,
    *,
    seeds: Sequence[int],
) -> tuple[list[Recommender], float]:
    """Fit a contestant with several seeds."""
    seeded = "seed" in contestant.family.__dataclass_fields__
    models, start = [], time.perf_counter()
    for seed in seeds if seeded else seeds[:1]:
        extra = {"seed": seed} if seeded else {}
        model = contestant.family(**contestant.params, **extra)
        models.append(model.fit(train, catalogue))
    return models, (time.perf_counter() - start) / len(models)


def judge_contestant(
    contestant: Contestant,
    intervals: ScoreIntervals,
    ratings: Ratings,
    predictions: list[npt.NDArray[np.float32]],
) -> dict[str, Any]:
    """Score predictions of the test ratings."""
    estimates = intervals.metrics(predictions)
    return {
        "name": contestant.name,
        "family": contestant.family.name,
        "params": dict(contestant.params),
        "metrics": {name: asdict(estimate) for name, estimate in estimates.items()},
        "rmse_by_seed": [rmse(ratings.values, p) for p in predictions],
    }


def _predict_all(model: Recommender, ratings: Ratings) -> npt.NDArray[np.float32]:
    return model.predict(ratings.users, ratings.items, ratings.timestamps)


def _compare(
    intervals: ScoreIntervals,
    contestants: Sequence[Contestant],
    predictions: list[list[npt.NDArray[np.float32]]],
    other: int,
) -> dict[str, Any]:
    estimate, p_value = intervals.difference(predictions[0], predictions[other])
    return {
        "one": contestants[0].name,
        "other": contestants[other].name,
        **asdict(estimate),
        "p_value": p_value,
    }


MOST_GROUPS = 10
"""No more bars than these: of stars, and of predictions."""

Doubles = npt.NDArray[np.float64]


def describe_residuals(
    test: Ratings, predictions: list[npt.NDArray[Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Describe the errors of a model.

    A model that is drawn to the mean is above the truth for low ratings and below it for
    high ones, even where it is calibrated: where what it predicts is what is given on
    average.
    """
    truth = test.values.astype(np.float64)
    errors = np.stack([np.asarray(p, dtype=np.float64) - truth for p in predictions])
    return {
        "by_star": _by_star(test, errors),
        "calibration": _calibration(truth, truth + errors.mean(axis=0)),
    }


def _by_star(test: Ratings, errors: Doubles) -> list[dict[str, Any]]:
    stars, group = _stars(test)
    found = []
    for k, star in enumerate(stars):
        chosen = errors[:, group == k]
        if not chosen.size:
            continue
        found.append(
            {
                "star": star,
                "n": chosen.shape[1],
                "mean_error": float(chosen.mean()),
                "rmse": float(np.sqrt(np.square(chosen).mean(axis=1)).mean()),
            }
        )
    return found


def _stars(test: Ratings) -> tuple[list[float], npt.NDArray[np.integer[Any]]]:
    """Name the groups of ratings, and tell to which of them each rating belongs."""
    stars, group = np.unique(test.values.astype(np.float64), return_inverse=True)
    if len(stars) > MOST_GROUPS:
        low, high = test.scale.low, test.scale.high
        edges = np.linspace(low, high, MOST_GROUPS + 1)
        stars = (edges[:-1] + edges[1:]) / 2
        group = np.searchsorted(edges[1:-1], test.values, side="right")
    # Rounded, for 3.6 in float32 is 3.5999999.
    return [round(float(star), 6) for star in stars], group


def _calibration(truth: Doubles, predicted: Doubles) -> list[dict[str, Any]]:
    order = np.sort(predicted)
    firsts = np.arange(1, MOST_GROUPS) * len(order) // MOST_GROUPS
    _, group = np.unique(
        np.searchsorted(order[firsts], predicted, side="right"), return_inverse=True
    )
    n = np.bincount(group)
    means = (np.bincount(group, weights=x) / n for x in (predicted, truth))
    return [
        {"predicted": float(p), "actual": float(a), "n": int(size)}
        for p, a, size in zip(*means, n, strict=True)
    ]


Role = Literal["tuned", "initial", "variant", "baseline"]


@dataclass(frozen=True, kw_only=True)
class Entry(Contestant):
    """A model of an experiment.

    Parameters
    ----------
    name, family, params : see `Contestant`
        What is judged.
    role : {"tuned", "initial", "variant", "baseline"}
        What its settings are.
    candidate : str or None
        Key in the experiment file; None for baselines.
    """

    role: Role
    candidate: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedEntry:
    """A model of an experiment, fitted with each seed.

    Parameters
    ----------
    entry : Entry
        What was fitted.
    models : list of Recommender
        One for each seed; one in all for a family without randomness.
    fit_seconds : float
        Mean training time of one.
    """

    entry: Entry
    models: list[Recommender]
    fit_seconds: float


def fit_entries(
    entries: Sequence[Entry],
    train: Ratings,
    catalogue: Catalogue,
    *,
    seeds: Sequence[int],
    on_fitted: Callable[[str], None],
) -> list[FittedEntry]:
    """Fit all models of an experiment on the whole training part."""
    fitted = []
    for entry in entries:
        models, seconds = fit_contestant(entry, train, catalogue, seeds=seeds)
        fitted.append(FittedEntry(entry=entry, models=models, fit_seconds=seconds))
        on_fitted(entry.name)
    return fitted


def judge_entries(
    fitted: Sequence[FittedEntry],
    train: Ratings,
    catalogue: Catalogue,
    test: SealedTest,
    *,
    on_judged: Callable[[str], None],
) -> dict[str, Any]:
    """Open the test set, and score all models on it."""
    ratings = test.open()
    opened = datetime.now(UTC).isoformat(timespec="seconds")
    intervals = ScoreIntervals(ratings)
    coverage = known_share(train, ratings)
    predictions, models = {}, []
    for each in fitted:
        predicted = [_predict_all(model, ratings) for model in each.models]
        predictions[each.entry.name] = predicted
        models.append(
            {
                **judge_contestant(each.entry, intervals, ratings, predicted),
                "role": each.entry.role,
                "candidate": each.entry.candidate,
                "fit_seconds": each.fit_seconds,
                "depth": rmse_by_depth(train, ratings, predicted),
                "coverage": coverage,
                "residuals": describe_residuals(ratings, predicted),
                # One seed will do: ranks are means over users and titles already.
                "ranking": rank_test_users(each.models[0], train, ratings, catalogue),
                "notes": each.entry.family.notes_on(catalogue, train),
            }
        )
        on_judged(each.entry.name)
    return {
        "opened": opened,
        "n_test": len(ratings),
        "n_test_users": len(np.unique(ratings.users)),
        "test_variance": float(ratings.values.var(dtype=np.float64)),
        "confidence": intervals.confidence,
        "models": models,
        "differences": _differences([f.entry for f in fitted], intervals, predictions),
        "depth_differences": compare_by_depth(
            train,
            ratings,
            {name: predictions[name] for name in _rivals([f.entry for f in fitted])},
        ),
    }


def _differences(
    entries: Sequence[Entry],
    intervals: ScoreIntervals,
    predictions: Mapping[str, list[npt.NDArray[np.float32]]],
) -> list[dict[str, Any]]:
    found = []
    for group, pairs in _pairs(entries).items():
        compared = []
        for one, other in pairs:
            estimate, p_value = intervals.difference(
                predictions[one], predictions[other]
            )
            compared.append(
                {
                    "group": group,
                    "one": one,
                    "other": other,
                    **asdict(estimate),
                    "p_value": p_value,
                }
            )
        adjusted = holm([each["p_value"] for each in compared])
        found += [
            {**each, "p_holm": p} for each, p in zip(compared, adjusted, strict=True)
        ]
    return found


def _pairs(entries: Sequence[Entry]) -> dict[str, list[tuple[str, str]]]:
    """Group the comparisons by the question they answer: each is corrected by itself."""
    of = {(e.candidate, e.role): e.name for e in entries if e.candidate is not None}
    return {
        "families": list(combinations(_rivals(entries), 2)),
        "tuning": [
            (name, of[candidate, "initial"])
            for (candidate, role), name in of.items()
            if role == "tuned"
        ],
        "variants": [
            (of[e.candidate, "initial"], e.name)
            for e in entries
            if e.role == "variant" and e.candidate is not None
        ],
    }


def _rivals(entries: Sequence[Entry]) -> list[str]:
    """Name the tuned models, and the floor that they must beat."""
    tuned = [e.name for e in entries if e.role == "tuned"]
    return tuned + [e.name for e in entries if e.name == BIAS_BASELINE]
