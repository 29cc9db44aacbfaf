"""The front door: tune a family, run an experiment, load either again, compare.

The command line calls exactly this.
"""

import inspect
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.dataset import Dataset
from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.data.readers.table import FORM
from harness.errors import (
    DataError,
    SearchFailedError,
    StudyError,
    UnknownNameError,
)
from harness.experiment.across import AcrossDataSets, compare_experiments
from harness.experiment.convergence import unfinished
from harness.experiment.export import Export, TableFormat, export_judged
from harness.experiment.forecast import (
    Forecast,
    forecast_experiment,
    forecast_where_large,
)
from harness.experiment.judge import JudgedExperiment, judge_experiment
from harness.experiment.refit import refit_best
from harness.experiment.results import ExperimentRecord
from harness.experiment.run import (
    DEFAULT_STORAGE,
    PreparedExperiment,
    RunSettings,
    prepare_experiment,
    prepare_repeat,
    prepare_study,
    study_spec,
)
from harness.experiment.spec import ExperimentSpec
from harness.experiment.store import keep_split, read_experiment, read_named
from harness.models.base import Recommender
from harness.plain import Params, ParamValue
from harness.progress import ConsoleProgress, Listeners, NoProgress, SearchProgress
from harness.report.figures.ranks import draw_ranks
from harness.report.verdict import verdict_lines
from harness.report.write import write_report
from harness.search.executors import choose_executor
from harness.search.records import StudyRecord, why_exhausted
from harness.search.space import read_settings
from harness.serving.experiment_log import log_report, log_runs
from harness.tracking.live import MLflowTracker
from harness.tracking.location import Location, locate
from harness.tracking.store import require_apart

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Best",
    "Comparison",
    "Experiment",
    "Picture",
    "Study",
    "compare",
    "finish",
    "forecast_run",
    "forecast_tune",
    "load",
    "run",
    "tune",
]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best trial of a search.

    Parameters
    ----------
    family : str
        Name of the family.
    params : dict
        All its hyperparameters, those found on the way, fixed, or left to the family
        included: ``family(**params)`` is the model.
    score : float
        Mean over the folds of the objective; RMSE in the unit of the ratings by default.
    trial : int
        Number of the trial in its Optuna study. ``study.best_params`` of Optuna lacks
        what was not sampled, such as ``n_epochs``.
    """

    family: str
    params: dict[str, ParamValue]
    score: float
    trial: int


@dataclass(frozen=True)
class Picture:
    """A figure of a report, which notebooks show.

    Parameters
    ----------
    name : str
        Name of its file.
    png : bytes
        The file.
    """

    name: str
    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path) -> Path:
        """Write it to a file.

        Parameters
        ----------
        path : str or Path
            Where.

        Returns
        -------
        Path
            The same.
        """
        Path(path).write_bytes(self.png)
        return Path(path)


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """An experiment that was run or loaded: its results, trials, report and model.

    Parameters
    ----------
    results : ExperimentRecord
        Everything that was measured, and the decision; typed and frozen.
    storage : str
        URL or path of its Optuna storage.
    report_path : Path or None
        The report that was written when it ran.
    """

    results: ExperimentRecord
    storage: str = field(repr=False)
    report_path: Path | None = None
    _models: dict[str, Recommender] = field(default_factory=dict, repr=False)
    _dataset: Dataset | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Its name in the storage."""
        return self.results.name

    @property
    def winner(self) -> str | None:
        """Key of the family that the decision rule chooses; None before judging.

        Of a study, its family.
        """
        if self.results.decision is not None:
            return self.results.decision.winner
        return next(iter(self.results.studies)) if self.results.is_study else None

    @property
    def best(self) -> Best:
        """The best trial of the family that was chosen: all parameters, and score.

        Raises
        ------
        StudyError
            If no family was chosen yet, or it has no complete trial.
        """
        study = self._chosen_study()
        trial = study.best
        assert trial is not None
        assert trial.value is not None
        return Best(
            family=study.family,
            params={**study.settings.defaults, **trial.params},
            score=trial.value,
            trial=trial.number,
        )

    @property
    def trials(self) -> "pd.DataFrame":
        """All trials, a row each: family, number, state, value, measures, times, settings."""
        import pandas as pd

        trials = [
            (candidate, trial)
            for candidate, study in self.results.studies.items()
            for trial in study.trials
        ]
        rows = [
            {
                "family": candidate,
                "number": trial.number,
                "state": trial.state,
                "value": math.nan if trial.value is None else trial.value,
                **{k: value for k, value in trial.metrics.items() if k != "rmse"},
                "started": trial.started,
                "ended": trial.ended,
                "error": trial.error,
            }
            for candidate, trial in trials
        ]
        frame = pd.DataFrame(rows)
        for name in dict.fromkeys(name for _, trial in trials for name in trial.params):
            # Families have hyperparameters of their own: 20 must not become 20.0 where
            # another one has none.
            settings: Any = [trial.params.get(name) for _, trial in trials]
            frame[f"param_{name}"] = pd.array(settings)
        return frame

    @property
    def model(self) -> Recommender:
        """The chosen model, fitted on the whole training part and ready to predict.

        Raises
        ------
        StudyError
            If no family was chosen yet, or its data is no longer what it was.
        """
        winner, study = self.winner, self._chosen_study()
        assert winner is not None
        if winner not in self._models:
            refitted = refit_best(study, self._load)
            self._models[winner] = refitted.model
        return self._models[winner]

    def report(self, folder: str | Path | None = None) -> Path:
        """Write the report, without training anything.

        Parameters
        ----------
        folder : str or Path, optional
            Where; else ``reports/NAME``.

        Returns
        -------
        Path
            ``report.md``; ``report.html`` and ``report.json`` lie beside it.
        """
        return write_report(self.results, Path(folder or Path("reports") / self.name))

    def export(
        self,
        folder: str | Path,
        *,
        table_format: TableFormat = "csv",
        on_step: Callable[[str], None] = lambda _: None,
    ) -> Export:
        """Write split, predictions and errors of each user, to be checked by other tools.

        All tuned models and baselines are fitted again with the seeds they were judged
        with.

        Parameters
        ----------
        folder : str or Path
            Folder to write; must not exist yet.
        table_format : {"csv", "parquet"}, default "csv"
            Format of the tables.
        on_step : callable, optional
            Is told what is being done.

        Returns
        -------
        Export
            What was fitted again, with its RMSE and that of the report: the content of
            ``export.json``.

        Raises
        ------
        HarnessError
            If nothing was judged yet, the data is no longer what it was, or the folder
            cannot be written.
        """
        return export_judged(
            self.results,
            self._load,
            Path(folder),
            table_format=table_format,
            on_step=on_step,
        )

    def figures(self) -> dict[str, Picture]:
        """Draw the figures of the report.

        Returns
        -------
        dict of str to Picture
            By name: ``figures()["histories"]`` shows itself in a notebook.
        """
        with tempfile.TemporaryDirectory() as folder:
            report = write_report(self.results, Path(folder) / "report")
            return {
                path.stem: Picture(path.name, path.read_bytes())
                for path in sorted(report.parent.glob("*.png"))
            }

    def _chosen_study(self) -> StudyRecord:
        winner = self.winner
        if winner is None or self.results.studies[winner].best is None:
            raise StudyError(
                f"{self.name!r} has chosen no model yet: it has to be run to its end."
            )
        return self.results.studies[winner]

    def _load(self) -> Dataset:
        if self._dataset is not None:
            return self._dataset
        if self.results.dataset.source == FRAME:
            raise StudyError(
                f"{self.name!r} was made from a data frame, which is not kept: call "
                "tune() again with the same data."
            )
        from harness.data.load import load_again

        return load_again(self.results.dataset)

    def __repr__(self) -> str:
        """Name it, without a storage's password or all its results."""
        return f"{type(self).__name__}({self.name!r})"

    def __str__(self) -> str:
        """Say the verdict in a few lines."""
        return "\n".join([self.name, *verdict_lines(self.results)])


