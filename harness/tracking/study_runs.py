"""The runs of one study: compares what is there with what should be, and mends it."""

import math
from typing import TYPE_CHECKING, Literal

from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.projection import (
    TRIAL_TAG,
    project_study,
    project_trial,
    study_identity,
)
from harness.tracking.run_image import RunImage
from harness.tracking.store import RunStore

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["Outcome", "StudyRuns"]

Outcome = Literal["created", "repaired", "unchanged"]


class StudyRuns:
    """The runs of one study: what is there, and what is written.

    Parameters
    ----------
    store : RunStore
        The store.
    study : StudyRecord
        The study.
    """

    def __init__(self, store: RunStore, study: StudyRecord) -> None:
        self._store = store
        self._study = study
        self._parent: Run | None = None
        self._trials: dict[int, list[Run]] = {}
        parents = []
        for run in store.runs(study_identity(study)):
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
        self._store.show_columns(_columns(study))
        if self._parent is not None:
            return "unchanged"
        image = project_study(study, status="RUNNING")
        self._parent = self._store.read(self._store.create(image))
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
        if not self._mend(self._parent, image, parent=None):
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
        kept = next((run for run in found if _can_become(run, image)), None)
        for run in found:
            if run is not kept:
                self._store.delete(run.info.run_id)
        if kept is None:
            self._store.create(image, parent=self.parent_id)
            return "repaired" if found else "created"
        changed = self._mend(kept, image, parent=self.parent_id)
        return "repaired" if changed or len(found) > 1 else "unchanged"

    def _mend(self, run: "Run", image: RunImage, *, parent: str | None) -> bool:
        """Write what differs; say whether anything did."""
        wanted = dict(image.tags)
        if parent is not None:
            wanted["mlflow.parentRunId"] = parent
        params = {k: v for k, v in image.params.items() if k not in run.data.params}
        for key, value in image.params.items():
            # Of a study that is continued with other settings.
            if run.data.params.get(key, value) != value:
                wanted[f"resumed.{key}"] = value
        tags = {k: v for k, v in wanted.items() if run.data.tags.get(k) != v}
        named = run.info.run_name == image.name
        if not named:
            self._store.rename(run.info.run_id, image.name)
        if named and not params and not tags and _is_complete(run, image):
            return False
        self._store.complete(run.info.run_id, image, params=params, tags=tags)
        return True


def _columns(study: StudyRecord) -> list[str]:
    names = list(study.settings.get("space", {}))
    names += [name for trial in study.trials[-1:] for name in trial.params]
    return list(dict.fromkeys(names))


def _can_become(run: "Run", image: RunImage) -> bool:
    """Tell whether a run can be mended: starts, parameters and values cannot change."""
    return bool(
        run.info.start_time == image.started
        and all(image.params.get(k) == v for k, v in run.data.params.items())
        and all(
            key in image.latest and _close(value, image.latest[key])
            for key, value in run.data.metrics.items()
        )
    )


def _is_complete(run: "Run", image: RunImage) -> bool:
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    data = {(used.dataset.name, used.dataset.digest) for used in inputs}
    return (
        run.info.status == image.status
        and (image.ended is None or run.info.end_time == image.ended)
        and all(
            key in run.data.metrics and _close(run.data.metrics[key], value)
            for key, value in image.latest.items()
        )
        and data >= {(used.name, used.digest) for used in image.datasets}
    )


def _close(a: float, b: float) -> bool:
    # Databases keep doubles; some print them on the way.
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
