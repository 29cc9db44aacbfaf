"""Which runs of MLflow hold the numbers of an experiment: their ids."""

from typing import Any

from harness.errors import HarnessError
from harness.experiment.record import ExperimentRecord
from harness.search.records import StudyRecord
from harness.tracking.experiment_projection import (
    CANDIDATE_TAG,
    EXPERIMENT_TAG,
    experiment_identity,
)
from harness.tracking.experiment_runs import SUPERSEDED_TAG
from harness.tracking.location import locate
from harness.tracking.problems import unusable
from harness.tracking.projection import STUDY_TAG, TRIAL_TAG, study_identity
from harness.tracking.store import RunStore, open_store

__all__ = ["find_run_ids"]


def find_run_ids(
    record: ExperimentRecord,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> dict[str, Any]:
    """Find the runs of an experiment that was logged, and of what was judged.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment, after its test set was opened.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Returns
    -------
    dict
        JSON-like, as `ExperimentRecord.runs`; runs that are not there are left out.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    """
    location = locate(tracking_uri, experiment)
    try:
        return _find(open_store(location), record)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def _find(store: RunStore, record: ExperimentRecord) -> dict[str, Any]:
    top: dict[str, str] = {}
    finals: dict[str, str] = {}
    for run in store.runs(EXPERIMENT_TAG, experiment_identity(record)):
        tags, run_id = run.data.tags, str(run.info.run_id)
        if CANDIDATE_TAG not in tags:
            top["experiment"] = run_id
        elif SUPERSEDED_TAG not in tags:
            finals[tags[CANDIDATE_TAG]] = run_id
    judged = (record.final or {}).get("best_trials", {})
    candidates = {}
    for candidate, study in record.studies.items():
        if candidate not in judged:
            continue
        number = judged[candidate]
        trial = {"trial_run": _trial_run(store, study, number)}
        final = {"final_run": finals.get(candidate)}
        known = {key: run for key, run in (trial | final).items() if run is not None}
        candidates[candidate] = {"trial": number, **known}
    return {**top, "candidates": candidates}


def _trial_run(store: RunStore, study: StudyRecord, number: int) -> str | None:
    for run in store.runs(STUDY_TAG, study_identity(study)):
        if run.data.tags.get(TRIAL_TAG) == str(number):
            return str(run.info.run_id)
    return None
