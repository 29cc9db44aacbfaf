"""Objectives: what a search improves, measured on the held-out fold of a trial."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import (
    MissingExtraError,
    StudyError,
    UnknownNameError,
    UnsupportedError,
)
from harness.evaluation.cold_start import rmse_by_depth
from harness.evaluation.equivalence import check_margin
from harness.evaluation.measures import LOG_LOSS, MEASURES, Evidence, Measure
from harness.evaluation.metrics import Metric, log_losses, score, user_rmse
from harness.evaluation.ranking import rank_test_users
from harness.evaluation.results import without_interval
from harness.models.base import Recommender
from harness.models.families import family_names, import_file, load_family
from harness.models.levels import MOST_LEVELS, find_levels

__all__ = [
    "OBJECTIVES",
    "Fold",
    "call_function",
    "can_measure",
    "check_probabilities",
    "find_objective",
    "is_slow",
    "losses_of",
    "margin_of",
    "measure_of",
    "measure_on",
]


Function = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]

_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")
# It is of the split, whatever the settings are.
_OF_THE_SPLIT = "coverage"

OBJECTIVES = tuple(
    measure.name
    for measure in MEASURES.values()
    if measure.kind in {"accuracy", "ranking", "cold start"}
    and measure.compute is not None
    and measure.name != _OF_THE_SPLIT
)
"""Measures that a trial can be told by: those that a fold is enough for."""


@dataclass(frozen=True)
class Fold:
    """What a model of a trial learns from, and what it is scored on."""

    train: Ratings
    valid: Ratings
    catalogue: Catalogue


def find_objective(reference: str) -> Metric:
    """Find what a search shall improve: a measure by its name, or a function in a file."""
    in_file = _REFERENCE.fullmatch(reference)
    if in_file:
        return _in_file(reference, Path(in_file["file"]), in_file["name"])
    if reference not in OBJECTIVES:
        raise UnknownNameError("objective", reference, OBJECTIVES)
    direction = MEASURES[reference].direction
    assert direction is not None
    return Metric(reference, direction)


def _in_file(reference: str, path: Path, name: str) -> Metric:
    if not path.is_file():
        raise UnsupportedError(f"{reference}: there is no file {str(path)!r}.")
    if name in MEASURES or name == "value":
        raise UnsupportedError(
            f"{reference}: {name!r} is a measure of harness: give the function another name."
        )
    function = _load(str(path.resolve()), name)
    direction: Any = getattr(function, "direction", "minimize")
    if direction not in ("minimize", "maximize"):
        raise UnsupportedError(
            f"{reference}: {name}.direction must be 'minimize' or 'maximize', but is "
            f"{direction!r}."
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Metric(name, direction, f"{path.resolve()}:{name}", digest)


@lru_cache(maxsize=16)
def _load(path: str, name: str) -> Function:
    reference = f"{Path(path).name}:{name}"
    try:
        found = getattr(import_file(Path(path)), name, None)
    except Exception as error:
        raise UnsupportedError(
            f"{reference}: must be a function that can be imported, but its file raised "
            f"{type(error).__name__}: {error}."
        ) from error
    if not callable(found):
        raise UnsupportedError(
            f"{reference}: must be a function of true and predicted ratings, but there is "
            f"no function {name!r} in the file."
        )
    function: Function = found
    return function


def measure_of(metric: Metric) -> Measure:
    """Say how an objective is called and written."""
    known = MEASURES.get(metric.name)
    if known is not None:
        return known

    def compute(evidence: Evidence) -> float:
        return float(
            np.mean(
                [call_function(metric, evidence.test, p) for p in evidence.predictions]
            )
        )

    return Measure(
        name=metric.name,
        label=metric.name,
        direction=metric.direction,
        compute=compute,
        definition="Computed by a function of the user's own.",
    )


def margin_of(
    metric: Metric, declared: float | None, scale: tuple[float, float]
) -> tuple[float, bool]:
    """Find the smallest difference of an objective that matters; say if it was declared.

    Of errors in the unit of the ratings a share of the scale, of others what their measure
    calls negligible; 0 of a function of the user's own.
    """
    measure = measure_of(metric)
    if measure.unit == "rating":
        return check_margin(declared, scale)
    return (measure.negligible, False) if declared is None else (declared, True)


def is_slow(metric: Metric) -> bool:
    """Tell whether it takes lists for all users, which is dearer than an epoch."""
    return measure_of(metric).kind == "ranking"


def can_measure(metric: Metric, family: type[Recommender], ratings: Ratings) -> bool:
    """Tell whether a measure is defined for a family, and for ratings of this kind."""
    if metric.name != LOG_LOSS:
        return True
    return family.gives_probabilities and len(find_levels(ratings)) > 0


def check_probabilities(
    metric: Metric, families: Mapping[str, type[Recommender]], ratings: Ratings
) -> None:
    """Refuse a measure of probabilities where a family, or the data, has none."""
    without = [n for n, f in families.items() if not can_measure(metric, f, ratings)]
    if without and len(find_levels(ratings)):
        raise StudyError(
            f"{LOG_LOSS} asks how probable each rating is, which {' and '.join(without)} "
            f"cannot say: choose from {', '.join(_with_probabilities())}, or another "
            "--metric."
        )
    if without:
        raise StudyError(
            f"{LOG_LOSS} asks how probable each rating is, but these have more than "
            f"{MOST_LEVELS} different values: choose another --metric."
        )


def _with_probabilities() -> Iterator[str]:
    for name in family_names():
        with suppress(MissingExtraError):
            if load_family(name).gives_probabilities:
                yield name


def measure_on(
    fold: Fold, metric: Metric, model: Recommender, prediction: npt.NDArray[np.float32]
) -> float:
    """Measure a fitted model on the held-out ratings of a fold."""
    valid, measure = fold.valid, measure_of(metric)
    accuracy = score(valid.values, prediction)
    accuracy["user_rmse"] = user_rmse(valid.users, valid.values, prediction)
    losses = losses_of(model, valid) if metric.name == LOG_LOSS else None
    if losses is not None:
        accuracy[LOG_LOSS] = float(losses.mean())
    ranks, by_depth = measure.kind == "ranking", measure.kind == "cold start"
    evidence = Evidence(
        params=model.hyperparameters(),
        blocks_off=(),
        train=fold.train,
        test=valid,
        catalogue=fold.catalogue,
        predictions=[prediction],
        accuracy={name: without_interval(value) for name, value in accuracy.items()},
        ranking=rank_test_users(model, fold.train, valid, fold.catalogue)[0]
        if ranks
        else {},
        depth=rmse_by_depth(fold.train, valid, [prediction]) if by_depth else {},
    )
    found = measure.estimate(evidence)
    if found is None:
        raise StudyError(
            f"{metric.name} is not defined on this fold: it has no ratings that it is of. "
            "Choose another --metric."
        )
    return found.value


def losses_of(model: Recommender, ratings: Ratings) -> npt.NDArray[np.float64] | None:
    """Judge how probable a fitted model says each rating is; None if it cannot say."""
    if not model.gives_probabilities or not len(model.levels_):
        return None
    asked = ratings.users, ratings.items, ratings.timestamps
    return log_losses(ratings.values, model.levels_, model.predict_proba(*asked))


def call_function(
    metric: Metric, ratings: Ratings, prediction: npt.NDArray[Any]
) -> float:
    """Let a function of the user's own judge predicted ratings."""
    assert metric.reference is not None
    path, _, name = metric.reference.rpartition(":")
    value: Any = _load(path, name)(ratings.values, prediction)
    if isinstance(value, bool) or not np.isscalar(value) or isinstance(value, str):
        raise UnsupportedError(
            f"{Path(path).name}:{name} must return a number, but returned "
            f"{type(value).__name__}."
        )
    return float(value)  # type: ignore[arg-type]