class Study(Experiment):
    """An experiment with one family."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Studies and experiments side by side, which notebooks show as a table.

    Parameters
    ----------
    results : tuple of ExperimentRecord
        What each of them has found.
    """

    results: tuple[ExperimentRecord, ...] = field(repr=False)

    def to_frame(self) -> "pd.DataFrame":
        """Lay their models side by side.

        Returns
        -------
        DataFrame
            A row for each tuned model and baseline, best first within each experiment:
            ``experiment``, ``model``, ``chosen``, and all measures.
        """
        import pandas as pd

        rows = []
        for record in self.results:
            winner = None if record.decision is None else record.decision.winner
            models = [m for m in record.models if m.role in {"tuned", "baseline"}]
            for model in sorted(models, key=lambda model: model.rmse.value):
                is_chosen = model.candidate is not None and model.candidate == winner
                rows.append(
                    {
                        "experiment": record.name,
                        "model": model.candidate or model.name,
                        "chosen": is_chosen,
                        **{key: found.value for key, found in model.measures.items()},
                    }
                )
        return pd.DataFrame(rows)

    @cached_property
    def across(self) -> AcrossDataSets:
        """Ranks over data sets: Friedman's and Nemenyi's tests, counts, and sentences.

        Raises
        ------
        StudyError
            If it is not about two experiments or more, judged on data sets of their own,
            with two families or more in common.
        """
        return compare_experiments(self.results)

    def figure(self) -> Picture:
        """Draw the critical-difference figure.

        Returns
        -------
        Picture
            Mean ranks, and bars that join families which are not told apart.

        Raises
        ------
        StudyError
            As `across`.
        """
        found = self.across.comparison
        with tempfile.TemporaryDirectory() as folder:
            path = draw_ranks(found, Path(folder) / "ranks.png")
            return Picture(path.name, path.read_bytes())

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(index=False)

    def __str__(self) -> str:
        """Write the table."""
        return self.to_frame().to_string(index=False)


