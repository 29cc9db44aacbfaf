"""The runs of one study: compares what is there with what should be, and mends it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.mending import Outcome, can_become, mend
from harness.tracking.projection import (
    STUDY_TAG,
    TRIAL_TAG,
    project_study,
    project_trial,
    study_identity,
)
from harness.tracking.store import RunStore

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["StudyRuns", "SyncCounts"]


@dataclass(frozen=True, kw_only=True)
class SyncCounts:
    """What a synchronisation did.

    Parameters
    ----------
    created, repaired, unchanged : int, default 0
        Number of runs that were missing, that were not right, and that were right.
    """

    created: int = 0
    repaired: int = 0
    unchanged: int = 0

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> Self:
        """Count what had to be done.

        Parameters
        ----------
        outcomes : list of {"created", "repaired", "unchanged"}
            One for each run.

        Returns
        -------
        SyncCounts
            The numbers.
        """
        return cls(
            created=outcomes.count("created"),
            repaired=outcomes.count("repaired"),
            unchanged=outcomes.count("unchanged"),
        )


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
    """

    def __init__(
        self, store: RunStore, study: StudyRecord, *, above: str | None = None
    ) -> None:
        self._store = store
        self._above = above
        self._study = study
        self._parent: Run | None = None
        self._trials: dict[int, list[Run]] = {}
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

    def write(self, study: StudyRecord) -> list[Outcome]:
        """Write the run of the study, and those of its trials that have ended.

        Parameters
        ----------
        study : StudyRecord
            The study as it is now.

        Returns
        -------
        list of {"created", "repaired", "unchanged"}
            What had to be done, for each run.
        """
        running = any(trial.state == "running" for trial in study.trials)
        begun = self.begin(study)
        outcomes = [self.write_trial(t) for t in study.trials if t.state != "running"]
        ended = self.write_parent(study, running=running)
        return [*outcomes, "created" if begun == "created" else ended]

    def begin(self, study: StudyRecord) -> Outcome:
        """Create the run of the study if there is none.

        Parameters
        ----------
        study : StudyRecord
            The study as it is now.

        Returns
        -------
        {"created", "unchanged"}
            What had to be done.
        """
        self._store.show_trials(_columns(study))
        if self._parent is not None:
            return "unchanged"
        image = project_study(study, status="RUNNING")
        self._parent = self._store.read(self._store.create(image, parent=self._above))
        return "created"

    def write_parent(self, study: StudyRecord, *, running: bool) -> Outcome:
        """Bring the run of the study up to date; `begin` has created it.

        Parameters
        ----------
        study : StudyRecord
            The study as it is now.
        running : bool
            Whether it goes on.

        Returns
        -------
        {"repaired", "unchanged"}
            What had to be done.
        """
        assert self._parent is not None
        image = project_study(study, status="RUNNING" if running else "FINISHED")
        if not mend(self._store, self._parent, image, parent=self._above):
            return "unchanged"
        self._parent = self._store.read(self.parent_id)
        return "repaired"

    def write_trial(self, trial: TrialRecord) -> Outcome:
        """Write the run of a trial that has ended, below that of its study.

        Parameters
        ----------
        trial : TrialRecord
            The trial.

        Returns
        -------
        {"created", "repaired", "unchanged"}
            What had to be done.
        """
        image = project_trial(self._study, trial)
        found = self._trials.pop(trial.number, [])
        kept = next((run for run in found if can_become(run, image)), None)
        for run in found:
            if run is not kept:
                self._store.delete(run.info.run_id)
        if kept is None:
            self._store.create(image, parent=self.parent_id)
            return "repaired" if found else "created"
        changed = mend(self._store, kept, image, parent=self.parent_id)
        return "repaired" if changed or len(found) > 1 else "unchanged"


def _columns(study: StudyRecord) -> list[str]:
    names = list(study.settings.get("space", {}))
    names += [name for trial in study.trials[-1:] for name in trial.params]
    return list(dict.fromkeys(names))
