"""How an experiment goes, for people: one live bar for all, or a line for each family."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from harness.search.records import StudyListener, StudyRecord, TrialRecord

__all__ = ["ExperimentProgress"]


class ExperimentProgress:
    """Shows which family is searched, its best so far, and how much of all is done.

    Parameters
    ----------
    console : Console
        Where it is shown.
    n_trials : int
        Complete or pruned trials of each family.
    candidates : list of str
        The families, in the order of their searches.
    """

    def __init__(
        self, console: Console, *, n_trials: int, candidates: list[str]
    ) -> None:
        self._console = console
        self._n_trials = n_trials
        self._candidates = candidates
        self._said: set[str] = set()
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=n_trials * len(candidates))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def listener(self, candidate: str) -> StudyListener:
        """Listen to the search of a candidate."""
        return _CandidateProgress(self, candidate)

    def warn_once(self, what: str) -> None:
        """Say a sentence, unless it was said before."""
        if what not in self._said:
            self._said.add(what)
            self._console.print(what)

    def step(self, what: str) -> None:
        """Show what is done after the searches."""
        self._bar.update(self._task, description=what)

    def show(self, candidate: str, counts: dict[str, int], best: str) -> None:
        """Show how the search of a candidate goes."""
        n_done = counts["complete"] + counts["pruned"]
        place = self._candidates.index(candidate)
        self._bar.update(
            self._task,
            completed=place * self._n_trials + n_done,
            description=f"{candidate} {n_done}/{self._n_trials}{best} · family "
            f"{place + 1} of {len(self._candidates)}",
        )

    def summarise(
        self, candidate: str, counts: dict[str, int], best: str, seconds: float
    ) -> None:
        """Leave a line about a search that has ended."""
        self._console.print(f"  {candidate}: {_shown(counts)}{best} · {seconds:.0f} s")


def _shown(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items() if n) or "no trial"


class _CandidateProgress:
    """Counts the trials of one candidate."""

    def __init__(self, whole: ExperimentProgress, candidate: str) -> None:
        self._whole = whole
        self._candidate = candidate
        self._counts = {"complete": 0, "pruned": 0, "failed": 0}
        self._best: TrialRecord | None = None
        self._start = time.monotonic()

    def on_study_start(self, study: StudyRecord) -> None:
        for trial in study.trials:
            self._count(trial)
        self._show()

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        del study
        self._count(trial)
        self._show()

    def on_study_end(self, study: StudyRecord) -> None:
        del study
        self._whole.summarise(
            self._candidate,
            self._counts,
            self._best_text,
            time.monotonic() - self._start,
        )

    def _count(self, trial: TrialRecord) -> None:
        if trial.state in self._counts:
            self._counts[trial.state] += 1
        if trial.value is not None and (
            self._best is None
            or self._best.value is None
            or trial.value < self._best.value
        ):
            self._best = trial

    def _show(self) -> None:
        self._whole.show(self._candidate, self._counts, self._best_text)

    @property
    def _best_text(self) -> str:
        if self._best is None:
            return ""
        return f" · best {self._best.value:.4f} (#{self._best.number})"
