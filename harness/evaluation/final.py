"""The final evaluation: refits with several seeds, scored once on the sealed test set."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.intervals import UserBootstrap
from harness.evaluation.metrics import rmse
from harness.evaluation.seal import SealedTest
from harness.models.base import Recommender

__all__ = [
    "BIAS_BASELINE",
    "MEAN_BASELINE",
    "Contestant",
    "evaluate_final",
    "fit_contestant",
    "judge_contestant",
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
    """Fit on the whole training part, and score on the test set.

    Parameters
    ----------
    contestants : sequence of Contestant
        The first one is compared with each of the others.
    train : Ratings
        The training part.
    catalogue : Catalogue
        Of its titles.
    test : SealedTest
        Is opened once.
    seeds : sequence of int
        Seeds of the refits; a family without randomness is fitted once.

    Returns
    -------
    dict
        JSON-like: ``opened`` (ISO time), ``looks``, ``seeds``, ``n_test``,
        ``confidence``, ``n_resamples``, ``models`` (a list of ``name``, ``family``,
        ``params``, ``metrics`` {name: {value, low, high}}, ``rmse_by_seed``,
        ``fit_seconds``) and ``differences`` (a list of ``one``, ``other``, ``value``,
        ``low``, ``high``, ``p_value``; in stars of RMSE).
    """
    fitted = [
        fit_contestant(contestant, train, catalogue, seeds=seeds)
        for contestant in contestants
    ]
    ratings = test.open()
    bootstrap = UserBootstrap(ratings)
    predictions = [
        [model.predict(ratings.users, ratings.items) for model in models]
        for models, _ in fitted
    ]
    return {
        "opened": datetime.now(UTC).isoformat(timespec="seconds"),
        "looks": test.looks,
        "seeds": list(seeds),
        "n_test": len(ratings),
        "confidence": bootstrap.confidence,
        "n_resamples": bootstrap.n_resamples,
        "models": [
            judge_contestant(contestant, bootstrap, ratings, predicted)
            | {"fit_seconds": fit_seconds}
            for contestant, predicted, (_, fit_seconds) in zip(
                contestants, predictions, fitted, strict=True
            )
        ],
        "differences": [
            _compare(bootstrap, contestants, predictions, other)
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
    """Fit a contestant with several seeds.

    Parameters
    ----------
    contestant : Contestant
        What to fit.
    train : Ratings
        The training part.
    catalogue : Catalogue
        Of its titles.
    seeds : sequence of int
        One for each model; a family without randomness is fitted once, with none.

    Returns
    -------
    models : list of Recommender
        Fitted.
    fit_seconds : float
        Mean training time of one.
    """
    seeded = "seed" in contestant.family.__dataclass_fields__
    models, start = [], time.perf_counter()
    for seed in seeds if seeded else seeds[:1]:
        extra = {"seed": seed} if seeded else {}
        model = contestant.family(**contestant.params, **extra)
        models.append(model.fit(train, catalogue))
    return models, (time.perf_counter() - start) / len(models)


def judge_contestant(
    contestant: Contestant,
    bootstrap: UserBootstrap,
    ratings: Ratings,
    predictions: list[npt.NDArray[np.float32]],
) -> dict[str, Any]:
    """Score predictions of the test ratings.

    Parameters
    ----------
    contestant : Contestant
        Whose predictions they are.
    bootstrap : UserBootstrap
        Over the users of the test part.
    ratings : Ratings
        The test part.
    predictions : list of ndarray of float32, shape (n_test,)
        One for each seed.

    Returns
    -------
    dict
        JSON-like: ``name``, ``family``, ``params``, ``metrics``, ``rmse_by_seed``; see
        `evaluate_final`.
    """
    estimates = bootstrap.metrics(predictions)
    return {
        "name": contestant.name,
        "family": contestant.family.name,
        "params": dict(contestant.params),
        "metrics": {name: asdict(estimate) for name, estimate in estimates.items()},
        "rmse_by_seed": [rmse(ratings.values, p) for p in predictions],
    }


def _compare(
    bootstrap: UserBootstrap,
    contestants: Sequence[Contestant],
    predictions: list[list[npt.NDArray[np.float32]]],
    other: int,
) -> dict[str, Any]:
    estimate, p_value = bootstrap.difference(predictions[0], predictions[other])
    return {
        "one": contestants[0].name,
        "other": contestants[other].name,
        **asdict(estimate),
        "p_value": p_value,
    }
