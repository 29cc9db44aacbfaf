"""Fitted recommenders as MLflow models: card, requirements, made and logged."""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.data.dataset import Dataset
from harness.errors import HarnessError
from harness.evaluation.measures import MEASURES
from harness.evaluation.splits import SplitFacts
from harness.evaluation.statistics import Estimate
from harness.experiment.results import ExperimentRecord
from harness.formatting import setting, unit_of_scale
from harness.models.base import Recommender
from harness.models.families import GROUP
from harness.plain import Params
from harness.serving.folder import (
    Manifest,
    ModelFacts,
    PackagedModel,
    TrainedOn,
    write_model,
)
from harness.serving.wheel import WHEEL, build_wheel
from harness.tracking.location import Location
from harness.tracking.projection import describe_standing
from harness.tracking.run_image import dataset_input, logged_dataset, logged_test
from harness.tracking.store import open_store, quieten, unusable
from harness.version import DISTRIBUTION, code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import Model

__all__ = ["Origin", "log_model", "origin_of", "package", "requirements", "save_model"]


_CALLS = """\
## How to call it

Served by `harness serve`, or by `mlflow models serve`, for which the folder `wheels` has the
code; ids are text, and whole numbers are taken as text.

The best titles for users (`n` for each, 10 if it is left out):

```sh
curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\
  -d '{"dataframe_records": [{"user": "USER"}], "params": {"n": 10}}'
```

Predicted ratings, one for each row:

```sh
curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\
  -d '{"dataframe_records": [{"user": "USER", "item": "ITEM"}]}'
```

Unknown users and titles get cold-start answers, never an error: `known` is false where the user, or the title asked for, has no
training ratings. Titles that a user rated in the training part are left out of its
recommendations, and one question gets at most 100,000 of them. `stars` lie within the rating
scale; `score` is what titles are ranked by, the prediction before it is clipped to the scale.
"""


def write_card(facts: ModelFacts, params: Params, *, has_report: bool) -> str:
    """Write the card of a model."""
    return "\n".join(
        [*_introduce(facts), *_list_params(params), *_judge(facts), _CALLS]
    ) + (
        "\nThe report that led to it is in the folder `report`.\n" if has_report else ""
    )


def _introduce(facts: ModelFacts) -> Iterator[str]:
    data, split = facts.dataset, facts.split
    low, high = data.scale
    origin = f"study `{facts.study}`"
    if facts.experiment not in {None, facts.study}:
        origin += f" of the experiment `{facts.experiment}`"
    if facts.trial is not None:
        origin += f", trial {facts.trial}"
    yield f"# {facts.family} on {facts.data_name}"
    yield ""
    yield f"A recommender of the family `{facts.family}`: {origin}."
    yield ""
    if facts.simulated:
        yield "**The ratings are simulated.**"
        yield ""
    amount = f"{facts.n_train:,} of {data.n_ratings:,} ratings"
    if facts.trained_on == "all ratings":
        amount = f"all {facts.n_train:,} ratings"
    yield (
        f"Trained on {amount} ({low:g} to {high:g} {unit_of_scale(data.scale)}) by {data.n_users:,} users "
        f"of {data.n_items:,} titles. Data `{data.fingerprint}`, split "
        f"`{split.method}` `{split.fingerprint}`, harness {facts.code_version}."
    )
    yield ""


def _list_params(params: Params) -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "| parameter | value |"
    yield "|---|---|"
    for name, value in params.items():
        shown = f"{value:.6g}" if isinstance(value, float) else setting(value)
        yield f"| `{name}` | {shown} |"
    yield ""


def _judge(facts: ModelFacts) -> Iterator[str]:
    if not facts.measures:
        return
    yield "## On the sealed test set"
    yield ""
    if facts.trained_on == "all ratings":
        yield (
            "These figures are not of this model, but of the same settings fitted to the "
            f"training part, {facts.split.n_train:,} ratings. This one knows the test "
            "ratings, so nothing is left to judge it."
        )
        yield ""
    unit = unit_of_scale(facts.dataset.scale)
    if facts.trained_on != "all ratings" and facts.n_seeds > 1:
        yield (
            f"Errors are in {unit}, and means over {facts.n_seeds} seeds; this model is the "
            f"fit with seed {facts.seed}."
        )
    else:
        yield f"Errors are in {unit}."
    yield ""
    if facts.verdict:
        yield f"Verdict: {facts.verdict}."
        yield ""
    yield "| measure | value | interval |"
    yield "|---|---|---|"
    for name, measure in MEASURES.items():
        found = facts.measures.get(name)
        if found is None or measure.kind == "setting":
            continue
        known = found.low == found.low and found.high == found.high
        ends = map(measure.format, (found.low, found.high))
        interval = " to ".join(ends) if known else ""
        yield f"| {measure.label} | {measure.format(found.value)} | {interval} |"
    yield ""
    yield (
        "Intervals: 95 %; of a gain, adjusted for all pairs that were compared; of a cost, "
        "lowest and highest of several processes."
    )
    yield ""


