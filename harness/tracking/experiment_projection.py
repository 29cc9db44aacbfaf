"""The runs of an experiment: its own, and one for each final model."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.experiment.decision import Decision, decide
from harness.experiment.results import ExperimentRecord
from harness.search.records import StudyRecord
from harness.tracking.location import locate
from harness.tracking.projection import (
    STUDY_TAG,
    TRIAL_TAG,
    StudyRuns,
    SyncCounts,
    study_identity,
)
from harness.tracking.run_image import (
    LONGEST_VALUE,
    MetricPoint,
    RunImage,
    RunStatus,
    as_json,
    as_milliseconds,
    as_text,
    current_user,
    dataset_facts,
    final_points,
    rmse_of,
    sealed_facts,
    shorten,
)
from harness.tracking.store import (
    Outcome,
    RunStore,
    can_become,
    mend,
    open_store,
    unusable,
)
from harness.tracking.views import FINALS_VIEW, NESTED_VIEW

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = [
    "EXPERIMENT_TAG",
    "REPORT",
    "attach_report",
    "experiment_identity",
    "find_run_ids",
    "log_experiment",
    "sync_experiment",
]


EXPERIMENT_TAG = "harness.experiment_id"
CANDIDATE_TAG = "candidate"


def experiment_identity(record: ExperimentRecord) -> str:
    """Identify an experiment among all that are logged to one store."""
    parts = [
        record.name,
        record.started.isoformat(),
        record.dataset.get("fingerprint"),
        record.split.get("fingerprint"),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def project_experiment(record: ExperimentRecord) -> RunImage:
    """Show an experiment as a run, the parent of its studies and its final models."""
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
    """Show the tuned model of a candidate, as it was judged on the test set, as a run."""
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


SUPERSEDED_TAG = "superseded_by"
REPORT = "report"
"""Name of the folder of a report among the files of a run."""


class ExperimentRuns:
    """The runs of one experiment: what is there, and what is written.

    Parameters
    ----------
    store : RunStore
        The store.
    record : ExperimentRecord
        The experiment.
    """

    def __init__(self, store: RunStore, record: ExperimentRecord) -> None:
        self._store = store
        self._record = record
        self.parent_id = ""
        self.final_ids: dict[str, str] = {}
        self._parents: list[Run] = []
        self._finals: dict[str, list[Run]] = {}
        for run in store.runs(EXPERIMENT_TAG, experiment_identity(record)):
            candidate = run.data.tags.get(CANDIDATE_TAG)
            if candidate is None:
                self._parents.append(run)
            else:
                self._finals.setdefault(candidate, []).append(run)

    def write(self) -> list[Outcome]:
        """Write what is missing, and mend what differs."""
        self._store.offer(NESTED_VIEW)
        outcomes = [self._write_parent()]
        for study in self._record.studies.values():
            runs = StudyRuns(self._store, study, above=self.parent_id)
            outcomes += runs.write(study)
        for candidate in self._record.spec.families:
            image = project_final(self._record, candidate)
            if image is not None:
                self._store.offer(FINALS_VIEW)
                outcomes.append(self._write_final(candidate, image))
        return outcomes

    def _write_parent(self) -> Outcome:
        image = project_experiment(self._record)
        for run in self._parents[1:]:
            self._store.delete(run.info.run_id)
        if not self._parents:
            self.parent_id = self._store.create(image)
            return "created"
        parent = self._parents[0]
        self.parent_id = str(parent.info.run_id)
        changed = mend(self._store, parent, image, parent=None)
        return "repaired" if changed or len(self._parents) > 1 else "unchanged"

    def _write_final(self, candidate: str, image: RunImage) -> Outcome:
        found = self._finals.get(candidate, [])
        kept = next((run for run in found if can_become(run, image)), None)
        if kept is None:
            run_id, outcome = (
                self._store.create(image, parent=self.parent_id),
                "created",
            )
        else:
            run_id = str(kept.info.run_id)
            changed = mend(self._store, kept, image, parent=self.parent_id)
            outcome = "repaired" if changed else "unchanged"
        self.final_ids[candidate] = run_id
        self._mark_superseded([run for run in found if run is not kept], run_id)
        return outcome  # type: ignore[return-value]

    def _mark_superseded(self, runs: "list[Run]", by: str) -> None:
        """Keep what was judged before: the test set was opened for it, too."""
        for run in runs:
            if run.data.tags.get(SUPERSEDED_TAG) != by:
                self._store.tag(run.info.run_id, SUPERSEDED_TAG, by)
                name = run.info.run_name.removesuffix(" (superseded)")
                self._store.rename(run.info.run_id, f"{name} (superseded)")


def sync_experiment(
    record: ExperimentRecord,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> SyncCounts:
    """Create the runs of an experiment that are missing and mend those that differ."""
    _, outcomes = _write(record, None, tracking_uri, experiment)
    return SyncCounts.of(outcomes)


def log_experiment(
    record: ExperimentRecord,
    report: Path | None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> dict[str, str]:
    """Log an experiment: its run, below it its studies and its final models.

    It may be called at any time, and again: at the start, so that the studies have a
    run to stand below; and at the end.
    """
    runs, _ = _write(record, report, tracking_uri, experiment)
    return runs.final_ids


def attach_report(
    run_id: str,
    report: Path,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> None:
    """Add a report to the run of an experiment that was logged."""
    location = locate(tracking_uri, experiment)
    try:
        open_store(location).attach(run_id, report, under=REPORT)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def _write(
    record: ExperimentRecord,
    report: Path | None,
    tracking_uri: str | None,
    experiment: str | None,
) -> tuple[ExperimentRuns, list[Outcome]]:
    location = locate(tracking_uri, experiment)
    try:
        store = open_store(location)
        runs = ExperimentRuns(store, record)
        outcomes = runs.write()
        if report is not None:
            store.attach(runs.parent_id, report, under=REPORT)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error
    return runs, outcomes


def find_run_ids(
    record: ExperimentRecord,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> dict[str, Any]:
    """Find the runs of an experiment that was logged, and of what was judged."""
    location = locate(tracking_uri, experiment)
    try:
        return _find(open_store(location), record)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def _find(store: RunStore, record: ExperimentRecord) -> dict[str, Any]:
    top: dict[str, str] = {}
    finals: dict[str, str] = {}
    for run in store.runs(EXPERIMENT_TAG, experiment_identity(record)):
        tags, run_id = run.data.tags, str(run.info.run_id)
        if CANDIDATE_TAG not in tags:
            top["experiment"] = run_id
        elif SUPERSEDED_TAG not in tags:
            finals[tags[CANDIDATE_TAG]] = run_id
    judged = (record.final or {}).get("best_trials", {})
    candidates = {}
    for candidate, study in record.studies.items():
        if candidate not in judged:
            continue
        number = judged[candidate]
        trial = {"trial_run": _trial_run(store, study, number)}
        final = {"final_run": finals.get(candidate)}
        known = {key: run for key, run in (trial | final).items() if run is not None}
        candidates[candidate] = {"trial": number, **known}
    return {**top, "candidates": candidates}


def _trial_run(store: RunStore, study: StudyRecord, number: int) -> str | None:
    for run in store.runs(STUDY_TAG, study_identity(study)):
        if run.data.tags.get(TRIAL_TAG) == str(number):
            return str(run.info.run_id)
    return None
