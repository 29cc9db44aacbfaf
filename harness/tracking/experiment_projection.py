"""What an experiment looks like as runs: one for itself, one for each tuned model."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from harness.experiment.decision import Decision, decide
from harness.experiment.record import ExperimentRecord
from harness.tracking.dataset_input import dataset_facts, sealed_facts
from harness.tracking.final_points import final_points, rmse_of
from harness.tracking.run_image import MetricPoint, RunImage, RunStatus
from harness.tracking.run_values import (
    LONGEST_VALUE,
    as_json,
    as_milliseconds,
    as_text,
    current_user,
    shorten,
)

__all__ = [
    "CANDIDATE_TAG",
    "EXPERIMENT_TAG",
    "experiment_identity",
    "project_experiment",
    "project_final",
]

EXPERIMENT_TAG = "harness.experiment_id"
CANDIDATE_TAG = "candidate"


def experiment_identity(record: ExperimentRecord) -> str:
    """Identify an experiment among all that are logged to one store.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    str
        16 hexadecimal digits, from its name, when it was created, and the fingerprints
        of data and split.
    """
    parts = [
        record.name,
        record.started.isoformat(),
        record.dataset.get("fingerprint"),
        record.split.get("fingerprint"),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def project_experiment(record: ExperimentRecord) -> RunImage:
    """Show an experiment as a run, the parent of its studies and its final models.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    RunImage
        The run; it has ended when the test set was opened.
    """
    decision = decide(record)
    status: RunStatus = "RUNNING" if decision is None else "FINISHED"
    ended = None if decision is None else _opened(record)
    return RunImage(
        name=_name(record, decision),
        status=status,
        started=as_milliseconds(record.started),
        ended=ended,
        params=_params(record),
        tags=_shared_tags(record) | _verdict_tags(record, decision),
        points=() if ended is None else tuple(_points(record, decision, ended)),
        datasets=_datasets(record),
    )


def project_final(record: ExperimentRecord, candidate: str) -> RunImage | None:
    """Show the tuned model of a candidate, as it was judged on the test set, as a run.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    candidate : str
        Key of an entry of the file.

    Returns
    -------
    RunImage or None
        The run, which lasts as long as the fits took; None if the candidate was not
        judged.
    """
    model, decision = record.model(candidate), decide(record)
    if model is None or decision is None:
        return None
    opened = _opened(record)
    n_fits = len(model["rmse_by_seed"])
    return RunImage(
        name=f"{candidate} final, test rmse {rmse_of(model):.4f}",
        status="FINISHED",
        started=opened - round(1000 * model["fit_seconds"] * n_fits),
        ended=opened,
        params={key: as_text(value) for key, value in model["params"].items()},
        tags=_shared_tags(record) | _final_tags(record, candidate, model, decision),
        points=tuple(final_points(record, candidate, timestamp=opened)),
        datasets=_datasets(record),
    )


def _name(record: ExperimentRecord, decision: Decision | None) -> str:
    if decision is None:
        return f"{record.name}: searching"
    winner = record.model(decision.winner)
    assert winner is not None
    return f"{record.name}: {decision.winner} wins, test rmse {rmse_of(winner):.4f}"


def _opened(record: ExperimentRecord) -> int:
    assert record.final is not None
    return as_milliseconds(datetime.fromisoformat(record.final["opened"]))


def _datasets(record: ExperimentRecord) -> tuple[Any, ...]:
    sealed = sealed_facts(record.dataset, record.split)
    return (dataset_facts(record.dataset), sealed)


def _params(record: ExperimentRecord) -> dict[str, str]:
    spec = record.spec
    facts = {
        "file": record.settings.get("file"),
        "families": ", ".join(spec.families),
        "trials_per_family": spec.budget.n_trials,
        "seconds_per_family": spec.budget.seconds,
        "n_folds": spec.search.folds,
        "sampler": spec.search.sampler,
        "pruner": spec.search.pruner,
        "split": spec.split.method,
        "test_share": spec.split.test_share,
        "seed": spec.seed,
        "final_seeds": spec.final_seeds,
        "prefer_among_ties": ", ".join(spec.decision.prefer),
    }
    return {key: as_text(value) for key, value in facts.items() if value is not None}


def _shared_tags(record: ExperimentRecord) -> dict[str, str]:
    tags = {
        EXPERIMENT_TAG: experiment_identity(record),
        "experiment": record.name,
        "seed": as_text(record.spec.seed),
        "dataset": as_text(record.dataset.get("name")),
        "dataset_fingerprint": as_text(record.dataset.get("fingerprint")),
        "split_fingerprint": as_text(record.split.get("fingerprint")),
        "split": as_json(record.split)[:LONGEST_VALUE],
        "storage": record.storage,
        "code_version": record.code_version,
        "mlflow.source.name": f"harness run {record.settings.get('file', record.name)}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": current_user(),
    }
    if record.final is not None:
        tags["test_opened"] = as_text(record.final.get("opened"))
        tags["test_looks"] = as_text(record.final.get("looks"))
    return tags


def _verdict_tags(
    record: ExperimentRecord, decision: Decision | None
) -> dict[str, str]:
    tags = {"mlflow.note.content": _note(record, decision)}
    if decision is not None:
        tags |= {"winner": decision.winner, "best": decision.best}
        if decision.tied:
            tags["tied_with_best"] = ", ".join(decision.tied)
            tags["decided_by"] = as_text(decision.decided_by)
    return tags


def _note(record: ExperimentRecord, decision: Decision | None) -> str:
    data, n = record.dataset, len(record.spec.families)
    summary = (
        f"{n} {'family' if n == 1 else 'families'} on **{data.get('name')}**: "
        f"{data.get('n_ratings')} ratings, {data.get('n_users')} users, "
        f"{data.get('n_items')} titles; split `{record.split.get('method')}`."
    )
    lines = [f"**{record.spec.title}**", summary]
    if data.get("simulated"):
        lines.append("These ratings are **simulated**.")
    if decision is not None:
        winner = record.model(decision.winner)
        assert winner is not None
        lines.append(
            f"Chosen: `{decision.winner}`, RMSE {rmse_of(winner):.4f} stars on the sealed "
            f"test set. The report is among the artifacts."
        )
    return "\n\n".join(lines)


def _final_tags(
    record: ExperimentRecord,
    candidate: str,
    model: Mapping[str, Any],
    decision: Decision,
) -> dict[str, str]:
    study = record.studies.get(candidate)
    assert record.final is not None
    trial = record.final.get("best_trials", {}).get(candidate)
    return {
        CANDIDATE_TAG: candidate,
        "family": as_text(model["family"]),
        "state": "final",
        "verdict": _verdict(decision, candidate),
        "study": as_text(study.name if study else None),
        "best_trial": as_text(trial),
        "seeds": ", ".join(map(str, record.final.get("seeds", ()))),
        "mlflow.note.content": (
            f"The best settings of `{record.spec.label(candidate)}` (trial {trial}), fitted "
            f"on {record.split.get('n_train')} training ratings with each seed, and judged "
            f"on {record.split.get('n_test')} sealed test ratings: "
            f"{_verdict_in_words(decision, candidate)}."
        ),
    }


def _verdict(decision: Decision, candidate: str) -> str:
    if candidate == decision.winner:
        return "chosen"
    return "tied" if candidate in decision.contenders else "worse"


def _verdict_in_words(decision: Decision, candidate: str) -> str:
    best = f"`{decision.best}`"
    return {
        "chosen": "this is the model that the rule of the experiment chooses",
        "tied": f"it cannot be told apart from the best, {best}",
        "worse": f"it is worse than the best, {best}, beyond chance",
    }[_verdict(decision, candidate)]


def _points(
    record: ExperimentRecord, decision: Decision | None, timestamp: int
) -> Iterator[MetricPoint]:
    """Yield the winner's figures, and the RMSE of every model on the test set."""
    assert decision is not None
    yield from final_points(record, decision.winner, timestamp=timestamp)
    for candidate in record.spec.families:
        model = record.model(candidate)
        if model is not None:
            yield MetricPoint(
                key=f"test_rmse_of_{candidate}",
                value=shorten(rmse_of(model)),
                timestamp=timestamp,
            )
