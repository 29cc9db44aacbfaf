"""Pareto fronts: which trials no other beats in every objective, and which one is picked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import margin_of
from harness.evaluation.requirements import COSTS_OF_A_TRIAL

__all__ = [
    "Margin",
    "crowding_distances",
    "domination_ranks",
    "is_on_front",
    "left_by_margins",
    "margins_of",
]

Floats = npt.NDArray[np.float64]


def is_on_front(losses: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell which rows no other row dominates: as good everywhere, and better somewhere.

    Equal rows do not dominate each other. Of one column it is the rows with the least.

    Examples
    --------
    >>> is_on_front([(1, 5), (2, 6), (3, 2), (3, 4)]).tolist()
    [True, False, True, False]
    """
    table = np.asarray(losses, dtype=np.float64)
    found = np.zeros(len(table), dtype=bool)
    # In this order a row can be dominated only by one before it.
    left = np.lexsort(table.T[::-1]) if len(table) else np.arange(0)
    while len(left):
        first, others = left[0], left[1:]
        found[first] = True
        rows = table[others]
        is_better = (rows < table[first]).any(axis=1)
        left = others[is_better | (rows == table[first]).all(axis=1)]
    return found


def domination_ranks(losses: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Rank rows by the front they are on, once those before it are taken away.

    Examples
    --------
    >>> domination_ranks([(1, 5), (2, 6), (3, 2), (3, 4)]).tolist()
    [0, 1, 0, 1]
    >>> domination_ranks([[0.3], [0.1], [0.3], [0.2]]).tolist()
    [2, 0, 2, 1]
    """
    table = np.asarray(losses, dtype=np.float64)
    ranks, left = np.zeros(len(table), dtype=np.int64), np.arange(len(table))
    while len(left):
        on_front = is_on_front(table[left])
        left = left[~on_front]
        ranks[left] += 1
    return ranks


def crowding_distances(losses: npt.ArrayLike) -> Floats:
    """Measure how far from its neighbours each row of a front is; its ends are infinitely far.

    The sum over columns of the distance between both neighbours, as a share of the range [1]_.

    References
    ----------
    .. [1] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
       IEEE Transactions on Evolutionary Computation 6(2), 2002.

    Examples
    --------
    >>> crowding_distances([(0, 4), (1, 1), (4, 0)]).tolist()
    [inf, 2.0, inf]
    """
    table = np.asarray(losses, dtype=np.float64)
    found = np.zeros(len(table))
    for column in table.T:
        order = np.argsort(column, kind="stable")
        in_order = column[order]
        width = in_order[-1] - in_order[0]
        if width > 0:
            ends = np.r_[-np.inf, in_order, np.inf]
            found[order] += (ends[2:] - ends[:-2]) / width
    return found


@dataclass(frozen=True, slots=True)
class Margin:
    """By how much a value may be worse than the best and still be as good.

    An amount in the unit of the objective, or a share of the value.
    """

    amount: float
    is_share: bool = False

    def covers(self, losses: Floats) -> npt.NDArray[np.bool_]:
        """Tell which losses are no worse than the least of them by more than that."""
        allowed = self.amount * np.abs(losses) if self.is_share else self.amount
        covered: npt.NDArray[np.bool_] = losses - losses.min() <= allowed
        return covered


def margins_of(
    objectives: Sequence[Metric],
    *,
    declared: float | None,
    noticeable: float,
    scale: tuple[float, float],
) -> tuple[Margin, ...]:
    """Find the margin of each objective: `declared` is that of the first, if anybody's.

    What a model costs is compared as the decision between families does it: a share counts.
    """
    return tuple(
        Margin(noticeable, is_share=True)
        if metric.name in COSTS_OF_A_TRIAL
        else Margin(margin_of(metric, None if place else declared, scale)[0])
        for place, metric in enumerate(objectives)
    )


def left_by_margins(losses: Floats, margins: Sequence[Margin]) -> list[list[int]]:
    """Apply the objectives in turn to the points of a front; list those each leaves.

    Each drops the points that are worse than the best of those left by more than its
    margin.
    """
    rounds: list[list[int]] = []
    left: npt.NDArray[Any] = np.arange(len(losses))
    for column, margin in enumerate(margins):
        left = left[margin.covers(losses[left, column])]
        rounds.append([int(place) for place in left])
    return rounds
