"""How a study goes, for people: a live bar on a terminal, a few lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from harness.cli.trial_counts import TrialCounts
from harness.search.records import StudyListener, StudyRecord, TrialRecord

__all__ = ["Listeners", "StudyProgress"]

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
