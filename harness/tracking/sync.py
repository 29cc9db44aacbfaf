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
    """Create the runs that are missing and mend those that differ."""
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
    """Bring the runs of a study up to date."""
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
    """Attach the files of a report to the run of a study."""
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
