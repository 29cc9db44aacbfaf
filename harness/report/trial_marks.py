"""How trials are drawn: a mark for each kind, and an axis that fits most of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.report.style import ACCENT, DARK, LIGHT, MEDIUM
from harness.search.paired_values import paired_values
from harness.search.records import StudyRecord

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["RMSE_LABEL", "TrialMarks"]

RMSE_LABEL = "RMSE in stars"


@dataclass(frozen=True, slots=True)
class _Look:
    """How trials of one kind are drawn; shapes differ, so that print needs no colour."""

    label: str
    marker: str
    size: float
    face: str
    edge: str


_COMPLETE = _Look("complete", "o", 38, DARK, "white")
_PRUNED = _Look("pruned (estimate)", "o", 17, "none", MEDIUM)
_FAILED = _Look("failed", "x", 26, ACCENT, ACCENT)
_BEST = _Look("best", "*", 190, ACCENT, "white")
_BEYOND = _Look("above the figure", "^", 24, LIGHT, DARK)


def _scatter(axes: "Axes", x: list[Any], y: list[float], look: _Look) -> None:
    if not x:
        return
    # A cross has no face, and matplotlib warns about the edge of one.
    colours = (
        {"color": look.edge}
        if look.marker == "x"
        else {"facecolors": look.face, "edgecolors": look.edge}
    )
    axes.scatter(
        x,
        y,
        s=look.size,
        marker=look.marker,
        label=look.label,
        linewidths=0.9,
        zorder=4 if look is _BEST else 3,
        clip_on=False,
        **colours,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class TrialMarks:
    """Values of the trials, and the part of the axis that is worth showing.

    Parameters
    ----------
    values : mapping of int to float
        Number of a trial to its value, or its `paired_values`, in stars of RMSE.
    low, high : float
        Ends of the part shown; trials above it are marked at its upper end.
    """

    values: Mapping[int, float]
    low: float
    high: float

    @classmethod
    def of(cls, study: StudyRecord) -> "TrialMarks":
        """Find the values of a study, and the part of the axis.

        Parameters
        ----------
        study : StudyRecord
            The study.

        Returns
        -------
        TrialMarks
            Its marks.
        """
        values = paired_values(study)
        known = np.array(list(values.values()) or [0.0])
        low = float(known.min())
        # A few hopeless trials would press all others onto one line.
        usual = float(np.quantile(known, 0.9))
        high = min(float(known.max()), low + 1.6 * max(usual - low, 1e-4))
        first = values.get(0, low)
        high = max(high, first) if first < low + 3 * (high - low) else high
        margin = max(0.06 * (high - low), 1e-3)
        return cls(values, low - margin, high + margin)

    def draw(self, axes: "Axes", study: StudyRecord, x: Mapping[int, Any]) -> None:
        """Draw the trials that have a place, the best one last.

        Parameters
        ----------
        axes : matplotlib.axes.Axes
            Where to; its limits are set.
        study : StudyRecord
            The study.
        x : mapping of int to float
            Number of a trial to its place on the horizontal axis.
        """
        best = study.best
        for look, state in ((_PRUNED, "pruned"), (_COMPLETE, "complete")):
            numbers = [
                t.number
                for t in study.trials
                if t.state == state
                and t.number in x
                and self.values.get(t.number, math.inf) <= self.high
                and t is not best
            ]
            _scatter(
                axes, [x[n] for n in numbers], [self.values[n] for n in numbers], look
            )
        beyond = [n for n, v in self.values.items() if v > self.high and n in x]
        _scatter(axes, [x[n] for n in beyond], [self.high] * len(beyond), _BEYOND)
        failed = [t.number for t in study.trials if t.state == "failed"]
        failed = [number for number in failed if number in x]
        _scatter(axes, [x[n] for n in failed], [self.high] * len(failed), _FAILED)
        if best is not None and best.number in x:
            _scatter(axes, [x[best.number]], [self.values[best.number]], _BEST)
        room = 0.04 * (self.high - self.low)
        axes.set_ylim(self.low - room, self.high + room)
