"""The front door: tune a family, run an experiment, load either again, compare.

The command line calls exactly this.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.carry_out import carry_out
from harness.data.dataset import Dataset
from harness.data.load import FRAME, load_frame
from harness.data.options import ReadOptions
from harness.errors import DataError, UnknownNameError
from harness.experiment.forecast import Forecast, forecast_experiment
from harness.experiment.run import (
    DEFAULT_STORAGE,
    PreparedExperiment,
    RunSettings,
    prepare_experiment,
    prepare_study,
    study_spec,
)
from harness.experiment.spec import ExperimentSpec
from harness.experiment.store import read_named
from harness.objects import Best, Comparison, Experiment, Picture, Study
from harness.plain import Params
from harness.progress import ConsoleProgress, NoProgress, SearchProgress
from harness.search.executors import choose_executor
from harness.search.records import WINDOW
from harness.search.space import read_settings
from harness.tracking.location import Location, locate

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Best",
    "Comparison",
    "Experiment",
    "Picture",
    "Study",
    "compare",
    "forecast_run",
    "forecast_tune",
    "load",
    "run",
    "tune",
]


def tune(  # noqa: PLR0913 - each is an option of a search
    family: str,
    data: "str | Path | pd.DataFrame | Dataset" = "ott",
    *,
    trials: int = 100,
    seconds: float | None = None,
    patience: int | None = None,
    space: str | None = None,
    sampler: str = "tpe",
    pruner: str = "race",
    window: int = WINDOW,
    metric: str | Sequence[str] = "rmse",
    require: str | Sequence[str] = (),
    enqueue: str | Path | Params | Sequence[Params] = (),
    warm_start: str | None = None,
    fidelity: str | int = "auto",
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
    patience : int, optional
        Stop when so many trials in a row have improved the best by no more than the margin
        (0.125 % of the scale's width, 0.005 on 1 to 5, where the objective is an error).
    space : str, optional
        Search space: a TOML file or a name; else that of the family.
    sampler, pruner : str
        See ``harness study --help``.
    window : int, default 8
        Trials under way at a time. More keep more workers busy, and show the sampler less.
    metric : str or sequence of str, default "rmse"
        What the search improves: a measure of a fold, such as ``"ndcg_at_10"``, or
        ``"my_metrics.py:name"``, a function of true and predicted ratings. Up to three,
        such as ``["rmse", "latency_p95_ms"]``, give a Pareto front
        (``results.fronts``): the first is judged on the test set.
    require : str or sequence of str, optional
        What a trial must meet to be the best: ``"latency_p95_ms <= 8"``.
    enqueue : mapping, sequence of mappings, str or Path, optional
        Settings that are tried right after trial 0, or a JSON file of them. What they do
        not name is chosen by the sampler.
    warm_start : str, optional
        Another study of the same family in the same storage: its five best settings are
        tried next.
    fidelity : str or int, default "auto"
        Race trials on samples of the users first, a sixteenth and a quarter: ``"auto"``
        above two million training ratings, ``"full"`` never, a number above so many. One
        fold of 100,000 ratings or more replaces all, unless ``"full"`` is asked for.
    folds : int, default 5
        Folds of the training part, the same for every trial.
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
        patience=patience,
        space=space,
        sampler=sampler,
        pruner=pruner,
        window=window,
        metric=metric,
        require=require,
        enqueue=enqueue,
        warm_start=warm_start,
        fidelity=fidelity,
        folds=folds,
        split=split,
        test_share=test_share,
        seed=seed,
        name=name,
        jobs=jobs,
        executor=executor,
        storage=storage,
    )
    done = carry_out(
        prepared,
        location or locate(),
        Path(reports),
        _progress(progress),
        only=None,
    )
    return Study(**vars(done))


def _as_tuple(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


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
    changes: Mapping[str, object] | None = None,
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
    return carry_out(
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
    function: Callable[..., Any], first: tuple[Any, ...], options: Mapping[str, object]
) -> Mapping[str, Any]:
    """Complete options by the defaults of the function that declares them."""
    # What a function takes as **reading is given under that name.
    bound = inspect.signature(function).bind(*first, **options)
    bound.apply_defaults()
    return dict([*bound.arguments.items()][len(first) :])


_CALLED_ELSEWHERE = {
    "n_trials": "trials",
    "timeout": "seconds",
    "n_jobs": "jobs",
    "study_name": "name",
    "random_state": "seed",
    "objective": "metric",
    "tracking_uri": "location",
    "experiment": "location",
}
"""What other libraries call parameters of `tune`."""


def _check_names(reading: Iterable[str]) -> None:
    """Refuse what is neither a parameter of `tune` nor an option of reading."""
    options = [field.name for field in fields(ReadOptions)]
    for name in reading:
        if name not in options:
            known = [*inspect.signature(tune).parameters, *options]
            known.remove("reading")
            meant = _CALLED_ELSEWHERE.get(name)
            raise UnknownNameError(
                "parameter of harness.tune", name, known, [meant] if meant else ()
            )


_SEARCH = ("folds", "sampler", "pruner", "window", "metric", "fidelity")
"""Parameters of `tune` that are keys of the table ``[search]``, too."""


def _prepared_study(
    family: str, data: Any, reading: Mapping[str, object], **given: Any
) -> PreparedExperiment:
    """Prepare what `tune` was asked for."""
    _check_names(reading)
    spec = study_spec(
        family,
        entry={
            "space": given["space"],
            "enqueue": _settings_of(given["enqueue"]),
            "warm_start": given["warm_start"],
        },
        n_trials=given["trials"],
        seconds=given["seconds"],
        patience=given["patience"],
        seed=given["seed"],
        data={"source": _source(data), **reading},
        search={key: given[key] for key in _SEARCH}
        | ({"require": _as_tuple(required)} if (required := given["require"]) else {}),
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
    return lambda spec: load_frame(data, spec.data.read_options())


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