def tune(  # noqa: PLR0913 - each is an option of a search
    family: str,
    data: "str | Path | pd.DataFrame | Dataset" = "ott",
    *,
    trials: int = 100,
    seconds: float | None = None,
    space: str | None = None,
    sampler: str = "tpe",
    pruner: str = "race",
    metric: str = "rmse",
    enqueue: str | Path | Params | Sequence[Params] = (),
    warm_start: str | None = None,
    folds: int = 5,
    split: str = "random",
    test_share: float = 0.2,
    seed: int = 0,
    name: str | None = None,
    jobs: int | None = None,
    executor: str | None = None,
    storage: str = DEFAULT_STORAGE,
    location: Location | None = None,
    reports: str | Path = "reports",
    progress: SearchProgress | bool = True,
    **reading: Any,
) -> Study:
    """Tune one family: search, judge on the sealed test set, report.

    The same call continues a study that was stopped.

    Parameters
    ----------
    family : str
        Name of the family (see ``harness families``), or a class in a file of your own:
        ``"my_model.py:MyModel"``.
    data : str, Path, DataFrame or Dataset, default "ott"
        Ratings: ``"ott"`` (embedded, simulated), a path, or a table with columns for
        user, item, rating, and possibly time.
    trials : int, default 100
        Complete or pruned trials in all, earlier sessions included.
    seconds : float, optional
        Stop starting trials after this many seconds.
    space : str, optional
        Search space: a TOML file or a name; else that of the family.
    sampler, pruner : str
        See ``harness study --help``.
    metric : str, default "rmse"
        What the search improves: a measure of a fold, such as ``"ndcg_at_10"``, or
        ``"my_metrics.py:name"``, a function of true and predicted ratings.
    enqueue : mapping, sequence of mappings, str or Path, optional
        Settings that are tried right after trial 0, or a JSON file of them. What they do
        not name is chosen by the sampler.
    warm_start : str, optional
        Another study of the same family in the same storage: its five best settings are
        tried next.
    folds : int, default 5
        Folds of the training part that every trial sees.
    split : str, default "random"
        How the test set is split off first: random, temporal, user-temporal, cold-items,
        cold-users, predefined, or none.
    test_share : float, default 0.2
        Share that becomes the test set.
    seed : int, default 0
        Seed of split, folds, sampler and models.
    name : str, optional
        Name of the study; else family and data set.
    jobs : int, optional
        Worker processes; else one for each core.
    executor : str, optional
        Where folds are evaluated: ``"inline"`` (in this process), ``"processes"``, or
        on a Dask cluster, ``"dask=tcp://HOST:8786"``; else as the number of jobs asks
        for. Results do not depend on it.
    storage : str, default "optuna.log"
        Optuna storage: a journal file, or a URL.
    location : Location, optional
        Where MLflow keeps the runs; else as the environment says, else ``mlflow.db``.
    reports : str or Path, default "reports"
        Folder of the folder of the report.
    progress : bool or SearchProgress, default True
        Show how it goes, on a terminal and in a notebook.
    **reading
        How to read the data: `user_column`, `item_column`, `rating_column`,
        `timestamp_column`, `scale`, `catalogue` and the other options of ``harness
        study``.

    Returns
    -------
    Study
        With `best`, `trials`, `results`, `model`, `report()` and `figures()`.

    Raises
    ------
    HarnessError
        If a name, the data or an option is not right, or the search fails.

    Examples
    --------
    >>> study = tune("svd", trials=20)  # doctest: +SKIP
    >>> study.best.params, study.model.recommend(0, 10)  # doctest: +SKIP
    """
    prepared = _prepared_study(
        family,
        data,
        reading,
        trials=trials,
        seconds=seconds,
        space=space,
        sampler=sampler,
        pruner=pruner,
        metric=metric,
        enqueue=enqueue,
        warm_start=warm_start,
        folds=folds,
        split=split,
        test_share=test_share,
        seed=seed,
        name=name,
        jobs=jobs,
        executor=executor,
        storage=storage,
    )
    done = _carry_out(
        prepared,
        location or locate(),
        Path(reports),
        _progress(progress),
        only=None,
    )
    return Study(**vars(done))


