"""How searches go, for people: a live bar on a terminal or in a notebook, else a few lines."""

import html
import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from harness.data.wording import counted
from harness.search.records import StudyListener, StudyRecord, TrialRecord

if TYPE_CHECKING:
    from harness.experiment.run import PreparedExperiment, RunSettings

__all__ = [
    "ConsoleProgress",
    "Listeners",
    "NoProgress",
    "SearchProgress",
    "say_console",
]

# Elsewhere than on a terminal a log gets a line after each tenth of the trials.
N_LINES = 10


def say_console() -> Console:
    """Make the console that progress and remarks go to.

    No markup: names of files and studies may hold brackets.
    """
    return Console(
        file=sys.stderr, highlight=False, soft_wrap=True, markup=False, emoji=False
    )


def _folds(prepared: "PreparedExperiment") -> str:
    """Say on what a trial is scored."""
    n_folds = prepared.spec.search.folds
    # A blend, which sees all folds, says nothing of the others.
    fidelities = [plan.fidelity for plan in prepared.plans.values()]
    shares = max(fidelity.samples for fidelity in fidelities)
    samples = " and ".join(f"1/{1 / share:.0f}" for share in shares)
    told = [f"samples of {samples} first"] if samples else []
    told += ["one is held out"] if any(each.one_fold for each in fidelities) else []
    return f"{n_folds} folds" + (f" ({', '.join(told)})" if told else "")


def _workers(settings: "RunSettings") -> str:
    if settings.jobs is None:
        return f"workers of {settings.executor}"
    return f"{settings.jobs} worker{'s' if settings.jobs > 1 else ''}"


class Listeners:
    """Passes everything on to several listeners, in order."""

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


class SearchProgress:
    """What is told how an experiment goes. This one says nothing; others override it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave nothing behind on the screen."""

    def begin(self, prepared: "PreparedExperiment", candidates: list[str]) -> None:
        """Hear what is going to be searched."""

    def listener(self, candidate: str) -> StudyListener | None:
        """Listen to the search of a candidate."""
        del candidate
        return None

    def step(self, what: str) -> None:
        """Hear what is done after the searches."""

    def warn(self, what: str) -> None:
        """Say a sentence that the user must see."""

    _mlflow_failed = False

    def warn_of_mlflow(self, what: str) -> None:
        """Say what is wrong with MLflow, once: what comes later would fail likewise."""
        if not self._mlflow_failed:
            self._mlflow_failed = True
            self.warn(what)


class NoProgress(SearchProgress):
    """Shows nothing but warnings."""

    def warn(self, what: str) -> None:
        """Write the sentence to standard error."""
        print(what, file=sys.stderr)  # noqa: T201 - where there is no console


class TrialCounts:
    """Counts trials by how they ended, and remembers the best."""

    def __init__(self) -> None:
        self.by_state = {"complete": 0, "pruned": 0, "failed": 0}
        self._best: TrialRecord | None = None
        self.n_refused = 0
        self.sign = 1.0
        # Of several objectives the one that the best value is of.
        self.of = ""

    @property
    def n_done(self) -> int:
        """Complete and pruned trials: those that use up the budget."""
        return self.by_state["complete"] + self.by_state["pruned"]

    def add(self, trial: TrialRecord) -> None:
        """Count a trial; one that is still running does not count."""
        if trial.state in self.by_state:
            self.by_state[trial.state] += 1
        best = None if self._best is None else self._best.value
        value = trial.accepted_value
        self.n_refused += trial.state in self.by_state and not trial.is_feasible
        if value is not None and (best is None or self.sign * (value - best) < 0):
            self._best = trial

    @property
    def states(self) -> list[str]:
        """How many there are of each state: ``["5 complete", "3 pruned"]``.

        Infeasible ones are among them: ``"2 of them infeasible"``.
        """
        shown = {**self.by_state, "of them infeasible": self.n_refused}
        return [f"{count} {state}" for state, count in shown.items() if count]

    @property
    def best(self) -> str:
        """The best value and its trial: ``"best 0.9034 (#42)"``; empty without one."""
        if self._best is None:
            return ""
        return f"best {self.of}{self._best.value:.4f} (#{self._best.number})"


