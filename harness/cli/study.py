"""``harness study``: tune one family."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import (
    complete_metrics,
    complete_names,
    complete_spaces,
    complete_studied_families,
)
from harness.cli.options import DataOptions, StoreOptions, WorkerOptions, spread_options
from harness.cli.terminal import print_end, print_forecast

if TYPE_CHECKING:
    from harness.evaluation.measures import Measure
    from harness.evaluation.results import ModelResult
    from harness.objects import Study

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
            "Total number of complete or pruned trials, with those of earlier sessions.",
            min=1,
        ),
    ] = 100
    timeout: Annotated[
        float | None,
        _option(
            "--timeout",
            "Stop starting trials after this many seconds.",
            min=0,
            metavar="SECONDS",
        ),
    ] = None
    patience: Annotated[
        int | None,
        _option(
            "--patience",
            "Stop after this many trials in a row that gained no more than the margin.",
            min=1,
            metavar="TRIALS",
        ),
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
            "Search space: a TOML file, or the name of one.",
            metavar="FILE|NAME",
            show_default="./studies/FAMILY.toml, or the shipped one",
            autocompletion=complete_spaces,
        ),
    ] = None
    sampler: Annotated[
        str,
        _option(
            "--sampler",
            "How Optuna chooses settings.",
            metavar="tpe|gp|auto|nsgaii|cmaes|qmc|random|grid",
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
    window: Annotated[
        int,
        _option(
            "--window",
            "Number of trials in progress at a time. It keeps at most this many times "
            "--folds workers busy (of large data, this many); a larger window shows the sampler less. It is recorded, "
            "and decides which trials are run.",
            min=1,
        ),
    ] = 8
    metric: Annotated[
        str,
        _option(
            "--metric",
            "Measure to optimise: rmse, mae, user_rmse, within_half_star, ndcg_at_10, "
            "recall_at_10 or another measure of a fold, or a function of your own. Up to "
            "three with commas, as in rmse,latency_p95_ms, give a Pareto front: the first is "
            "judged on the test set, the others may be costs, too (see --require).",
            metavar="NAME|FILE.py:FUNCTION[,NAME...]",
            autocompletion=complete_metrics,
        ),
    ] = "rmse"
    require: Annotated[
        list[str] | None,
        _option(
            "--require",
            "What a trial must meet to be the best, such as 'latency_p95_ms <= 8': a "
            "measure of a fold, latency_p50_ms, latency_p95_ms, fit_seconds or "
            "model_bytes. Repeatable.",
            metavar="'MEASURE <= NUMBER'",
        ),
    ] = None
    enqueue: Annotated[
        Path | None,
        _option(
            "--enqueue",
            "JSON file of settings to try right after trial 0: an object, or a list of "
            "objects.",
            metavar="FILE",
        ),
    ] = None
    warm_start: Annotated[
        str | None,
        _option(
            "--warm-start",
            "Then try the five best settings of another study of this family, from the "
            "same storage.",
            metavar="STUDY",
            autocompletion=complete_names,
        ),
    ] = None
    fidelity: Annotated[
        str,
        _option(
            "--fidelity",
            "Race trials on samples of users first: auto (above 2 million training "
            "ratings; one fold replaces all where it is precise enough), full (never, all "
            "folds), or above this many training ratings.",
            metavar="auto|full|RATINGS",
        ),
    ] = "auto"
    folds: Annotated[
        int,
        _option("--folds", "Number of cross-validation folds.", min=2),
    ] = 5
    split: Annotated[
        str,
        _option(
            "--split",
            "How the test set is split off, before anything else: random, temporal, "
            "user-temporal, cold-items, cold-users, predefined, or none (no test set).",
            metavar="METHOD",
        ),
    ] = "random"
    test_share: Annotated[
        float,
        _option("--test-share", "Share of the ratings that becomes the test set."),
    ] = 0.2
    name: Annotated[
        str | None,
        _option(
            "--name",
            "Name of the study. One that exists is continued.",
            show_default="FAMILY-DATA",
        ),
    ] = None

    def given(self) -> Mapping[str, Any]:
        """Name them as `tune` does."""
        options = dict(vars(self))
        lists = {key: options.pop(key) or () for key in ("enqueue", "require")}
        return {"seconds": options.pop("timeout"), **lists, **options}


@spread_options
def study(
    *,
    family: Annotated[
        str,
        typer.Argument(
            metavar="FAMILY",
            help="Family of models: a name from `harness families`, or a class in a file of "
            "your own, my_model.py:MyModel.",
            autocompletion=complete_studied_families,
        ),
    ],
    search: SearchOptions,
    workers: WorkerOptions,
    data: DataOptions,
    stores: StoreOptions,
    reports: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for reports.")
    ] = Path("reports"),
) -> None:
    """Tune one family of models: search, judge on the sealed test set, report.

    Every trial goes into the Optuna storage and becomes an MLflow run. To continue a study
    that was stopped, in whatever way, repeat the command.

    Examples
    --------
      harness study svd --trials 100

      harness study svd --data ml-100k --split temporal

      harness study svd --data ratings.csv --scale 1:10 --space my-svd.toml

      harness study hybrid --metric ndcg_at_10

      harness study svd --metric rmse,latency_p95_ms

      harness study cf --require 'latency_p95_ms <= 8' --require 'model_bytes <= 5e6'

      harness study cf --data ratings.csv --dry-run
    """
    from harness.models.families import require_family

    # Before the imports, which take a second.
    require_family(family)
    workers.prepare()
    from harness.api import forecast_tune, tune
    from harness.progress import ConsoleProgress
    from harness.search.records import why_none_is_best

    options: Mapping[str, Any] = {
        **search.given(),
        "jobs": workers.jobs,
        "executor": workers.executor,
        "storage": stores.storage,
        **data.given(),
    }
    if workers.dry_run:
        print_forecast(forecast_tune(family, data.data, **options))
        return
    progress = ConsoleProgress()
    try:
        done = tune(
            family,
            data.data,
            location=stores.location(),
            reports=reports,
            progress=progress,
            **options,
        )
    except KeyboardInterrupt:
        progress.warn(
            "Stopped. What was done is kept: the same command continues the study."
        )
        raise typer.Exit(130) from None
    if done.report_path is None:
        if not any(map(why_none_is_best, done.results.studies.values())):
            # Else the reason was given at the end of the search.
            progress.warn("No trial was completed: there is nothing to judge.")
        raise typer.Exit(1)
    _print_result(done)
    print_end(done, stores)


def _print_result(done: "Study") -> None:
    from harness.evaluation.objectives import measure_of
    from harness.experiment.front import describe_pick

    record = done.results
    [study] = record.studies.values()
    best = study.best
    assert best is not None
    counts = {
        state: sum(trial.state == state for trial in study.trials)
        for state in ("complete", "pruned", "failed")
    }
    refused = sum(not trial.is_feasible for trial in study.trials)
    counts["of them infeasible"] = refused
    typer.echo(", ".join(f"{n} {state}" for state, n in counts.items() if n))
    objective = measure_of(study.metric)
    scores = zip(map(measure_of, study.objectives), study.measured(best), strict=True)
    shown = ", ".join(f"{each.label} {each.format(value)}" for each, value in scores)
    typer.echo(f"Best:    trial {best.number}, {shown} {study.settings.scored_on}")
    for front in record.fronts.values():
        typer.echo(f"           {describe_pick(front, record.dataset.scale)}")
    for each in study.settings.require:
        found = measure_of(each.metric).format(best.metrics.get(each.metric.name))
        typer.echo(f"           {each} is met: {found}")
    for key, value in best.params.items():
        setting = f"{value:.4g}" if isinstance(value, float) else value
        typer.echo(f"           {key} = {setting}")
    for model in record.models:
        name = model.role if model.candidate else model.name
        typer.echo(f"Test:    {_scores(model, objective)}  {name}")


def _scores(model: "ModelResult", objective: "Measure") -> str:
    """Write the objective of a model with its interval, and RMSE beside another one."""
    from harness.evaluation.measures import MEASURES

    found = model.measures[objective.name]
    text = f"{objective.label} {objective.format(found.value)}"
    if not math.isnan(found.low):
        text += f" [{objective.format(found.low)}, {objective.format(found.high)}]"
    rmse = MEASURES["rmse"]
    beside = f", {rmse.label} {rmse.format(model.rmse.value)}"
    return text if objective.name == rmse.name else f"{text}{beside}"
