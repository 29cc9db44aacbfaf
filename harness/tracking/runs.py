"""The runs of studies and experiments: what is there, and what is written."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.errors import HarnessError
from harness.experiment.results import ExperimentRecord, LoggedCandidate, LoggedRuns
from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.location import Location
from harness.tracking.projection import (
    CANDIDATE_TAG,
    EXPERIMENT_TAG,
    STUDY_TAG,
    TRIAL_TAG,
    experiment_identity,
    project_experiment,
    project_final,
    project_study,
    project_trial,
    standings,
    study_identity,
)
from harness.tracking.run_image import RunImage, RunStatus
from harness.tracking.store import (
    Outcome,
    RunStore,
    SyncCounts,
    can_become,
    open_store,
    repair,
    unusable,
)
from harness.tracking.views import FINALS_VIEW, NESTED_VIEW

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = [
    "REPORT",
    "StudyRuns",
    "attach_report",
    "log_experiment",
    "sync",
]

REPORT = "report"
"""Name of the folder of a report among the files of a run."""


class StudyRuns:
    """The runs of one study: what is there, and what is written.

    Parameters
    ----------
    store : RunStore
        The store.
    study : StudyRecord
        The study.
    above : str, optional
        Id of the run of the experiment that the study belongs to.
    judged : ExperimentRecord, optional
        The experiment that the study is by itself.
    """

    def __init__(
        self,
        store: RunStore,
        study: StudyRecord,
        *,
        above: str | None = None,
        judged: ExperimentRecord | None = None,
    ) -> None:
        self._store = store
        self._above = above
        self._judged = judged
        self._study = study
        # Of the trials that it has: one that ends later may put others off the front.
        self._standings = standings(study)
        self._parent: Run | None = None
        self._trials: dict[int, list[Run]] = {}
        self._trial_ids: dict[int, str] = {}
        parents = []
        for run in store.runs(STUDY_TAG, study_identity(study)):
            number = run.data.tags.get(TRIAL_TAG)
            if number is None:
                parents.append(run)
            else:
                self._trials.setdefault(int(number), []).append(run)
        if parents:
            self._parent = parents[0]
        for run in parents[1:]:
            store.delete(run.info.run_id)

    @property
    def parent_id(self) -> str:
        """Id of the run of the study, which `begin` has created."""
        assert self._parent is not None
        return str(self._parent.info.run_id)

    def trial_id(self, number: int) -> str | None:
        """Id of the run of a trial that was written."""
        return self._trial_ids.get(number)

    def write(self, study: StudyRecord) -> list[Outcome]:
        """Write the run of the study, and those of its trials that have ended."""
        running = any(trial.state == "running" for trial in study.trials)
        begun = self.begin(study)
        outcomes = [self.write_trial(t) for t in study.trials if t.state != "running"]
        ended = self.write_parent(study, running=running)
        return [*outcomes, "created" if begun == "created" else ended]

    def begin(self, study: StudyRecord) -> Outcome:
        """Create the run of the study if there is none."""
        self._store.show_trials(_columns(study), study.dataset.name)
        if self._parent is not None:
            return "unchanged"
        image = project_study(study, status="RUNNING")
        self._parent = self._store.read(self._store.create(image, parent=self._above))
        return "created"

    def write_parent(self, study: StudyRecord, *, running: bool) -> Outcome:
        """Bring the run of the study up to date; `begin` has created it."""
        assert self._parent is not None
        status: RunStatus = "RUNNING" if running else "FINISHED"
        image = project_study(study, status=status, judged=self._judged)
        if not repair(self._store, self._parent, image, parent=self._above):
            return "unchanged"
        self._parent = self._store.read(self.parent_id)
        return "repaired"

    def write_trial(self, trial: TrialRecord) -> Outcome:
        """Write the run of a trial that has ended, below that of its study."""
        image = project_trial(self._study, trial, self._standings)
        found = self._trials.pop(trial.number, [])
        kept = next((run for run in found if can_become(run, image)), None)
        for run in found:
            if run is not kept:
                self._store.delete(run.info.run_id)
        if kept is None:
            created = self._store.create(image, parent=self.parent_id)
            self._trial_ids[trial.number] = created
            return "repaired" if found else "created"
        self._trial_ids[trial.number] = str(kept.info.run_id)
        changed = repair(self._store, kept, image, parent=self.parent_id)
        return "repaired" if changed or len(found) > 1 else "unchanged"


def _columns(study: StudyRecord) -> list[str]:
    names = list(study.space)
    names += [name for trial in study.trials[-1:] for name in trial.params]
    return list(dict.fromkeys(names))


SUPERSEDED_TAG = "superseded_by"


class ExperimentRuns:
    """The runs of one experiment: what is there, and what is written.

    The run of a study, which compares no families, holds the verdict itself; an
    experiment has a run above those of its studies.

    Parameters
    ----------
    store : RunStore
        The store.
    record : ExperimentRecord
        The experiment.
    """

    def __init__(self, store: RunStore, record: ExperimentRecord) -> None:
        self._store = store
        self._record = record
        self.logged = LoggedRuns()
        self._parents: list[Run] = []
        self._finals: dict[str, list[Run]] = {}
        for run in store.runs(EXPERIMENT_TAG, experiment_identity(record)):
            candidate = run.data.tags.get(CANDIDATE_TAG)
            if candidate is None:
                self._parents.append(run)
            else:
                self._finals.setdefault(candidate, []).append(run)

    def write(self) -> list[Outcome]:
        """Write what is missing, and correct what differs."""
        record, outcomes = self._record, list[Outcome]()
        above = None
        if not record.is_study:
            self._store.offer(NESTED_VIEW)
            above, outcome = self._write_parent()
            outcomes.append(outcome)
        top, trials = above, dict[str, str | None]()
        best = {} if record.judging is None else record.judging.best_trials
        for candidate, study in record.studies.items():
            judged = record if record.is_study else None
            runs = StudyRuns(self._store, study, above=above, judged=judged)
            outcomes += runs.write(study)
            top = above or runs.parent_id
            if candidate in best:
                trials[candidate] = runs.trial_id(best[candidate])
        finals = self._write_finals(top, outcomes)
        self.logged = LoggedRuns(
            experiment=top,
            candidates={
                candidate: LoggedCandidate(
                    trial=number,
                    trial_run=trials.get(candidate),
                    final_run=finals.get(candidate),
                )
                for candidate, number in best.items()
                if candidate in record.spec.families
            },
        )
        return outcomes

    def _write_finals(self, top: str | None, outcomes: list[Outcome]) -> dict[str, str]:
        finals = {}
        for candidate in self._record.spec.families:
            image = project_final(self._record, candidate)
            if image is not None and top is not None:
                self._store.offer(FINALS_VIEW.of(self._record.dataset.name))
                finals[candidate], outcome = self._write_final(candidate, image, top)
                outcomes.append(outcome)
        return finals

    def _write_parent(self) -> tuple[str, Outcome]:
        image = project_experiment(self._record)
        for run in self._parents[1:]:
            self._store.delete(run.info.run_id)
        if not self._parents:
            return self._store.create(image), "created"
        parent = self._parents[0]
        changed = repair(self._store, parent, image, parent=None)
        repaired = changed or len(self._parents) > 1
        return str(parent.info.run_id), "repaired" if repaired else "unchanged"

    def _write_final(
        self, candidate: str, image: RunImage, parent: str
    ) -> tuple[str, Outcome]:
        found = self._finals.get(candidate, [])
        kept = next((run for run in found if can_become(run, image)), None)
        outcome: Outcome = "created"
        if kept is None:
            run_id = self._store.create(image, parent=parent)
        else:
            run_id = str(kept.info.run_id)
            changed = repair(self._store, kept, image, parent=parent)
            outcome = "repaired" if changed else "unchanged"
        self._mark_superseded([run for run in found if run is not kept], run_id)
        return run_id, outcome

    def _mark_superseded(self, runs: "list[Run]", by: str) -> None:
        """Keep what was judged before: the test set was opened for it, too."""
        for run in runs:
            if run.data.tags.get(SUPERSEDED_TAG) != by:
                self._store.tag(run.info.run_id, SUPERSEDED_TAG, by)
                name = run.info.run_name.removesuffix(" (superseded)")
                self._store.rename(run.info.run_id, f"{name} (superseded)")


_T = TypeVar("_T")


def _with_store(location: Location, act: Callable[[RunStore], _T]) -> _T:
    """Do something with the store; what MLflow raises becomes one sentence."""
    try:
        return act(open_store(location))
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def sync(record: ExperimentRecord, location: Location) -> SyncCounts:
    """Create the runs of an experiment that are missing, and correct those that differ."""
    return SyncCounts.of(
        _with_store(location, lambda store: ExperimentRuns(store, record).write())
    )


def log_experiment(record: ExperimentRecord, location: Location) -> LoggedRuns:
    """Bring the runs of an experiment up to date, and say which they are."""

    def write(store: RunStore) -> LoggedRuns:
        runs = ExperimentRuns(store, record)
        runs.write()
        return runs.logged

    return _with_store(location, write)


def attach_report(run_id: str, folder: Path, location: Location) -> None:
    """Add the files of a report to a run."""
    _with_store(location, lambda store: store.attach(run_id, folder, under=REPORT))
