"""``harness run``: tune and judge all families of an experiment."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.compare import print_comparison
from harness.cli.options import StoreOptions, n_cores, spread_options
from harness.cli.terminal import describe_data
from harness.errors import ExperimentError, SearchFailedError, UnknownNameError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.cli.progress import ExperimentProgress
    from harness.data.dataset import Dataset
    from harness.experiment.judge import JudgedExperiment
    from harness.experiment.record import ExperimentRecord
    from harness.experiment.run import ExperimentSettings, PreparedExperiment

__all__: list[str] = []


def write_and_log(
    judged: "JudgedExperiment",
    reports: Path,
    stores: StoreOptions,
    console: "Console",
    dataset: "Dataset | None",
) -> Path:
    """Log the runs, write the report that names them, and add it to them.

    What goes wrong with MLflow is said on the console, and stops nothing.
    """
    from harness.report.write import write_experiment_report
    from harness.serving.experiment_log import log_report, log_runs

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
            "Streaming catalogue to link titles to; may be given several times.",
            metavar="[PLATFORM=]FILE",
        ),
    ] = None
    trials: Annotated[
        int | None, _change("--trials", "Trials of each family.", min=1)
    ] = None
    seconds: Annotated[
        float | None,
        _change("--seconds", "Start no trial of a family later than this.", min=1),
    ] = None
    seed: Annotated[
        int | None,
        _change("--seed", "Seed of split, folds, samplers and models.", min=0),
    ] = None

    def as_content(self) -> dict[str, Any]:
        """Write them as the file would."""
        tables: dict[str, dict[str, Any]] = {
            "data": {"source": self.data, "link": self.link},
            "budget": {"trials": self.trials, "seconds": self.seconds},
        }
        given = {
            table: {key: value for key, value in keys.items() if value is not None}
            for table, keys in tables.items()
        }
        seed = {} if self.seed is None else {"seed": self.seed}
        return {table: keys for table, keys in given.items() if keys} | seed


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much of it to do, and where the outcome goes."""

    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Name of the experiment; else that of the file. Same name: continue it.",
        ),
    ] = None
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="FAMILY",
            help="Search only this family; the test set stays sealed until all are done.",
        ),
    ] = None
    report_only: Annotated[
        bool,
        typer.Option("--report-only", help="Write the report again; train nothing."),
    ] = False
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Exit with 1 if an acceptance criterion fails, for use in CI.",
        ),
    ] = False
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", help="Worker processes; else one for each core.", min=1),
    ] = None
    reports: Annotated[
        Path, typer.Option("--reports", metavar="FOLDER", help="Where reports go.")
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
        ),
    ],
    scope: Scope,
    changes: Changes,
    stores: StoreOptions,
) -> None:
    """Run an experiment: tune all its families, judge them on one sealed test set, decide.

    Every family gets the same budget and sees the same folds. The test set is opened once,
    at the end. The same command continues what was stopped, however it was stopped.

    Examples
    --------
      harness run quick

      harness run experiments/published.toml

      harness run movielens_100k --data ml-100k --check
    """
    from rich.console import Console

    from harness.experiment.judge import JudgedExperiment
    from harness.experiment.run import ExperimentSettings, prepare_experiment
    from harness.tracking.store import require_apart

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    require_apart(stores.tracking_uri, stores.storage)
    settings = ExperimentSettings(
        file=file,
        name=scope.name,
        storage=stores.storage,
        jobs=scope.jobs or n_cores(),
        changes=changes.as_content(),
    )
    if scope.report_only:
        _finish(JudgedExperiment(record=_read(settings)), scope, stores, console)
        return
    prepared = prepare_experiment(settings)
    if scope.only is not None and scope.only not in prepared.plans:
        raise UnknownNameError("family in this experiment", scope.only, prepared.plans)
    _introduce(console, prepared)
    try:
        _run(prepared, scope, stores, console)
    except KeyboardInterrupt:
        console.print(
            "Stopped. What was done is kept: the same command continues the experiment."
        )
        raise typer.Exit(130) from None


