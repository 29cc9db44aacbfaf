"""The rule by which one of the tied families is chosen."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from harness.experiment.part import Part
from harness.experiment.preferences import NEGLIGIBLE

__all__ = ["DecisionSpec"]


class DecisionSpec(Part):
    """How one family is chosen.

    Parameters
    ----------
    prefer : tuple of str
        Criteria that decide among the families tied with the best on test RMSE, the
        first one first; see `harness.experiment.preferences`.
    margin : float, default 0.05
        By what share a family must be better on a criterion to win on it; within it the
        next criterion decides.
    negligible : mapping, optional
        By criterion: differences up to this decide nothing either; see `NEGLIGIBLE`.
    significance : float, default 0.05
        Families whose Holm-corrected p against the best is at least this are tied.
    """

    prefer: Annotated[tuple[str, ...], Field(strict=False)] = (
        "latency_p95_ms",
        "fit_seconds",
    )
    margin: Annotated[float, Field(ge=0)] = 0.05
    negligible: Mapping[str, Annotated[float, Field(ge=0)]] = {}
    significance: Annotated[float, Field(gt=0, lt=1)] = 0.05

    def is_noticeable(self, criterion: str, *, better: float, worse: float) -> bool:
        """Say whether a difference is large enough to decide.

        Parameters
        ----------
        criterion : str
            One of `PREFERENCES`.
        better, worse : float
            Two values of it.

        Returns
        -------
        bool
            True if it exceeds both the margin, a share of the worse value, and what is
            negligible.
        """
        gap = abs(worse - better)
        least = self.negligible.get(criterion, NEGLIGIBLE.get(criterion, 0.0))
        return gap > self.margin * abs(worse) and gap > least
