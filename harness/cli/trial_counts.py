"""How many trials a search has done, and the best of them: what progress bars show."""

from harness.search.records import TrialRecord

__all__ = ["TrialCounts"]


class TrialCounts:
    """Counts trials by how they ended, and remembers the best."""

    def __init__(self) -> None:
        self.by_state = {"complete": 0, "pruned": 0, "failed": 0}
        self._best: TrialRecord | None = None

    @property
    def n_done(self) -> int:
        """Complete and pruned trials: those that use up the budget."""
        return self.by_state["complete"] + self.by_state["pruned"]

    def add(self, trial: TrialRecord) -> None:
        """Count a trial; one that is still running does not count.

        Parameters
        ----------
        trial : TrialRecord
            The trial.
        """
        if trial.state in self.by_state:
            self.by_state[trial.state] += 1
        if trial.value is not None and (
            self._best is None
            or self._best.value is None
            or trial.value < self._best.value
        ):
            self._best = trial

    @property
    def states(self) -> list[str]:
        """How many there are of each state: ``["5 complete", "3 pruned"]``."""
        return [f"{count} {state}" for state, count in self.by_state.items() if count]

    @property
    def best(self) -> str:
        """The best value and its trial: ``"best 0.9034 (#42)"``; empty without one."""
        if self._best is None:
            return ""
        return f"best {self._best.value:.4f} (#{self._best.number})"
