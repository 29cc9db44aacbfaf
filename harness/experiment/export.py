"""What an experiment was judged on, written as tables that other tools can check."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.data.write import new_folder
from harness.errors import StudyError
from harness.evaluation.final import Entry, fit_entry
from harness.evaluation.metrics import rmse
from harness.evaluation.results import ModelResult, Role
from harness.evaluation.splits import Split, SplitFacts
from harness.experiment.refit import split_again
from harness.experiment.results import ExperimentRecord
from harness.experiment.store import find_experiment_of
from harness.models.families import load_family
from harness.plain import Params, to_json
from harness.search.openings import record_opening
from harness.version import code_version

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Export", "ExportedModel", "TableFormat", "export_judged"]

TableFormat = Literal["csv", "parquet"]
Predictions = list[npt.NDArray[np.float32]]

ABOUT = "export.json"
_ROLES: frozenset[Role] = frozenset({"tuned", "baseline"})


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """A model that was fitted again, and where its predictions are.

    Parameters
    ----------
    model : str
        Key of the family in the experiment, or name of the baseline.
    family, role, params
        What it is.
    columns : tuple of str
        Its columns in the predictions: one for each seed, one alone without randomness.
    rmse_by_seed : tuple of float
        RMSE of each column.
    rmse : float
        Their mean.
    judged_rmse : float
        What the report says.
    """

    model: str
    family: str
    role: Role
    params: Params
    columns: tuple[str, ...]
    rmse_by_seed: tuple[float, ...]
    rmse: float
    judged_rmse: float

    @property
    def is_as_judged(self) -> bool:
        """Whether the RMSE is the report's; the last digits differ between machines."""
        return abs(self.rmse - self.judged_rmse) < 1e-6


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was exported: the content of ``export.json``.

    Parameters
    ----------
    experiment : str
        Name of the study or experiment.
    data, data_fingerprint : str
        Name and fingerprint of the data set.
    split : SplitFacts
        How the test set was split off.
    code_version, judged_by : str
        Version of harness that has exported, and that has judged.
    opening : int
        Which opening of these test ratings it was, of all that the storage knows.
    models : tuple of ExportedModel
        Tuned models and baselines.
    """

    experiment: str
    data: str
    data_fingerprint: str
    split: SplitFacts
    code_version: str
    judged_by: str
    opening: int
    models: tuple[ExportedModel, ...]


def export_judged(
    record: ExperimentRecord,
    storage: str,
    load_dataset: Callable[[], Dataset],
    folder: Path,
    *,
    table_format: TableFormat = "csv",
    on_step: Callable[[str], None] = lambda _: None,
) -> Export:
    """Fit all judged models again, and write split, predictions and errors to a new folder."""
    if record.judging is None:
        raise StudyError(
            f"{record.name!r} was not judged on a test set, which stays sealed until then: "
            "run it to its end first, with a --split other than none."
        )
    with new_folder(folder) as unfinished:
        dataset = load_dataset()
        split = split_again(next(iter(record.studies.values())), dataset)
        assert split.test is not None, "it was judged on it"
        # Whoever has the test ratings can tune on them: that counts, also if it fails.
        opening = record_opening(storage, find_experiment_of(storage, record.name))
        test = split.test.open()
        judged = [model for model in record.models if model.role in _ROLES]
        predictions, seeds = dict[str, Predictions](), record.judging.seeds
        for model in judged:
            on_step(f"fitting {_name(model)} again")
            predictions[_name(model)] = _predict_again(
                model, split.train, test, dataset, seeds
            )
        models = tuple(_exported(m, predictions[_name(m)], seeds, test) for m in judged)
        on_step("writing the tables")
        (unfinished / "split").mkdir()
        for name, frame in {
            "split/train": _ratings_frame(split.train),
            "split/test": _ratings_frame(test),
            "predictions": _predictions_frame(models, predictions, test),
            "user_errors": _user_errors(predictions, split, test),
        }.items():
            _write(frame, unfinished / f"{name}.{table_format}", table_format)
        export = Export(
            experiment=record.name,
            data=record.dataset.name,
            data_fingerprint=record.dataset.fingerprint,
            split=record.split,
            code_version=code_version(),
            judged_by=record.judging.code_version,
            opening=opening,
            models=models,
        )
        text = json.dumps(to_json(export), indent=2)
        (unfinished / ABOUT).write_text(f"{text}\n", encoding="utf-8")
    return export


def _name(model: ModelResult) -> str:
    return model.candidate or model.name


def _predict_again(
    model: ModelResult,
    train: Ratings,
    test: Ratings,
    dataset: Dataset,
    seeds: tuple[int, ...],
) -> Predictions:
    entry = Entry(
        name=model.name,
        family=load_family(model.family),
        params=model.params,
        role=model.role,
        candidate=model.candidate,
    )
    fitted, _ = fit_entry(entry, train, dataset.catalogue, seeds=seeds)
    return [each.predict(test.users, test.items, test.timestamps) for each in fitted]


def _exported(
    model: ModelResult,
    predicted: Predictions,
    seeds: tuple[int, ...],
    test: Ratings,
) -> ExportedModel:
    name = _name(model)
    many = len(predicted) > 1
    columns = [f"{name}:{s}" for s in seeds] if many else [name]
    by_seed = tuple(rmse(test.values, p) for p in predicted)
    return ExportedModel(
        model=name,
        family=model.family,
        role=model.role,
        params=model.params,
        columns=tuple(columns),
        rmse_by_seed=by_seed,
        rmse=float(np.mean(by_seed)),
        judged_rmse=model.rmse.value,
    )


def _ratings_frame(ratings: Ratings) -> "pd.DataFrame":
    import pandas as pd

    columns = {
        "user_id": ratings.user_ids[ratings.users],
        "item_id": ratings.item_ids[ratings.items],
        "rating": ratings.values,
    }
    if ratings.timestamps is not None:
        columns["timestamp"] = ratings.timestamps
    return pd.DataFrame(columns)


def _predictions_frame(
    models: tuple[ExportedModel, ...],
    predictions: Mapping[str, Predictions],
    test: Ratings,
) -> "pd.DataFrame":
    frame = _ratings_frame(test).drop(columns="timestamp", errors="ignore")
    for model in models:
        for column, values in zip(model.columns, predictions[model.model], strict=True):
            frame[column] = values
    return frame


def _user_errors(
    predictions: Mapping[str, Predictions], split: Split, test: Ratings
) -> "pd.DataFrame":
    """Measure the errors of each user and model: means over the seeds."""
    import pandas as pd

    users, of_rating = np.unique(test.users, return_inverse=True)
    n_test = np.bincount(of_rating)
    n_train = np.bincount(split.train.users, minlength=len(test.user_ids))[users]

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(of_rating, weights=values) / n_test

    tables = []
    for name, predicted in predictions.items():
        errors = [p.astype(np.float64) - test.values for p in predicted]
        columns = {
            "model": name,
            "user_id": test.user_ids[users],
            "n_train": n_train,
            "n_test": n_test,
            "rmse": np.mean([np.sqrt(mean(np.square(e))) for e in errors], axis=0),
            "mae": np.mean([mean(np.abs(e)) for e in errors], axis=0),
            "mean_error": np.mean([mean(e) for e in errors], axis=0),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _write(frame: "pd.DataFrame", path: Path, table_format: TableFormat) -> None:
    if table_format == "parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
