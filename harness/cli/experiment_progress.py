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

from harness.cli.trial_counts import TrialCounts
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

    def show(self, candidate: str, counts: TrialCounts) -> None:
        """Show how the search of a candidate goes."""
        place = self._candidates.index(candidate)
        parts = [f"{candidate} {counts.n_done}/{self._n_trials}", counts.best]
        parts.append(f"family {place + 1} of {len(self._candidates)}")
        self._bar.update(
            self._task,
            completed=place * self._n_trials + counts.n_done,
            description=" · ".join(filter(None, parts)),
        )

    def summarise(self, candidate: str, counts: TrialCounts, seconds: float) -> None:
        """Leave a line about a search that has ended."""
        parts = [", ".join(counts.states) or "no trial", counts.best]
        shown = " · ".join(filter(None, [*parts, f"{seconds:.0f} s"]))
        self._console.print(f"  {candidate}: {shown}")


class _CandidateProgress:
    """Counts the trials of one candidate."""

    def __init__(self, whole: ExperimentProgress, candidate: str) -> None:
        self._whole = whole
        self._candidate = candidate
        self._counts = TrialCounts()
        self._start = time.monotonic()

    def on_study_start(self, study: StudyRecord) -> None:
        for trial in study.trials:
            self._counts.add(trial)
        self._show()

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        del study
        self._counts.add(trial)
        self._show()

    def on_study_end(self, study: StudyRecord) -> None:
        del study
        seconds = time.monotonic() - self._start
        self._whole.summarise(self._candidate, self._counts, seconds)

    def _show(self) -> None:
        self._whole.show(self._candidate, self._counts)
