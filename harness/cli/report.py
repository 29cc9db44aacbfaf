"""``harness report``: write the report of a study or an experiment again."""

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import StudyError

__all__ = ["report"]


def report(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY|EXPERIMENT",
            help="Name of the study or experiment.",
            show_default="the only one in the storage",
        ),
    ] = None,
    storage: Annotated[
        str,
        typer.Option(
            metavar="FILE|URL",
            help="Optuna storage: a journal file, or a URL such as sqlite:///study.db.",
        ),
    ] = "optuna.log",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the report goes.",
            show_default="reports/NAME",
        ),
    ] = None,
) -> None:
    """Write the report of a study or an experiment again, without training anything."""
    from harness.experiment.store import read_experiment
    from harness.report.study_report import write_study_report
    from harness.report.write import write_experiment_report
    from harness.search.storage import list_experiments, read_study

    name = name or _only_one(storage)
    folder = out or Path("reports") / name
    if name in list_experiments(storage):
        written = write_experiment_report(read_experiment(storage, name), folder)
    else:
        written = write_study_report(read_study(storage, name), folder)
    typer.echo(written)


def _only_one(storage: str) -> str:
    """Name the experiment of a storage, or else its study, where there is one."""
    from harness.search.storage import list_experiments, list_studies

    # The studies of an experiment are its parts.
    experiments, studies = list_experiments(storage), list_studies(storage)
    names, what = (experiments, "experiments") if experiments else (studies, "studies")
    if not names:
        raise StudyError(
            f"There is no study of harness in {storage}: run one with `harness study`, "
            "or name another storage with --storage."
        )
    if len(names) > 1:
        raise StudyError(
            f"{storage} holds {len(names)} {what}: name one of {', '.join(names)}."
        )
    return names[0]