def _settings_of(
    enqueue: str | Path | Params | Sequence[Params],
) -> Sequence[Params]:
    if isinstance(enqueue, str | Path):
        return read_settings(Path(enqueue))
    return (enqueue,) if isinstance(enqueue, Mapping) else enqueue


def run(  # noqa: PLR0913 - each is an option of an experiment
    file: str | Path,
    data: "str | Path | pd.DataFrame | Dataset | None" = None,
    *,
    only: str | None = None,
    changes: Mapping[str, Any] | None = None,
    repeats: int | None = None,
    name: str | None = None,
    jobs: int | None = None,
    executor: str | None = None,
    storage: str = DEFAULT_STORAGE,
    location: Location | None = None,
    reports: str | Path = "reports",
    progress: SearchProgress | bool = True,
) -> Experiment:
    """Run an experiment: tune all its families, judge them on one sealed test set, decide.

    The same call continues what was stopped.

    Parameters
    ----------
    file : str or Path
        Experiment file, or the name of a shipped one: ``"quick"``.
    data : str, Path, DataFrame or Dataset, optional
        Ratings; else what the file names.
    only : str, optional
        Search only this family; the test set stays sealed until all are done.
    changes : mapping, optional
        What to do otherwise than the file says, as the file would say it:
        ``{"budget": {"trials": 20}}``.
    repeats : int, optional
        Search and judge on so many splits of the same ratings; else as the file says, or
        one. ``results.repeated`` has what they say together.
    name, jobs, executor, storage, location, reports, progress
        As for `tune`.

    Returns
    -------
    Experiment
        With `best`, `trials`, `results`, `model`, `report()` and `figures()`.

    Raises
    ------
    HarnessError
        If the file, a name or the data is not right, or no family can be searched.
    """
    prepared = _prepared_run(
        file,
        data,
        only=only,
        changes=changes,
        repeats=repeats,
        settings=_settings(name, storage, jobs, executor),
    )
    return _carry_out(
        prepared,
        location or locate(),
        Path(reports),
        _progress(progress),
        only=only,
    )


