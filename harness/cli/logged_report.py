"""The report of an experiment, written and added to its runs in MLflow."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import StoreOptions

if TYPE_CHECKING:
    from rich.console import Console

    from harness.data.dataset import Dataset
    from harness.workflow.judgement import JudgedExperiment

__all__ = ["write_and_log"]


def write_and_log(
    judged: "JudgedExperiment",
    reports: Path,
    stores: StoreOptions,
    console: "Console",
    dataset: "Dataset | None",
) -> Path:
    """Log the runs, write the report that names them, and add it to them.

    What goes wrong with MLflow is said on the console, and stops nothing.

    Parameters
    ----------
    judged : JudgedExperiment
        The experiment.
    reports : Path
        The report goes into the folder of its name below it.
    stores : StoreOptions
        Where studies and runs are kept.
    console : rich.console.Console
        Is told what comes next.
    dataset : Dataset or None
        Data of the models just fitted; None where nothing was fitted.

    Returns
    -------
    Path
        The report.
    """
    from harness.report.experiment_report import write_experiment_report
    from harness.workflow.experiment_runs import log_report, log_runs

    where = {"tracking_uri": stores.tracking_uri, "experiment": stores.experiment}
    with console.status("logging to MLflow"):
        record, problem = log_runs(judged.record, stores.storage, **where)
    with console.status("writing the report"):
        report = write_experiment_report(record, reports / record.name)
    if problem is None:
        with console.status("adding report and models to MLflow"):
            logged = replace(judged, record=record)
            problem = log_report(logged, report.parent, dataset, **where)
    if problem is not None:
        console.print(problem)
    return report