def _read(settings: "ExperimentSettings") -> "ExperimentRecord":
    from harness.experiment.file import find_experiment, find_spaces, load_experiment
    from harness.experiment.store import take_over_rules

    if settings.changes:
        raise ExperimentError(
            "--report-only searches nothing, so that it takes no option for the search or "
            f"the data, but got one for {' and '.join(settings.changes)}: leave it out."
        )
    path = find_experiment(settings.file)
    spec = load_experiment(path)
    find_spaces(path, spec)  # what claims and criteria name must exist
    return take_over_rules(settings.storage, settings.name or path.stem, spec)


def _introduce(console: "Console", prepared: "PreparedExperiment") -> None:
    dataset, split, spec = prepared.dataset, prepared.split, prepared.spec
    describe_data(console, dataset)
    for note in dict.fromkeys(
        note
        for plan in prepared.plans.values()
        for note in plan.family.notes_on(dataset.catalogue, dataset.ratings)
    ):
        console.print(f"  {note}")
    facts = split.facts
    budget, n_families = spec.budget.describe(), len(prepared.plans)
    console.print(
        f"{prepared.name}: {facts['n_train']:,} training ratings in {spec.search.folds} "
        f"folds, {facts['n_test']:,} test ratings sealed ({facts['method']}); "
        f"{n_families} {'family' if n_families == 1 else 'families'}, {budget} each, "
        f"{prepared.settings.jobs} worker"
        f"{'s' if prepared.settings.jobs > 1 else ''}"
    )


def _run(
    prepared: "PreparedExperiment",
    scope: Scope,
    stores: StoreOptions,
    console: "Console",
) -> None:
    from harness.cli.progress import ExperimentProgress
    from harness.experiment.convergence import unfinished
    from harness.experiment.judge import judge_experiment
    from harness.experiment.store import read_experiment

    prepared.begin()
    chosen = [scope.only] if scope.only else list(prepared.plans)
    progress = ExperimentProgress(
        console, n_trials=prepared.spec.budget.n_trials, candidates=chosen
    )
    with progress:
        for candidate in chosen:
            _search(prepared, candidate, progress, stores)
        record = read_experiment(stores.storage, prepared.name)
        # Without --only all have just had what they get.
        missing = unfinished(record) if scope.only else []
        if not missing:
            progress.step("judging")
            judged = judge_experiment(prepared, on_step=progress.step)
    if missing:
        print_comparison(record)
        console.print(
            f"Not searched to the end yet: {', '.join(missing)}. `harness run` without --only does "
            "the rest and judges all."
        )
        return
    _finish(judged, scope, stores, console, dataset=prepared.dataset)


def _search(
    prepared: "PreparedExperiment",
    candidate: str,
    progress: "ExperimentProgress",
    stores: StoreOptions,
) -> None:
    from harness.cli.progress import Listeners
    from harness.tracking import MLflowTracker

    # One after the other: each has the runs of one study.
    tracker = MLflowTracker(
        stores.tracking_uri, stores.experiment, warn=progress.warn_once
    )
    with tracker:
        listeners = Listeners(progress.listener(candidate), tracker)
        try:
            prepared.search(candidate, listeners)
        except KeyboardInterrupt:
            progress.warn_once(
                "Stopping: what is done is written to MLflow; Ctrl-C again leaves that to "
                "`harness sync`."
            )
            raise
        except SearchFailedError as error:
            # A family that cannot be trained must not cost the others their verdict.
            progress.warn_once(f"{candidate}: {error}")


def _finish(
    judged: "JudgedExperiment",
    scope: Scope,
    stores: StoreOptions,
    console: "Console",
    *,
    dataset: "Dataset | None" = None,
) -> None:
    from harness.experiment.decision import check_criteria

    report = write_and_log(judged, scope.reports, stores, console, dataset)
    print_comparison(judged.record)
    checked = check_criteria(judged.record)
    for each in checked:
        typer.echo(f"{'pass' if each.passed else 'FAIL'}: {each.sentence}")
    typer.echo(f"Report:  {report}")
    typer.echo(f"         {report.with_suffix('.html')}")
    typer.echo("Runs:    harness ui")
    if scope.check and not all(each.passed for each in checked):
        raise typer.Exit(1)
