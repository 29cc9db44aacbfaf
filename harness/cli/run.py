"""``harness run``: tune and judge all families of an experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.compare import print_comparison
from harness.cli.completion import (
    complete_experiment_files,
    complete_families,
    complete_metrics,
)
from harness.cli.options import StoreOptions, WorkerOptions, spread_options
from harness.cli.terminal import print_end, print_forecast
from harness.errors import ExperimentError
from harness.files import find_experiment

if TYPE_CHECKING:
    from harness.experiment.results import ExperimentRecord
    from harness.objects import Experiment

__all__ = ["run"]


PANEL = "Instead of what the file says"


def _change(name: str, text: str, **more: Any) -> Any:
    return typer.Option(name, help=text, rich_help_panel=PANEL, **more)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What the command line says otherwise than the file."""

    data: Annotated[
        str | None, _change("--data", "Ratings: a folder or a file.", metavar="PATH")
    ] = None
    link: Annotated[
        list[str] | None,
        _change(
            "--link",
            "Streaming catalogue to link titles to. Repeatable.",
            metavar="[PLATFORM=]FILE",
        ),
    ] = None
    trials: Annotated[
        int | None, _change("--trials", "Trials of each family.", min=1)
    ] = None
    seconds: Annotated[
        float | None,
        _change(
            "--seconds",
            "Stop starting trials of a family after this many seconds.",
            min=1,
        ),
    ] = None
    window: Annotated[
        int | None,
        _change(
            "--window",
            "Trials of a family under way at a time; see `harness study --help`.",
            min=1,
        ),
    ] = None
    patience: Annotated[
        int | None,
        _change(
            "--patience",
            "Stop the search of a family after this many trials in a row that gained no "
            "more than the margin.",
            min=1,
            metavar="TRIALS",
        ),
    ] = None
    metric: Annotated[
        str | None,
        _change(
            "--metric",
            "Measure to optimise; see `harness study --help`.",
            metavar="NAME|FILE.py:FUNCTION[,NAME...]",
            autocompletion=complete_metrics,
        ),
    ] = None
    fidelity: Annotated[
        str | None,
        _change(
            "--fidelity",
            "Race trials on samples of the users first; see `harness study --help`.",
            metavar="auto|full|RATINGS",
        ),
    ] = None
    require: Annotated[
        list[str] | None,
        _change(
            "--require",
            "What a trial must meet to be the best; see `harness study --help`. Repeatable.",
            metavar="'MEASURE <= NUMBER'",
        ),
    ] = None
    seed: Annotated[
        int | None,
        _change("--seed", "Seed of split, folds, samplers and models.", min=0),
    ] = None

    repeats: Annotated[
        int | None,
        _change(
            "--repeats",
            "Repeat search and judging on this many splits of the ratings.",
            min=1,
        ),
    ] = None

    def as_content(self) -> dict[str, object]:
        """Write them as the file would."""
        tables: dict[str, dict[str, object]] = {
            "data": {"source": self.data, "link": self.link},
            "budget": {
                "trials": self.trials,
                "seconds": self.seconds,
                "patience": self.patience,
            },
            "split": {"repeats": self.repeats},
            "search": {
                "metric": self.metric,
                "require": self.require or None,
                "window": self.window,
                "fidelity": self.fidelity,
            },
        }
        content: dict[str, object] = {} if self.seed is None else {"seed": self.seed}
        for table, keys in tables.items():
            given = {key: value for key, value in keys.items() if value is not None}
            if given:
                content[table] = given
        return content


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much of it to do, and where the outcome goes."""

    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Name of the experiment. One that exists is continued.",
            show_default="that of the file",
        ),
    ] = None
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="FAMILY",
            help="Search this family only; the test set stays sealed until all are done.",
            autocompletion=complete_families,
        ),
    ] = None
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only",
            help="Write the report again, by the criteria and claims that the file has "
            "now. Nothing is trained.",
        ),
    ] = False
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Exit with code 1 if an acceptance criterion fails, for use in CI.",
        ),
    ] = False
    reports: Annotated[
        Path, typer.Option("--reports", metavar="FOLDER", help="Folder for reports.")
    ] = Path("reports")


@spread_options
def run(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME",
            help="Experiment file; published, quick, movielens_100k, movielens_100k_random "
            "and movielens_streaming are shipped.",
            autocompletion=complete_experiment_files,
        ),
    ],
    scope: Scope,
    changes: Changes,
    workers: WorkerOptions,
    stores: StoreOptions,
) -> None:
    """Run an experiment: tune all its families, judge them on one sealed test set, decide.

    Every family gets the same folds and the same budget, unless its entry in the file has
    fewer trials. The test set is opened once, at the end. To continue an experiment that was
    stopped, in whatever way, repeat the command.

    Examples
    --------
      harness run quick

      harness run experiments/published.toml

      harness run movielens_100k --data ml-100k --check
    """
    # Before the imports, which take a second.
    find_experiment(file)
    workers.prepare(needed=not scope.report_only)
    from harness import api
    from harness.carry_out import finish
    from harness.experiment.judge import JudgedExperiment
    from harness.progress import ConsoleProgress

    options: Mapping[str, Any] = {
        "only": scope.only,
        "changes": changes.as_content(),
        "name": scope.name,
        "jobs": workers.jobs,
        "executor": workers.executor,
        "storage": stores.storage,
    }
    if workers.dry_run:
        if scope.report_only:
            raise ExperimentError(
                "--report-only trains nothing, so there is nothing to forecast: leave "
                "--dry-run out."
            )
        print_forecast(api.forecast_run(file, **options))
        return
    progress, location = ConsoleProgress(), stores.location()
    if scope.report_only:
        record = _follow_file(file, scope, changes, stores)
        judged = JudgedExperiment(record=record)
        done = finish(
            judged, stores.storage, location, scope.reports, progress=progress
        )
    else:
        try:
            done = api.run(
                file,
                location=location,
                reports=scope.reports,
                progress=progress,
                **options,
            )
        except KeyboardInterrupt:
            progress.warn(
                "Stopped. What was done is kept: the same command continues the "
                "experiment."
            )
            raise typer.Exit(130) from None
    print_comparison(done.results)
    if done.report_path is None:
        _say_unfinished(done)
        return
    for each in done.results.criteria:
        typer.echo(f"{'pass' if each.passed else 'FAIL'}  {each.sentence}")
    print_end(done, stores)
    if scope.check and not all(each.passed for each in done.results.criteria):
        raise typer.Exit(1)


def _follow_file(
    file: str, scope: Scope, changes: Changes, stores: StoreOptions
) -> "ExperimentRecord":
    """Let the experiment follow what its file says now, as far as nothing is trained."""
    from harness.experiment.file import find_spaces, load_experiment
    from harness.experiment.store import take_over_rules

    given = changes.as_content()
    if given:
        raise ExperimentError(
            "--report-only searches nothing, so it takes no option for the search or "
            f"the data, but got one for {' and '.join(given)}: leave it out."
        )
    path = find_experiment(file)
    spec = load_experiment(path)
    find_spaces(path, spec)  # what claims and criteria name must exist
    return take_over_rules(stores.storage, scope.name or path.stem, spec)


def _say_unfinished(done: "Experiment") -> None:
    from harness.experiment.convergence import unfinished

    missing = ", ".join(unfinished(done.results))
    typer.echo(
        f"Not searched to the end yet: {missing}. `harness run` without --only does the "
        "rest and judges all.",
        err=True,
    )
