"""``harness report``: write the report of a study again."""

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import StudyError

__all__ = ["report"]


def report(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Name of the study.",
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
            show_default="reports/STUDY",
        ),
    ] = None,
) -> None:
    """Write the report of a study from what is stored, without training anything."""
    from harness.report.study_report import write_study_report
    from harness.search.storage import read_study

    name = _only_study(storage) if study is None else study
    record = read_study(storage, name)
    typer.echo(write_study_report(record, out or Path("reports") / name))


def _only_study(storage: str) -> str:
    from harness.search.storage import list_studies

    names = list_studies(storage)
    if not names:
        raise StudyError(
            f"There is no study of harness in {storage}: run one with `harness study`, "
            "or name another storage with --storage."
        )
    if len(names) > 1:
        raise StudyError(
            f"{storage} holds {len(names)} studies: name one of {', '.join(names)}."
        )
    return names[0]
