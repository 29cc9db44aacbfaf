"""Makes the runs in an MLflow store equal to the trials of a study."""

from pathlib import Path

from harness.errors import HarnessError
from harness.search.records import StudyRecord
from harness.tracking.location import locate
from harness.tracking.projection import StudyRuns, SyncCounts
from harness.tracking.store import open_store, unusable

__all__ = ["log_report", "log_study", "sync"]


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
        outcomes = StudyRuns(open_store(location), study).write(study)
        return SyncCounts.of(outcomes)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def log_study(
    study: StudyRecord,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> str:
    """Bring the runs of a study up to date.

    Parameters
    ----------
    study : StudyRecord
        The study, as its storage has it.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Returns
    -------
    str
        Id of the run of the study.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    """
    location = locate(tracking_uri, experiment)
    try:
        runs = StudyRuns(open_store(location), study)
        runs.write(study)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error
    return runs.parent_id


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
