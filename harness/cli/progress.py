"""How a study or an experiment goes, for people: a live bar, or a few lines."""

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

__all__ = ["ExperimentProgress", "Listeners", "StudyProgress"]


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
        """Count a trial; one that is still running does not count."""
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


# Elsewhere than on a terminal a log gets a line after each tenth of the trials.
N_LINES = 10


class Listeners:
    """Passes everything on to several listeners.

    Parameters
    ----------
    *listeners : StudyListener
        In the order in which they are told.
    """

    def __init__(self, *listeners: StudyListener) -> None:
        self._listeners = listeners

    def on_study_start(self, study: StudyRecord) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on_study_start(study)

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on_trial_end(study, trial)

    def on_study_end(self, study: StudyRecord) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on_study_end(study)


class StudyProgress:
    """Shows trials done, pruned and failed, the best so far, and the time left.

    Parameters
    ----------
    console : Console
        Where it is shown.
    n_trials : int
        Complete or pruned trials at which the study ends.
    """

    def __init__(self, console: Console, *, n_trials: int) -> None:
        self._console = console
        self._n_trials = n_trials
        self._counts = TrialCounts()
        self._n_before = 0
        self._start = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("starting workers", total=n_trials)

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

    def on_study_start(self, study: StudyRecord) -> None:
        """Start from the trials that are there."""
        for trial in study.trials:
            self._counts.add(trial)
        self._n_before = self._counts.n_done
        self._start = time.monotonic()
        if self._n_before:
            self._console.print(
                f"Continuing {study.name}: {self._n_before} trials are there, "
                f"{max(0, self._n_trials - self._n_before)} to go."
            )

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Count a trial."""
        del study
        self._counts.add(trial)
        self._bar.update(
            self._task, completed=self._counts.n_done, description=self._describe()
        )
        every = max(1, self._n_trials // N_LINES)
        if not self._console.is_terminal and self._counts.n_done % every == 0:
            self._console.print(
                f"  {self._counts.n_done}/{self._n_trials} {self._describe()}"
            )

    def on_study_end(self, study: StudyRecord) -> None:
        """Nothing is left to count."""

    def _describe(self) -> str:
        parts = [*self._counts.states]
        if self._counts.best:
            parts.append(self._counts.best)
        n_here = self._counts.n_done - self._n_before
        if n_here:
            seconds = (time.monotonic() - self._start) / n_here
            left = seconds * max(0, self._n_trials - self._counts.n_done)
            parts.append(f"{seconds:.2f} s/trial")
            parts.append(f"{left:.0f} s left")
        return " · ".join(parts)


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
