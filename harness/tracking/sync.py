"""Makes the runs in an MLflow store equal to the trials of a study."""

from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.search.records import StudyRecord
from harness.tracking.location import locate
from harness.tracking.problems import unusable
from harness.tracking.store import RunStore, open_store
from harness.tracking.study_runs import StudyRuns

__all__ = ["SyncCounts", "log_report", "sync"]


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


def sync(
    study: StudyRecord,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> SyncCounts:
    """Create the runs that are missing and mend those that differ.

    Parameters
    ----------
    study : StudyRecord
        The study, as its storage has it. Trials that still run are left alone.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Returns
    -------
    SyncCounts
        What was done; a second call finds everything unchanged.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    """
    location = locate(tracking_uri, experiment)
    try:
        return _sync(open_store(location), study)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def _sync(store: RunStore, study: StudyRecord) -> SyncCounts:
    runs = StudyRuns(store, study)
    running = any(trial.state == "running" for trial in study.trials)
    begun = runs.begin(study)
    outcomes = [runs.write_trial(t) for t in study.trials if t.state != "running"]
    ended = runs.write_parent(study, running=running)
    outcomes.append("created" if begun == "created" else ended)
    return SyncCounts(
        created=outcomes.count("created"),
        repaired=outcomes.count("repaired"),
        unchanged=outcomes.count("unchanged"),
    )


def log_report(
    study: StudyRecord,
    folder: Path,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> None:
    """Attach the files of a report to the run of a study.

    Parameters
    ----------
    study : StudyRecord
        The study.
    folder : Path
        Folder of the report; its files go to ``report`` in the run's artifacts.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    """
    location = locate(tracking_uri, experiment)
    try:
        store = open_store(location)
        runs = StudyRuns(store, study)
        runs.begin(study)
        runs.write_parent(study, running=False)
        store.attach(runs.parent_id, folder, under="report")
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error