def requirements(*families: str) -> list[str]:
    """List what loading a model of some families needs, each at the version that is installed.

    The code itself comes as a wheel in the model, see `harness.serving.wheel`.
    """
    from packaging.requirements import Requirement

    needed = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    names = {
        one.name
        for one in needed
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }
    # A family from a file comes with the model.
    providers = (e.dist for e in entry_points(group=GROUP) if e.name in families)
    names |= {dist.name for dist in providers if dist and dist.name != DISTRIBUTION}
    return [f"{WHEELS}/{WHEEL}", *map(_pinned, sorted(names))]


@cache
def _pinned(package: str) -> str:
    return f"{package}=={version(package)}"


WHEELS = "wheels"
"""Folder of the wheel: MLflow installs requirements from within the model."""
CARD = "card.md"
REPORT = "report"
_SCRIPT = Path(__file__).with_name("model_script.py")
_MODEL_FILE = "MLmodel"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model comes from."""

    study: str
    split: SplitFacts
    experiment: str | None = None
    # Number of the trial; None for settings that no trial has found.
    trial: int | None = None
    # What the test set says of it, by name of the measure.
    measures: Mapping[str, Estimate] = field(default_factory=dict)
    # Seeds of the fits that were judged; the first is that of the model.
    seeds: tuple[int, ...] = ()
    # What the experiment's verdict on it is.
    verdict: str = ""


def origin_of(record: ExperimentRecord, candidate: str) -> Origin:
    """Say where the tuned model of a candidate comes from."""
    model = record.model(candidate)
    assert model is not None
    assert record.judging is not None
    return Origin(
        study=record.studies[candidate].name,
        split=record.split,
        experiment=record.name,
        trial=record.judging.best_trials[candidate],
        measures=model.measures,
        seeds=record.judging.seeds,
        verdict=describe_standing(record, candidate),
    )


def package(
    model: Recommender,
    dataset: Dataset,
    origin: Origin,
    *,
    trained_on: TrainedOn = "training part",
    report: Path | None = None,
) -> PackagedModel:
    """Put a fitted model together with the titles of its data and its origin."""
    frame = dataset.catalogue.frame
    titles = (
        frame["title"].tolist() if "title" in frame else [None] * len(model.item_ids_)
    )
    whole = trained_on == "all ratings"
    return PackagedModel(
        model=model,
        titles=tuple(t if isinstance(t, str) else None for t in titles),
        report=report,
        facts=ModelFacts(
            family=model.name,
            study=origin.study,
            experiment=origin.experiment,
            trial=origin.trial,
            dataset=dataset.facts(),
            split=origin.split,
            measures=origin.measures,
            seed=origin.seeds[0] if origin.seeds else None,
            n_seeds=len(origin.seeds),
            verdict=origin.verdict,
            trained_on=trained_on,
            n_train=len(dataset.ratings) if whole else origin.split.n_train,
            harness_version=__version__,
            code_version=code_version(),
        ),
    )


def save_model(packaged: PackagedModel, folder: Path) -> "Model":
    """Write a packaged model as an MLflow model, which any MLflow can load and serve."""
    quieten()
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model

    from harness.serving.mlflow_model import ARTIFACT, DEFAULT_N, signature

    model = Model()
    somebody = str(packaged.model.user_ids_[0])
    # MLflow compares the names of columns with a range, which pandas 4 takes otherwise
    # for its own type of text.
    names = pd.Index(["user"], dtype=object)
    example = (pd.DataFrame([[somebody]], columns=names), {"n": DEFAULT_N})
    with tempfile.TemporaryDirectory() as beside:
        artifact = Path(beside) / ARTIFACT
        manifest = write_model(packaged, artifact)
        mlflow.pyfunc.save_model(
            str(folder),
            mlflow_model=model,
            python_model=str(_SCRIPT),
            artifacts={ARTIFACT: str(artifact)},
            signature=signature(),
            input_example=example,
            pip_requirements=requirements(
                *(each.name for each in (packaged.model, *packaged.model.components))
            ),
            metadata=_summary(packaged.facts, manifest),
        )
    _forget_paths(model)
    model.save(str(folder / _MODEL_FILE))
    (folder / WHEELS).mkdir()
    (folder / WHEELS / WHEEL).write_bytes(build_wheel())
    (folder / CARD).write_text(_card(packaged), encoding="utf-8")
    if packaged.report is not None:
        shutil.copytree(packaged.report, folder / REPORT)
    return model


def _forget_paths(model: "Model") -> None:
    """Leave out where this machine keeps its files, which loading does not need."""
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = _SCRIPT.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]


def _summary(facts: ModelFacts, manifest: Manifest) -> dict[str, str]:
    """Say the most important facts in text: the tags of the logged model."""
    summary = {
        "family": facts.family,
        "study": facts.study,
        "experiment": facts.experiment,
        "trial": facts.trial,
        "trained_on": facts.trained_on,
        "simulated": facts.simulated,
        "harness_version": facts.harness_version,
        "fingerprint": manifest.fingerprint,
        "size_bytes": manifest.size_bytes,
        "dataset": facts.data_name,
        "dataset_fingerprint": facts.dataset.fingerprint,
        "split_fingerprint": facts.split.fingerprint,
    }
    return {key: str(value) for key, value in summary.items() if value is not None}


def _card(packaged: PackagedModel) -> str:
    params = packaged.model.hyperparameters()
    return write_card(packaged.facts, params, has_report=packaged.report is not None)


def log_model(packaged: PackagedModel, *, run_id: str, location: Location) -> str:
    """Log a packaged model to a run, with its data set as an input of the run."""
    try:
        open_store(location)
        from mlflow import MlflowClient

        return _log(MlflowClient(location.tracking_uri), packaged, run_id)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def _log(client: "MlflowClient", packaged: PackagedModel, run_id: str) -> str:
    # mlflow.pyfunc.log_model would do it in the store and the experiment that are active
    # in the whole process; the client does the same where it is told to.
    from mlflow.entities import LoggedModelOutput

    facts = packaged.facts
    run = client.get_run(run_id)
    client.log_inputs(run_id, [dataset_input(logged_dataset(facts.dataset))])
    params = {k: str(v) for k, v in packaged.model.hyperparameters().items()}
    logged = client.create_logged_model(
        run.info.experiment_id,
        name=re.sub(r"[^\w-]+", "-", facts.study),
        source_run_id=run_id,
        params=params,
        model_type="recommender",
    )
    try:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        summary = _upload(client, packaged, run_id, logged)
        note = {"mlflow.note.content": _card(packaged)}
        client.set_logged_model_tags(logged.model_id, summary | note)
        if facts.trained_on == "training part":  # the figures are of no other model
            _copy_metrics(client, run, logged.model_id, packaged)
    except BaseException:
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_uri)


def _upload(
    client: "MlflowClient", packaged: PackagedModel, run_id: str, logged: "LoggedModel"
) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside) / "model"
        model = save_model(packaged, folder)
        model.run_id, model.model_id = run_id, logged.model_id
        model.artifact_path = logged.artifact_location
        model.save(str(folder / _MODEL_FILE))
        client.log_model_artifacts(logged.model_id, str(folder))
    return dict(model.metadata or {})


def _copy_metrics(
    client: "MlflowClient", run: "Run", model_id: str, packaged: PackagedModel
) -> None:
    """Show the figures of the run on the page of the model, too, and what they are of."""
    from mlflow.entities import Metric

    test = logged_test(packaged.facts.dataset, packaged.facts.split)
    metrics = []
    for key in run.data.metrics:
        last = client.get_metric_history(run.info.run_id, key)[-1]
        metrics.append(
            Metric(
                key,
                last.value,
                last.timestamp,
                last.step,
                model_id=model_id,
                dataset_name=test.name,
                dataset_digest=test.digest,
            )
        )
    client.log_batch(run.info.run_id, metrics=metrics)