class Pace(NamedTuple):
    """How fast a search goes, in words; empty before it is known."""

    speed: str = ""
    left: str = ""


def fit_parts(parts: list[tuple[int, str]], room: int) -> str:
    """Join parts to a line of at most so many characters, by leaving parts out.

    Each part has a rank: those of low rank give way first, and none is cut.
    """
    kept = [part for part in parts if part[1]]
    while True:
        line = " · ".join(words for _, words in kept)
        if len(line) <= room or len(kept) <= 1:
            return line
        kept.remove(min(kept))


class TerminalBar:
    """A bar on a terminal; elsewhere it shows nothing."""

    def __init__(self, console: Console) -> None:
        width = min(24, console.width // 6)
        # Beside both: spinner, time elapsed, and what separates them.
        self.room = console.width - width - 14
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=width),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting workers")

    def start(self, total: int) -> None:
        """Show it."""
        self._progress.update(self._task, total=total)
        self._progress.start()

    def update(self, description: str, done: int | None = None) -> None:
        """Say what is going on, and how much is done."""
        self._progress.update(self._task, completed=done, description=description)

    def stop(self) -> None:
        """Take it away."""
        self._progress.stop()


class NotebookBar:
    """A bar below a notebook's cell: that of rich needs ipywidgets to be installed."""

    room = 120
    # A trial may take a millisecond; the page is not to be drawn more often than this.
    _PAUSE_SECONDS = 0.1

    def __init__(self) -> None:
        self._handle: Any = None
        self._total = self._done = 0
        self._description = "starting workers"
        self._drawn = -math.inf

    def start(self, total: int) -> None:
        """Show it."""
        from IPython.display import display

        self._total = total
        show: Any = display
        self._handle = show(self._forms(), raw=True, display_id=True)

    def update(self, description: str, done: int | None = None) -> None:
        """Say what is going on, and how much is done."""
        self._description = description
        self._done = self._done if done is None else done
        if self._handle and time.monotonic() - self._drawn >= self._PAUSE_SECONDS:
            self._drawn = time.monotonic()
            self._handle.update(self._forms(), raw=True)

    def stop(self) -> None:
        """Take it away."""
        if self._handle:
            self._handle.update({"text/plain": "", "text/html": ""}, raw=True)

    def _forms(self) -> dict[str, str]:
        bar = f'<progress value="{self._done}" max="{self._total}"></progress>'
        return {
            "text/plain": f"{self._done}/{self._total} {self._description}",
            "text/html": f"{bar} {html.escape(self._description)}",
        }


