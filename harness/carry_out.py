"""Carrying out what was prepared: search, judge, log, and write the report."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from harness.data.dataset import Dataset
from harness.errors import SearchFailedError
from harness.experiment.blending import require_members, search_blend
from harness.experiment.convergence import unfinished, why_stopped
from harness.experiment.forecast import forecast_where_large
from harness.experiment.front import NOT_PRUNED
from harness.experiment.judge import JudgedExperiment, judge_experiment
from harness.experiment.run import PreparedExperiment, prepare_repeat
from harness.experiment.store import keep_split, read_experiment
from harness.objects import Experiment
from harness.progress import Listeners, SearchProgress
from harness.report.write import import_libraries, write_report
from harness.search.importance import FEWEST_TRIALS, import_forest
from harness.search.records import why_exhausted, why_none_is_best
from harness.serving.experiment_log import log_report, log_runs
from harness.tracking.live import MLflowTracker
from harness.tracking.location import Location, with_project_run
from harness.tracking.store import require_apart

__all__ = ["carry_out", "finish"]


def carry_out(
    prepared: PreparedExperiment,
    location: Location,
    reports: Path,
    progress: SearchProgress,
    *,
    only: str | None,
) -> Experiment:
    """Search and judge on each split, log, and report."""
    storage, name = prepared.settings.storage, prepared.name
    require_apart(location, storage)
    expected = forecast_where_large(prepared, only)
    if expected is not None:
        expected.require_room()
        for line in expected.describe():
            progress.warn(line)
    judged = _search_and_judge(prepared, location, progress, only=only)
    for number in range(2, prepared.spec.split.repeats + 1):
        repeat = prepare_repeat(prepared, number)
        found = _search_and_judge(repeat, location, progress, only=only)
        if found is None:
            continue
        _, problem = log_runs(found.record, storage, location)
        if problem is not None:
            progress.warn_of_mlflow(problem)
        keep_split(storage, name, number)
    if judged is None:
        return Experiment(results=read_experiment(storage, name), storage=storage)
    if prepared.spec.split.repeats > 1:
        judged = replace(judged, record=read_experiment(storage, name))
    with progress:
        return finish(
            judged,
            storage,
            with_project_run(location),
            reports,
            progress=progress,
            dataset=prepared.dataset,
        )


def _search_and_judge(
    prepared: PreparedExperiment,
    location: Location,
    progress: SearchProgress,
    *,
    only: str | None,
) -> JudgedExperiment | None:
    """Search, and judge unless there is something missing; then None."""
    storage = prepared.settings.storage
    # What cannot be done is found out before anything is written.
    require_members(prepared, only)
    prepared.begin()
    # Blends last: they are made of the best settings of the others.
    chosen = [only] if only else sorted(prepared.plans, key=prepared.spec.is_blend)
    with progress:
        progress.begin(prepared, chosen)
        for candidate in chosen:
            with _importing_ahead(prepared, candidate):
                _search(prepared, candidate, progress, location)
        record = read_experiment(storage, prepared.name)
        # Without `only` all have just had what they get.
        if only is not None and unfinished(record):
            return None
        if prepared.is_study and record.studies[chosen[0]].best is None:
            return None
        progress.step("judging")
        return judge_experiment(prepared, on_step=progress.step)


# The workers are busy by then; a shorter search is not disturbed.
_HEAD_START_SECONDS = 1.0


@contextmanager
def _importing_ahead(prepared: PreparedExperiment, candidate: str) -> Iterator[None]:
    """Import in the background what is needed after the search of a candidate.

    Meanwhile this process waits for its workers; afterwards all would wait for it.
    """

    def import_all() -> None:
        # Nothing of MLflow, which another thread imports: its modules need each other, and
        # one of two threads would get half of one. Whoever needs these imports them again,
        # and meets the error that was met here.
        with suppress(Exception):
            import_libraries()
            if prepared.split.test is not None:
                import harness.models.forked  # noqa: F401 - the judge predicts
            if prepared.spec.n_trials(candidate) >= FEWEST_TRIALS:
                import_forest()

    timer = threading.Timer(_HEAD_START_SECONDS, import_all)
    timer.daemon = True
    # Without workers this thread trains, and imports for that, as a blend does.
    if prepared.settings.n_workers > 1 and not prepared.spec.is_blend(candidate):
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if timer.is_alive():
            timer.join()


def _search(
    prepared: PreparedExperiment,
    candidate: str,
    progress: SearchProgress,
    location: Location,
) -> None:
    # One after the other: each has the runs of one study.
    top = with_project_run(location) if prepared.is_study else location
    plan, asked = prepared.plans[candidate], prepared.spec.search.pruner
    if len(plan.objectives) > 1 and asked != plan.pruner:
        progress.warn(NOT_PRUNED)
    with MLflowTracker(top, warn=progress.warn_of_mlflow) as tracker:
        listener = progress.listener(candidate)
        listeners = Listeners(*(each for each in (listener, tracker) if each))
        try:
            study = (
                search_blend(prepared, candidate, listeners, on_step=progress.step)
                if prepared.spec.is_blend(candidate)
                else prepared.search(candidate, listeners)
            )
            stopped = why_stopped(study, prepared.spec, candidate)
            reasons = (why_exhausted(study), stopped, why_none_is_best(study))
            for reason in filter(None, reasons):
                progress.warn(reason)
        except KeyboardInterrupt:
            progress.warn(
                "Stopping: writing what is done to MLflow. Ctrl-C again leaves that to "
                "`harness sync`."
            )
            raise
        except SearchFailedError as error:
            if prepared.is_study:
                raise
            # A family that cannot be trained must not cost the others their verdict.
            progress.warn(f"{candidate}: {error}")


def finish(
    judged: JudgedExperiment,
    storage: str,
    location: Location,
    reports: Path,
    *,
    progress: SearchProgress,
    dataset: Dataset | None = None,
) -> Experiment:
    """Log the runs, write the report that names them, and add it to them.

    What goes wrong with MLflow is said, and stops nothing.

    Parameters
    ----------
    judged : JudgedExperiment
        The experiment with its fitted models.
    storage : str
        URL or path of its Optuna storage.
    location : Location
        Where MLflow keeps the runs.
    reports : Path
        Folder of the folder of the report.
    progress : SearchProgress
        Is told what is done.
    dataset : Dataset, optional
        Its data; None where nothing was fitted.

    Returns
    -------
    Experiment
        With its report written.
    """
    progress.step("logging to MLflow")
    record, problem = log_runs(judged.record, storage, location)
    progress.step("writing the report")
    report = write_report(record, reports / record.name)
    if problem is None:
        progress.step("adding report and models to MLflow")
        logged = replace(judged, record=record)
        problem = log_report(logged, report.parent, dataset, location)
    if problem is not None:
        progress.warn_of_mlflow(problem)
    return Experiment(
        results=record,
        storage=storage,
        report_path=report,
        _models=dict(judged.models),
        _dataset=dataset,
    )
