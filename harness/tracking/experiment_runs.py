"""The runs of one experiment: its own, those of its studies, and one per final model."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.experiment.record import ExperimentRecord
from harness.tracking.experiment_projection import (
    CANDIDATE_TAG,
    EXPERIMENT_TAG,
    experiment_identity,
    project_experiment,
    project_final,
)
from harness.tracking.location import locate
from harness.tracking.mending import Outcome, can_become, mend
from harness.tracking.problems import unusable
from harness.tracking.run_image import RunImage
from harness.tracking.store import RunStore, open_store
from harness.tracking.study_runs import StudyRuns, SyncCounts
from harness.tracking.view import FINALS_VIEW, NESTED_VIEW

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = [
    "REPORT",
    "ExperimentRuns",
    "attach_report",
    "log_experiment",
    "sync_experiment",
]

SUPERSEDED_TAG = "superseded_by"
REPORT = "report"
"""Name of the folder of a report among the files of a run."""


class ExperimentRuns:
    """The runs of one experiment: what is there, and what is written.

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
        self.parent_id = ""
        self.final_ids: dict[str, str] = {}
        self._parents: list[Run] = []
        self._finals: dict[str, list[Run]] = {}
        for run in store.runs(EXPERIMENT_TAG, experiment_identity(record)):
            candidate = run.data.tags.get(CANDIDATE_TAG)
            if candidate is None:
                self._parents.append(run)
            else:
                self._finals.setdefault(candidate, []).append(run)

    def write(self) -> list[Outcome]:
        """Write what is missing, and mend what differs.

        Returns
        -------
        list of {"created", "repaired", "unchanged"}
            What had to be done, for each run. `parent_id` and `final_ids` (by candidate)
            are known afterwards.
        """
        self._store.offer(NESTED_VIEW)
        outcomes = [self._write_parent()]
        for study in self._record.studies.values():
            runs = StudyRuns(self._store, study, above=self.parent_id)
            outcomes += runs.write(study)
        for candidate in self._record.spec.families:
            image = project_final(self._record, candidate)
            if image is not None:
                self._store.offer(FINALS_VIEW)
                outcomes.append(self._write_final(candidate, image))
        return outcomes

    def _write_parent(self) -> Outcome:
        image = project_experiment(self._record)
        for run in self._parents[1:]:
            self._store.delete(run.info.run_id)
        if not self._parents:
            self.parent_id = self._store.create(image)
            return "created"
        parent = self._parents[0]
        self.parent_id = str(parent.info.run_id)
        changed = mend(self._store, parent, image, parent=None)
        return "repaired" if changed or len(self._parents) > 1 else "unchanged"

    def _write_final(self, candidate: str, image: RunImage) -> Outcome:
        found = self._finals.get(candidate, [])
        kept = next((run for run in found if can_become(run, image)), None)
        if kept is None:
            run_id, outcome = (
                self._store.create(image, parent=self.parent_id),
                "created",
            )
        else:
            run_id = str(kept.info.run_id)
            changed = mend(self._store, kept, image, parent=self.parent_id)
            outcome = "repaired" if changed else "unchanged"
        self.final_ids[candidate] = run_id
        self._mark_superseded([run for run in found if run is not kept], run_id)
        return outcome  # type: ignore[return-value]

    def _mark_superseded(self, runs: "list[Run]", by: str) -> None:
        """Keep what was judged before: the test set was opened for it, too."""
        for run in runs:
            if run.data.tags.get(SUPERSEDED_TAG) != by:
                self._store.tag(run.info.run_id, SUPERSEDED_TAG, by)
                name = run.info.run_name.removesuffix(" (superseded)")
                self._store.rename(run.info.run_id, f"{name} (superseded)")


def sync_experiment(
    record: ExperimentRecord,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> SyncCounts:
    """Create the runs of an experiment that are missing and mend those that differ.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment, as its storage has it.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Returns
    -------
    SyncCounts
        What was done, runs of its studies and trials included.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    """
    _, outcomes = _write(record, None, tracking_uri, experiment)
    return SyncCounts.of(outcomes)


def log_experiment(
    record: ExperimentRecord,
    report: Path | None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> dict[str, str]:
    """Log an experiment: its run, below it its studies and its final models.

    It may be called at any time, and again: at the start, so that the studies have a
    run to stand below; and at the end.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    report : Path or None
        Folder of the report; its files go to ``report`` in the artifacts of the
        experiment's run.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Returns
    -------
    dict of str to str
        Candidate to the id of the run of its final model; empty before the test set
        was opened.

    Raises
    ------
    TrackingError
        If the store cannot be used; ``harness sync`` logs what is missing.
    """
    runs, _ = _write(record, report, tracking_uri, experiment)
    return runs.final_ids


def attach_report(
    run_id: str,
    report: Path,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> None:
    """Add a report to the run of an experiment that was logged.

    Parameters
    ----------
    run_id : str
        Id of the run.
    report : Path
        As for `log_experiment`.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    """
    location = locate(tracking_uri, experiment)
    try:
        open_store(location).attach(run_id, report, under=REPORT)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def _write(
    record: ExperimentRecord,
    report: Path | None,
    tracking_uri: str | None,
    experiment: str | None,
) -> tuple[ExperimentRuns, list[Outcome]]:
    location = locate(tracking_uri, experiment)
    try:
        store = open_store(location)
        runs = ExperimentRuns(store, record)
        outcomes = runs.write()
        if report is not None:
            store.attach(runs.parent_id, report, under=REPORT)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error
    return runs, outcomes