class ConsoleProgress(SearchProgress):
    """Shows trials done, the best so far, the time left, and which family is searched."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or say_console()
        self._said: set[str] = set()
        self._candidates: list[str] = []
        self._n_trials: dict[str, int] = {}
        self._is_live = self.console.is_terminal or self.console.is_jupyter
        in_notebook = self.console.is_jupyter
        self._bar = NotebookBar() if in_notebook else TerminalBar(self.console)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def begin(self, prepared: "PreparedExperiment", candidates: list[str]) -> None:
        """Introduce data, split, families and budget; start the bar."""
        self._introduce(prepared)
        self._candidates = candidates
        self._n_trials = {c: prepared.spec.n_trials(c) for c in prepared.plans}
        self._bar.start(sum(self._n_trials[c] for c in candidates))

    def _introduce(self, prepared: "PreparedExperiment") -> None:
        dataset, facts = prepared.dataset, prepared.split.facts
        # Repeats have the same data.
        say = self.warn
        for line in dataset.introduction():
            say(line)
        families = [plan.family for plan in prepared.plans.values()]
        for note in dict.fromkeys(
            note
            for family in families
            for note in family.notes_on(dataset.catalogue, dataset.ratings)
        ):
            say(f"  {note}")
        sealed = (
            "no test set (split none)"
            if prepared.split.test is None
            else f"{facts.n_test:,} test ratings sealed ({facts.method})"
        )
        n = len(families)
        budget = prepared.spec.budget.describe()
        fewer = prepared.spec.own_budgets()
        own = "".join(f", {c} {k}" for c, k in fewer.items())
        say(
            f"{prepared.name}: {facts.n_train:,} training ratings in "
            f"{_folds(prepared)}, {sealed}; "
            + (f"{n} families, {budget} each{own}, " if n > 1 else f"{budget}, ")
            + _workers(prepared.settings)
        )
        idle = prepared.spec.search.note_on_workers(
            prepared.settings.n_workers, prepared.n_folds_at_once
        )
        if idle is not None:
            say(idle)

    def listener(self, candidate: str) -> StudyListener:
        """Listen to the search of a candidate."""
        return _CandidateProgress(self, candidate)

    def n_trials(self, candidate: str) -> int:
        """Trials of a family."""
        return self._n_trials[candidate]

    def warn(self, what: str) -> None:
        """Say a sentence, unless it was said before."""
        if what not in self._said:
            self._said.add(what)
            self.console.print(what)

    def step(self, what: str) -> None:
        """Show what is done after the searches."""
        self._bar.update(what)

    def resume(self, study: StudyRecord, counts: TrialCounts, n_trials: int) -> None:
        """Say that a study goes on where it was stopped."""
        if counts.n_done:
            self.console.print(
                f"Resuming {study.name}: {counted(counts.n_done, 'trial')} done, "
                f"{max(0, n_trials - counts.n_done)} to go."
            )

    def show(self, candidate: str, counts: TrialCounts, pace: Pace) -> None:
        """Show how the search of a candidate goes."""
        place = self._candidates.index(candidate)
        alone = len(self._candidates) == 1
        complete, *others = counts.states or [""]
        # In the order of the line; the smaller the number, the sooner it gives way.
        parts = [
            (3, "" if alone else candidate),
            (5, complete),
            (2, " · ".join(others)),
            (4, counts.best),
            (0, pace.speed),
            (6, pace.left),
            (1, "" if alone else f"family {place + 1} of {len(self._candidates)}"),
        ]
        n_trials = self._n_trials[candidate]
        done = sum(self._n_trials[c] for c in self._candidates[:place]) + counts.n_done
        self._bar.update(fit_parts(parts, self._bar.room), done)
        every = max(1, n_trials // N_LINES)
        if not self._is_live and alone and counts.n_done % every == 0:
            whole = " · ".join(words for _, words in parts if words)
            self.console.print(f"  {counts.n_done}/{n_trials} {whole}")

    def summarise(self, candidate: str, counts: TrialCounts, seconds: float) -> None:
        """Leave a line about a search that has ended, where there are several."""
        if len(self._candidates) > 1:
            parts = [", ".join(counts.states) or "no trial", counts.best]
            shown = " · ".join(filter(None, [*parts, f"{seconds:.0f} s"]))
            self.console.print(f"  {candidate}: {shown}")


class _CandidateProgress:
    """Counts the trials of one candidate."""

    def __init__(self, whole: ConsoleProgress, candidate: str) -> None:
        self._whole = whole
        self._candidate = candidate
        self._counts = TrialCounts()
        self._n_before = 0
        self._start = time.monotonic()

    def on_study_start(self, study: StudyRecord) -> None:
        self._counts.sign = study.metric.sign
        if len(study.objectives) > 1:
            self._counts.of = f"{study.metric.name} "
        for trial in study.trials:
            self._counts.add(trial)
        self._n_before = self._counts.n_done
        self._start = time.monotonic()
        self._whole.resume(study, self._counts, self._whole.n_trials(self._candidate))

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        del study
        self._counts.add(trial)
        self._whole.show(self._candidate, self._counts, self._pace())

    def on_study_end(self, study: StudyRecord) -> None:
        del study
        seconds = time.monotonic() - self._start
        self._whole.summarise(self._candidate, self._counts, seconds)

    def _pace(self) -> Pace:
        n_here = self._counts.n_done - self._n_before
        if not n_here:
            return Pace()
        seconds = (time.monotonic() - self._start) / n_here
        left = seconds * max(
            0, self._whole.n_trials(self._candidate) - self._counts.n_done
        )
        return Pace(f"{seconds:.2f} s/trial", f"{left:.0f} s left")
