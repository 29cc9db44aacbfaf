"""``harness study``: tune one family."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import DataOptions, StoreOptions, n_cores, spread_options
from harness.cli.terminal import describe_data

if TYPE_CHECKING:
    from rich.console import Console

    from harness.experiment.study import PreparedStudy, StudySettings
    from harness.search.records import StudyRecord

__all__ = ["study"]


PANEL = "Search"
# Seeds derived from it must be less than 2**32, where NumPy's and scikit-learn's end.
MAX_SEED = 2**31 - 1


def _option(name: str, text: str, **more: Any) -> Any:
    return typer.Option(name, help=text, rich_help_panel=PANEL, **more)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to search."""

    trials: Annotated[
        int,
        _option(
            "--trials",
            "Complete or pruned trials in all, earlier sessions included.",
            min=1,
        ),
    ] = 100
    timeout: Annotated[
        float | None,
        _option(
            "--timeout", "Start no trial later than this.", min=0, metavar="SECONDS"
        ),
    ] = None
    jobs: Annotated[
        int | None,
        _option("--jobs", "Worker processes; else one for each core.", min=1),
    ] = None
    seed: Annotated[
        int,
        _option(
            "--seed", "Seed of split, folds, sampler and models.", min=0, max=MAX_SEED
        ),
    ] = 0
    space: Annotated[
        str | None,
        _option(
            "--space",
            "Search space: a TOML file or a name; else ./studies/FAMILY.toml, else the "
            "shipped one.",
            metavar="FILE|NAME",
        ),
    ] = None
    sampler: Annotated[
        str,
        _option(
            "--sampler",
            "How settings are chosen.",
            metavar="tpe|random|cmaes|qmc|grid",
        ),
    ] = "tpe"
    pruner: Annotated[
        str,
        _option(
            "--pruner",
            "How hopeless trials are dropped between folds.",
            metavar="race|wilcoxon|median|none",
        ),
    ] = "race"
    folds: Annotated[
        int,
        _option("--folds", "Folds of the training part that every trial sees.", min=2),
    ] = 5
    split: Annotated[
        str,
        _option(
            "--split",
            "How the test set is split off before anything else: random, temporal, "
            "user-temporal, cold-items, cold-users, predefined, or none (no test set).",
            metavar="METHOD",
        ),
    ] = "random"
    test_share: Annotated[
        float, _option("--test-share", "Share that becomes the test set.")
    ] = 0.2
    name: Annotated[
        str | None,
        _option(
            "--name", "Name of the study; else FAMILY-DATA. Same name: continue it."
        ),
    ] = None

    def settings(self, family: str, storage: str) -> "StudySettings":
        """Convert to the settings of a study."""
        from harness.experiment.study import StudySettings

        return StudySettings(
            family=family,
            space=self.space,
            name=self.name,
            storage=storage,
            n_trials=self.trials,
            timeout_seconds=self.timeout,
            jobs=self.jobs or n_cores(),
            seed=self.seed,
            sampler=self.sampler,
            pruner=self.pruner,
            n_folds=self.folds,
            split=self.split,
            test_share=self.test_share,
        )


@spread_options
def study(
    *,
    family: Annotated[
        str,
        typer.Argument(
            metavar="FAMILY", help="Family of models; `harness families` lists them."
        ),
    ],
    search: SearchOptions,
    data: DataOptions,
    stores: StoreOptions,
    reports: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where reports go.")
    ] = Path("reports"),
) -> None:
    """Tune one family of models: search, judge on the sealed test set, report.

    Every trial goes into the Optuna storage and becomes an MLflow run. The same command
    continues a study that was stopped, however it was stopped.

    Examples
    --------
      harness study svd --trials 100

      harness study svd --data ml-100k --split temporal

      harness study svd --data ratings.csv --scale 1:10 --space my-svd.toml
    """
    from rich.console import Console

    from harness.cli.progress import Listeners, StudyProgress
    from harness.experiment.study import prepare
    from harness.report.study_report import write_study_report
    from harness.search.records import why_exhausted
    from harness.tracking import MLflowTracker, log_report
    from harness.tracking.store import require_apart

    # No markup: names of files and studies may hold brackets.
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    where = {"tracking_uri": stores.tracking_uri, "experiment": stores.experiment}
    require_apart(stores.tracking_uri, stores.storage)
    tracker = MLflowTracker(**where, warn=console.print)
    prepared = prepare(search.settings(family, stores.storage), data.load)
    _introduce(console, prepared)
    with tracker:
        try:
            with StudyProgress(console, n_trials=search.trials) as progress:
                record = prepared.search(Listeners(progress, tracker))
        except KeyboardInterrupt:
            console.print(
                "Stopped. What was done is kept: the same command continues the study."
            )
            with console.status(
                "writing it to MLflow; Ctrl-C again leaves that to `harness sync`"
            ):
                tracker.close()
            raise typer.Exit(130) from None
        if (reason := why_exhausted(record)) is not None:
            console.print(reason)
        if record.best is None:
            console.print("No trial was completed: there is nothing to judge.")
            raise typer.Exit(1)
        with console.status("judging the best trial"):
            record = prepared.judge(record)
            report = write_study_report(record, reports / record.name)
        tracker.on_study_end(record)
        if tracker.close():
            log_report(record, report.parent, **where)
    _print_result(record)
    typer.echo(f"Report:  {report}")
    shown = f" --tracking-uri {stores.tracking_uri}" if stores.tracking_uri else ""
    typer.echo(f"Trials:  harness ui{shown}")


def _introduce(console: "Console", prepared: "PreparedStudy") -> None:
    dataset, split = prepared.dataset, prepared.split
    describe_data(console, dataset)
    for note in prepared.plan.family.notes_on(dataset.catalogue, dataset.ratings):
        console.print(f"  {note}")
    facts = split.facts
    sealed = (
        f"{facts['n_test']:,} test ratings sealed ({facts['method']})"
        if split.test is not None
        else "no test set (split none)"
    )
    settings = prepared.settings
    console.print(
        f"{prepared.plan.name}: {facts['n_train']:,} training ratings in "
        f"{settings.n_folds} folds, {sealed}; {settings.n_trials} trials, "
        f"{settings.jobs} worker{'s' if settings.jobs > 1 else ''}"
    )


def _print_result(record: "StudyRecord") -> None:
    best, final = record.best, record.final or {}
    assert best is not None
    counts = {
        state: sum(trial.state == state for trial in record.trials)
        for state in ("complete", "pruned", "failed")
    }
    typer.echo(", ".join(f"{n} {state}" for state, n in counts.items() if n))
    typer.echo(f"Best:    trial {best.number}, RMSE {best.value:.4f} over the folds")
    for key, value in best.params.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        typer.echo(f"           {key} = {shown}")
    for model in final.get("models", ()):
        rmse = model["metrics"]["rmse"]
        typer.echo(
            f"Test:    RMSE {rmse['value']:.4f} "
            f"[{rmse['low']:.4f}, {rmse['high']:.4f}]  {model['name']}"
        )