def forecast_tune(
    family: str,
    data: "str | Path | pd.DataFrame | Dataset" = "ott",
    **options: Any,
) -> Forecast:
    """Forecast how long `tune` would take, and how much memory, and write nothing.

    Parameters
    ----------
    family : str
        As for `tune`.
    data : str, Path, DataFrame or Dataset, default "ott"
        As for `tune`.
    **options
        The other parameters of `tune`.

    Returns
    -------
    Forecast
        From a probe of the family on samples of the users; ``require_room()`` raises
        where the memory that is free is less than what it takes.

    Raises
    ------
    HarnessError
        As `tune`; and if folds would be evaluated on a cluster.
    """
    given = _given(tune, (family, data), options)
    return forecast_experiment(_prepared_study(family, data, **given))


def forecast_run(
    file: str | Path,
    data: "str | Path | pd.DataFrame | Dataset | None" = None,
    **options: Any,
) -> Forecast:
    """Forecast how long `run` would take, and how much memory, and write nothing.

    Parameters
    ----------
    file : str or Path
        As for `run`.
    data : str, Path, DataFrame or Dataset, optional
        As for `run`.
    **options
        The other parameters of `run`.

    Returns
    -------
    Forecast
        As of `forecast_tune`, for all families.

    Raises
    ------
    HarnessError
        As `run`; and if folds would be evaluated on a cluster.
    """
    given = _given(run, (file, data), options)
    settings = [given[key] for key in ("name", "storage", "jobs", "executor")]
    prepared = _prepared_run(
        file,
        data,
        only=given["only"],
        changes=given["changes"],
        repeats=given["repeats"],
        settings=_settings(*settings),
    )
    return forecast_experiment(prepared, given["only"])


