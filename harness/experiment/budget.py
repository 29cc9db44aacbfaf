"""What every family of an experiment gets: trials, seconds, or both."""

from typing import Annotated

from pydantic import Field

from harness.experiment.part import Part

__all__ = ["BudgetSpec"]

MOST_TRIALS = 100_000
"""Where only the seconds count: more than anybody will wait for."""


class BudgetSpec(Part):
    """What every family gets.

    Parameters
    ----------
    trials : int, optional
        Complete or pruned trials; without limit if only `seconds` are given, else 100.
    seconds : float, optional
        No trial of a family starts later than this, in each session.
    """

    trials: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    @property
    def n_trials(self) -> int:
        """Trials at which a search ends, if the seconds do not end it before."""
        if self.trials is not None:
            return self.trials
        return 100 if self.seconds is None else MOST_TRIALS

    def describe(self, *, at_least: int = 0) -> str:
        """Say it in words.

        Parameters
        ----------
        at_least : int, default 0
            Trials that there are already.

        Returns
        -------
        str
            ``"100 trials"``, ``"60 s"`` or ``"100 trials or 60 s"``.
        """
        limits = []
        if self.n_trials < MOST_TRIALS:
            limits.append(f"{max(self.n_trials, at_least)} trials")
        if self.seconds is not None:
            limits.append(f"{self.seconds:g} s")
        return " or ".join(limits)
