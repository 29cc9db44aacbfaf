"""The contest of an experiment: all its models, on the same test ratings, opened once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.depth import known_share, rmse_by_depth
from harness.evaluation.depth_contest import compare_by_depth
from harness.evaluation.final import (
    BIAS_BASELINE,
    Contestant,
    fit_contestant,
    judge_contestant,
)
from harness.evaluation.holm import holm
from harness.evaluation.intervals import UserBootstrap
from harness.evaluation.ranking import rank_test_users
from harness.evaluation.residuals import describe_residuals
from harness.evaluation.seal import SealedTest
from harness.models.base import Recommender

__all__ = ["Entry", "FittedEntry", "fit_entries", "judge_entries"]

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
    """Fit all models of an experiment on the whole training part.

    Parameters
    ----------
    entries : sequence of Entry
        What to fit.
    train : Ratings
        The training part.
    catalogue : Catalogue
        Of its titles.
    seeds : sequence of int
        Seeds of the refits.
    on_fitted : callable
        Is given the name of each entry that was fitted.

    Returns
    -------
    list of FittedEntry
        In the same order.
    """
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
    """Open the test set, and score all models on it.

    Parameters
    ----------
    fitted : sequence of FittedEntry
        The models.
    train : Ratings
        What they were fitted on.
    catalogue : Catalogue
        Of the titles.
    test : SealedTest
        Is opened once.
    on_judged : callable
        Is given the name of each entry that was scored.

    Returns
    -------
    dict
        JSON-like: ``opened``, ``n_test``, ``n_test_users``, ``test_variance``,
        ``confidence``, ``n_resamples``, ``models``, ``differences`` and
        ``depth_differences``; see `harness.experiment.record.ExperimentRecord`.
    """
    ratings = test.open()
    opened = datetime.now(UTC).isoformat(timespec="seconds")
    bootstrap = UserBootstrap(ratings)
    coverage = known_share(train, ratings)
    predictions, models = {}, []
    for each in fitted:
        predicted = [m.predict(ratings.users, ratings.items) for m in each.models]
        predictions[each.entry.name] = predicted
        models.append(
            {
                **judge_contestant(each.entry, bootstrap, ratings, predicted),
                "role": each.entry.role,
                "candidate": each.entry.candidate,
                "fit_seconds": each.fit_seconds,
                "depth": rmse_by_depth(train, ratings, predicted),
                "coverage": coverage,
                "residuals": describe_residuals(ratings, predicted),
                # One seed will do: ranks are means over users and titles already.
                "ranking": rank_test_users(each.models[0], train, ratings, catalogue),
                "notes": each.entry.family.notes_on(catalogue),
            }
        )
        on_judged(each.entry.name)
    return {
        "opened": opened,
        "n_test": len(ratings),
        "n_test_users": len(np.unique(ratings.users)),
        "test_variance": float(ratings.values.var(dtype=np.float64)),
        "confidence": bootstrap.confidence,
        "n_resamples": bootstrap.n_resamples,
        "models": models,
        "differences": _differences([f.entry for f in fitted], bootstrap, predictions),
        "depth_differences": compare_by_depth(
            train,
            ratings,
            {name: predictions[name] for name in _rivals([f.entry for f in fitted])},
        ),
    }


def _differences(
    entries: Sequence[Entry],
    bootstrap: UserBootstrap,
    predictions: Mapping[str, list[npt.NDArray[np.float32]]],
) -> list[dict[str, Any]]:
    found = []
    for group, pairs in _pairs(entries).items():
        compared = []
        for one, other in pairs:
            estimate, p_value = bootstrap.difference(
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
