"""How much of the data a trial sees: samples of the users first, and everything at last."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings, distinct
from harness.errors import StudyError
from harness.evaluation.measures import MEASURES
from harness.evaluation.metrics import Metric
from harness.evaluation.splits import TIMED, SplitMethod, cut_fold
from harness.formatting import percent

__all__ = [
    "AUTO",
    "EVERYTHING",
    "FULL",
    "WHOLE",
    "Evaluation",
    "Fidelity",
    "Sample",
    "choose_fidelity",
    "draw_users",
    "n_held_out",
    "precision_of",
    "require_samples",
]

AUTO, FULL = "auto", "full"

LARGE = 2_000_000
"""More training ratings than this are searched on samples first, by `auto`."""

SHARES = (1 / 16, 1 / 4)
EVERYTHING = 1.0

FEWEST_USERS = 30
FEWEST_RATINGS = 100_000
"""Smaller samples rank settings otherwise than everything does, and are left out.

Of 60 settings of svd drawn at random, ranks on 62,500 simulated ratings agree with those
on a million by 0.22 (Spearman), on 250,000 by 0.69. A race that began on 62,500 ended 0.0016
stars behind the search in full (40 trials), one that began on 250,000 not.
"""

ENOUGH_HELD_OUT = 100_000
"""Held-out ratings of one fold that tell settings apart as well as need be.

Two of the best settings differ by 0.0002 stars more or less from one such fold to another:
a fifth of what anybody would choose by (see `precision_of`).
"""


def precision_of(n_held_out: int) -> float:
    """Estimate by how many stars the difference of two good settings varies with the fold.

    On ml-100k by 0.0005 from one fold of 16,000 ratings to the next (`bench_race.py`).
    """
    return 0.0005 * math.sqrt(16_000 / n_held_out)


@dataclass(frozen=True)
class Sample:
    """Whole users, drawn by a seed until they have a share of the ratings."""

    share: float
    seed: int

    def chosen(self, ratings: Ratings) -> npt.NDArray[np.bool_]:
        """Tell which ratings belong to it; those of a smaller one are among them."""
        return draw_users(ratings, math.ceil(self.share * len(ratings)), self.seed)


def draw_users(ratings: Ratings, n_ratings: int, seed: int) -> npt.NDArray[np.bool_]:
    """Choose the ratings of users drawn at random until they have so many."""
    order = np.random.default_rng(seed).permutation(ratings.n_users)
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    n_chosen = int(np.searchsorted(np.cumsum(counts[order]), n_ratings)) + 1
    is_chosen = np.zeros(ratings.n_users, dtype=bool)
    is_chosen[order[:n_chosen]] = True
    return is_chosen[ratings.users]


@dataclass(frozen=True)
class Evaluation:
    """What a trial is scored on in one go: a held-out fold of a sample, or of everything."""

    fold: int
    sample: Sample | None = None

    @property
    def share(self) -> float:
        """Share of the training ratings that take part."""
        return EVERYTHING if self.sample is None else self.sample.share


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """On what the trials of a study are scored, one after the other.

    On each of the `samples`, shares of the ratings, the last fold is held out; on
    everything all folds are, or with `one_fold` the last alone.
    """

    samples: tuple[float, ...] = ()
    one_fold: bool = False

    def evaluations(self, n_folds: int, seed: int) -> tuple[Evaluation, ...]:
        """List what a trial is scored on."""
        # Where folds follow each other in time, the last has most to learn from.
        last = n_folds - 1
        on_samples = [Evaluation(last, Sample(share, seed)) for share in self.samples]
        folds = [last] if self.one_fold else range(n_folds)
        return (*on_samples, *(Evaluation(fold) for fold in folds))

    def n_at_once(self, n_folds: int) -> int:
        """Count the folds of a trial that may be under way at a time."""
        # A sample is waited for: what comes after it is four times the work.
        return 1 if self.samples or self.one_fold else n_folds


WHOLE = Fidelity()
"""Every trial is scored on folds of everything."""


def choose_fidelity(
    asked: str | int,
    train: Ratings,
    *,
    n_folds: int,
    method: SplitMethod,
    objectives: tuple[Metric, ...],
    pruner: str,
) -> Fidelity:
    """Decide on what trials are scored: `auto`, `full`, or on samples first above a number.

    One fold replaces all wherever it is precise enough, unless `full` is asked for. What
    cannot be sampled is not by `auto`, and refused where a number asks for samples.
    """
    above = LARGE if asked == AUTO else asked
    if isinstance(above, str):
        return WHOLE
    is_precise = n_held_out(len(train), n_folds, method) >= ENOUGH_HELD_OUT
    one_fold = is_precise and all(_varies_by_rating(m, method) for m in objectives)
    if len(train) <= above:
        return Fidelity(one_fold=one_fold)
    samples = tuple(share for share in SHARES if _is_telling(train, share))
    reason = _why_not(train, pruner, samples)
    if reason is not None:
        if asked == AUTO:
            return Fidelity(one_fold=one_fold)
        raise StudyError(f"{reason}: leave --fidelity {asked} out.")
    return Fidelity(samples=samples, one_fold=one_fold)


def n_held_out(n_train: int, n_folds: int, method: str) -> int:
    """Count the ratings of one fold."""
    # Of folds in time the first block is only learnt from.
    return n_train // (n_folds + 1 if method in TIMED else n_folds)


def _varies_by_rating(metric: Metric, method: SplitMethod) -> bool:
    """Say whether it is the number of held-out ratings that makes a fold precise."""
    is_accuracy = metric.name in MEASURES and MEASURES[metric.name].kind == "accuracy"
    # Of a fold of whole users or titles it is their number; ranks and `user_rmse` are means
    # of one value a user.
    of_users = metric.name == "user_rmse" or method in {"cold-users", "cold-items"}
    return is_accuracy and not of_users


def _is_telling(train: Ratings, share: float) -> bool:
    chosen = Sample(share, 0).chosen(train)
    n_users = len(distinct(train.users[chosen]))
    return share * len(train) >= FEWEST_RATINGS and n_users >= FEWEST_USERS


def _why_not(train: Ratings, pruner: str, samples: tuple[float, ...]) -> str | None:
    if pruner == "none":
        return "The pruner none drops no trial, and samples are there to drop trials"
    if not samples:
        return (
            f"A quarter of the {len(train):,} training ratings is no sample to race "
            f"settings on: it needs {FEWEST_RATINGS:,} ratings of {FEWEST_USERS} users"
        )
    return None


def require_samples(
    evaluations: tuple[Evaluation, ...],
    train: Ratings,
    fold_of: npt.NDArray[np.int16],
) -> None:
    """Refuse samples in which there is nothing to learn from, or nothing to score."""
    for evaluation, n_learnt, n_held_out in _sizes(evaluations, train, fold_of):
        if not (n_learnt and n_held_out):
            raise StudyError(
                f"This split cannot be sampled: the last fold of {percent(evaluation.share, 2)} of "
                f"the training ratings would have {n_learnt} ratings to learn from, and "
                f"{n_held_out} to be scored on: give --fidelity full."
            )


def _sizes(
    evaluations: tuple[Evaluation, ...],
    train: Ratings,
    fold_of: npt.NDArray[np.int16],
) -> Iterator[tuple[Evaluation, int, int]]:
    for evaluation in evaluations:
        if evaluation.sample is not None:
            chosen = evaluation.sample.chosen(train)
            learnt, held_out = cut_fold(fold_of[chosen], evaluation.fold)
            yield evaluation, int(learnt.sum()), int(held_out.sum())