def _given(
    function: Callable[..., Any], first: tuple[Any, ...], options: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Complete options by the defaults of the function that declares them."""
    # What a function takes as **reading is given under that name.
    bound = inspect.signature(function).bind(*first, **options)
    bound.apply_defaults()
    return dict([*bound.arguments.items()][len(first) :])


def _prepared_study(
    family: str, data: Any, reading: Mapping[str, Any], **given: Any
) -> PreparedExperiment:
    """Prepare what `tune` was asked for."""
    spec = study_spec(
        family,
        entry={
            "space": given["space"],
            "enqueue": _settings_of(given["enqueue"]),
            "warm_start": given["warm_start"],
        },
        n_trials=given["trials"],
        seconds=given["seconds"],
        seed=given["seed"],
        data={"source": _source(data), **reading},
        search={key: given[key] for key in ("folds", "sampler", "pruner", "metric")},
        split={"method": given["split"], "test_share": given["test_share"]},
    )
    settings = _settings(
        given["name"], given["storage"], given["jobs"], given["executor"]
    )
    if isinstance(data, Dataset) and reading:
        raise DataError(
            f"A Dataset is read already, but got {', '.join(sorted(reading))}: leave that "
            "out, or give the path it was read from."
        )
    return prepare_study(spec, settings, load=_loader(data))


def _prepared_run(
    file: str | Path,
    data: Any,
    *,
    only: str | None,
    changes: Mapping[str, Any] | None,
    repeats: int | None,
    settings: RunSettings,
) -> PreparedExperiment:
    """Prepare what `run` was asked for."""
    changes = dict(changes or {})
    if repeats is not None:
        changes["split"] = {**changes.get("split", {}), "repeats": repeats}
    load = None
    if data is not None:
        load = _loader(data)
        changes["data"] = {**changes.get("data", {}), "source": _source(data)}
    prepared = prepare_experiment(str(file), settings, changes=changes, load=load)
    if only is not None and only not in prepared.plans:
        raise UnknownNameError("family in this experiment", only, prepared.plans)
    return prepared


def load(name: str, storage: str = DEFAULT_STORAGE) -> Experiment:
    """Load a study or an experiment from its storage.

    Parameters
    ----------
    name : str
        Its name, or that of a study within an experiment.
    storage : str, default "optuna.log"
        Optuna storage: a journal file, or a URL.

    Returns
    -------
    Study or Experiment
        As it was left.

    Raises
    ------
    UnknownNameError
        If the storage has none of that name.
    """
    record = read_named(storage, name)
    kind = Study if record.is_study else Experiment
    return kind(results=record, storage=storage)


def compare(*names: str, storage: str = DEFAULT_STORAGE) -> Comparison:
    """Lay the families of studies and experiments side by side.

    Parameters
    ----------
    *names : str
        Their names.
    storage : str, default "optuna.log"
        Optuna storage of all of them.

    Returns
    -------
    Comparison
        With `to_frame()`; and of experiments on several data sets with `across` and
        `figure()`.

    Raises
    ------
    UnknownNameError
        If the storage has no such study or experiment.

    Examples
    --------
    >>> compare("club").to_frame()[["model", "rmse"]]  # doctest: +SKIP
    >>> print(compare("films", "books", "music").across)  # doctest: +SKIP
    """
    return Comparison(results=tuple(read_named(storage, name) for name in names))


def _carry_out(
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
            progress.warn(problem)
        keep_split(storage, name, number)
    if judged is None:
        return Experiment(results=read_experiment(storage, name), storage=storage)
    if prepared.spec.split.repeats > 1:
        judged = replace(judged, record=read_experiment(storage, name))
    with progress:
        return finish(
            judged,
            storage,
            location,
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
    prepared.begin()
    chosen = [only] if only else list(prepared.plans)
    with progress:
        progress.begin(prepared, chosen)
        for candidate in chosen:
            _search(prepared, candidate, progress, location)
        record = read_experiment(storage, prepared.name)
        # Without `only` all have just had what they get.
        if only is not None and unfinished(record):
            return None
        if prepared.is_study and record.studies[chosen[0]].best is None:
            return None
        progress.step("judging")
        return judge_experiment(prepared, on_step=progress.step)


def _search(
    prepared: PreparedExperiment,
    candidate: str,
    progress: SearchProgress,
    location: Location,
) -> None:
    # One after the other: each has the runs of one study.
    with MLflowTracker(location, warn=progress.warn) as tracker:
        listener = progress.listener(candidate)
        listeners = Listeners(*(each for each in (listener, tracker) if each))
        try:
            study = prepared.search(candidate, listeners)
            if (reason := why_exhausted(study)) is not None:
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
        progress.warn(problem)
    return Experiment(
        results=record,
        storage=storage,
        report_path=report,
        _models=dict(judged.models),
        _dataset=dataset,
    )


FRAME = "<data frame>"
"""Source of data that was given as a table."""


def _source(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else FRAME


def _loader(data: Any) -> Callable[[ExperimentSpec], Dataset] | None:
    """Give the data themselves where they are no path."""
    if isinstance(data, str | Path):
        return None
    if isinstance(data, Dataset):
        return lambda _: data
    if not hasattr(data, "to_parquet"):
        raise DataError(
            "The data must be a path, a pandas DataFrame or a Dataset, but is a "
            f"{type(data).__name__}."
        )
    return lambda spec: _from_frame(data, spec.data.read_options())


def _from_frame(frame: "pd.DataFrame", options: ReadOptions) -> Dataset:
    """Read a table as a file of it would be read, with all the same checks."""
    import pyarrow as pa
    from pyarrow import parquet

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data-frame.parquet"
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            form = {**(table.schema.metadata or {}), FORM: b"data frame"}
            parquet.write_table(table.replace_schema_metadata(form), path)
        except (TypeError, ValueError) as error:  # Arrow's are both
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{FRAME}: every column needs a name of its own and one type: {reason}"
            ) from error
        try:
            dataset = load_dataset(str(path), options)
        except DataError as error:
            # The file is none of the user's, and gone.
            raise DataError(str(error).replace(str(path), FRAME)) from error
        return replace(dataset, name="frame", source=FRAME)


def _settings(
    name: str | None, storage: str, jobs: int | None, executor: str | None
) -> RunSettings:
    """Find out that an executor is there before any data is read."""
    choice = choose_executor(executor, jobs=jobs)
    return RunSettings(name=name, storage=storage, jobs=choice.jobs, executor=executor)


def _progress(asked: SearchProgress | bool) -> SearchProgress:  # noqa: FBT001
    if isinstance(asked, SearchProgress):
        return asked
    return ConsoleProgress() if asked else NoProgress()
