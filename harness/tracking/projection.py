"""What studies, trials, experiments and final models look like as MLflow runs."""

import hashlib
import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from harness.evaluation.measures import MEASURES
from harness.evaluation.objectives import measure_of
from harness.evaluation.results import Difference, ModelResult
from harness.experiment.front import describe_pick, front_of
from harness.experiment.results import Decision, ExperimentRecord
from harness.formatting import unit_of_scale
from harness.plain import to_json
from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.run_image import (
    LONGEST_VALUE,
    LoggedDataset,
    MetricPoint,
    RunImage,
    RunStatus,
    as_json,
    as_milliseconds,
    as_text,
    current_user,
    logged_dataset,
    logged_test,
    shorten,
)

__all__ = [
    "CANDIDATE_TAG",
    "EXPERIMENT_TAG",
    "STUDY_TAG",
    "TRIAL_TAG",
    "describe_standing",
    "experiment_identity",
    "project_experiment",
    "project_final",
    "project_study",
    "project_trial",
    "standings",
    "study_identity",
]

STUDY_TAG = "harness.study_id"
TRIAL_TAG = "trial"
EXPERIMENT_TAG = "harness.experiment_id"
CANDIDATE_TAG = "candidate"
FRONT_TAG = "pareto_front"

_STATUS: dict[str, RunStatus] = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}


def study_identity(study: StudyRecord) -> str:
    """Identify a study among all that are logged to one store."""
    return hashlib.sha256(study.identity.encode()).hexdigest()[:16]


def experiment_identity(record: ExperimentRecord) -> str:
    """Identify an experiment among all that are logged to one store."""
    parts = [
        record.name,
        record.started.isoformat(),
        record.dataset.fingerprint,
        record.split.fingerprint,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def standings(study: StudyRecord) -> dict[int, str]:
    """Say of the trials whether they are on the Pareto front, and which is picked.

    Of one objective nothing: there is a best one.
    """
    best = study.best
    if len(study.objectives) == 1 or best is None:
        return {}
    on_front = {trial.number: "yes" for trial in study.front}
    complete = [t.number for t in study.trials if t.state == "complete"]
    return dict.fromkeys(complete, "no") | on_front | {best.number: "picked"}


def project_trial(
    study: StudyRecord,
    trial: TrialRecord,
    standing: Mapping[int, str] = MappingProxyType({}),
) -> RunImage:
    """Show a trial as a run; `standing` is what is known of the Pareto front."""
    front = standing.get(trial.number)
    tags = {} if front is None else {FRONT_TAG: front}
    ended = as_milliseconds(trial.ended or trial.started)
    return RunImage(
        name=f"{study.name} #{trial.number} {_outcome(study, trial)}",
        status=_STATUS[trial.state],
        started=as_milliseconds(trial.started),
        ended=ended,
        params={key: as_text(value) for key, value in trial.params.items()},
        tags=_trial_tags(study, trial) | tags,
        points=tuple(_trial_points(study, trial, ended)),
        datasets=(logged_dataset(study.dataset),),
    )


def _outcome(study: StudyRecord, trial: TrialRecord) -> str:
    if trial.state == "complete" and trial.value is not None:
        tail = "" if trial.is_feasible else ", infeasible"
        return f"{_scores_of(study, trial)}{tail}"
    return trial.state


def _scores_of(study: StudyRecord, trial: TrialRecord) -> str:
    """Write the objectives of a complete trial, as short as MLflow's lists need it."""
    first, *others = zip(study.objectives, study.measured(trial), strict=True)
    beside = (
        f", {metric.name} {measure_of(metric).format(value)}"
        for metric, value in others
    )
    return f"{first[0].name} {first[1]:.4f}{''.join(beside)}"


def _trial_points(
    study: StudyRecord, trial: TrialRecord, ended: int
) -> Iterator[MetricPoint]:
    name, means = study.metric.name, dict(trial.metrics)
    if trial.value is not None:
        means[name] = trial.value
    if len(trial.fold_values) > 1:
        means[f"{name}_fold_sd"] = statistics.stdev(trial.fold_values)
    for key, value in means.items():
        ranked = trial.state == "complete" or key.endswith("_seconds")
        if ranked and math.isfinite(value):
            yield MetricPoint(key=key, value=shorten(value), timestamp=ended)
    steps = {"fold": trial.fold_values, "sample": trial.sample_values}
    for kind, values in steps.items():
        for step, value in enumerate(values):
            if math.isfinite(value):
                key = f"{kind}_{name}"
                yield MetricPoint(
                    key=key, value=shorten(value), timestamp=ended, step=step
                )


def _trial_tags(study: StudyRecord, trial: TrialRecord) -> dict[str, str]:
    tags = _shared_tags(study) | {
        "level": "trial",
        TRIAL_TAG: str(trial.number),
        "state": trial.state,
        "seed": str(trial.seed),
    }
    if trial.error:
        # The end of a traceback says what happened.
        tags["traceback"] = trial.error[-LONGEST_VALUE:]
    if trial.violations:
        tags["feasible"] = "yes" if trial.is_feasible else "no"
    if trial.broken:
        tags["broken"] = ", ".join(trial.broken)
    if trial.duplicate_of is not None:
        tags["duplicate_of"] = str(trial.duplicate_of)
    if trial.rung is not None:
        tags["rung"] = as_text(trial.rung)
    return tags


def project_study(
    study: StudyRecord, *, status: RunStatus, judged: ExperimentRecord | None = None
) -> RunImage:
    """Show a study as a run, the parent of its trials' runs.

    `judged` is the experiment that the study is, where it is one by itself.
    """
    name = f"{study.name} study"
    if status != "RUNNING" and study.best is not None:
        which = "best" if len(study.objectives) == 1 else "picked"
        name += f", {which} {_scores_of(study, study.best)}"
    started = [as_milliseconds(t.started) for t in study.trials]
    ended = [as_milliseconds(t.ended) for t in study.trials if t.ended is not None]
    tags, points = _study_tags(study), list(_study_points(study))
    datasets = [logged_dataset(study.dataset)]
    if judged is not None and judged.decision is not None:
        tags |= _opening_tags(judged) | _verdict_tags(judged, judged.decision)
        points += _verdict_points(judged, judged.decision)
        datasets.append(logged_test(study.dataset, study.split))
    return RunImage(
        name=name,
        status=status,
        started=min(started, default=None),
        ended=None if status == "RUNNING" else max(ended, default=None),
        params=_study_params(study),
        tags=tags | {"mlflow.note.content": _study_note(study, judged)},
        points=() if status == "RUNNING" else tuple(points),
        datasets=tuple(datasets),
    )


def _study_params(study: StudyRecord) -> dict[str, str]:
    params = {"family": study.family}
    settings = study.settings
    facts = {
        "metric": ", ".join(metric.name for metric in settings.objectives),
        "sampler": settings.sampler.get("name"),
        "pruner": settings.pruner.get("name"),
        "require": ", ".join(map(str, settings.require)) or None,
        "n_folds": settings.n_folds,
        "n_folds_held_out": 1 if settings.fidelity.one_fold else None,
        "seed": settings.seed,
        "window": settings.window,
        "samples": ", ".join(map(as_text, settings.fidelity.samples)) or None,
        "n_points": settings.n_points,
        "jobs": settings.jobs,
        "split": study.split.method,
    }
    return params | {k: as_text(v) for k, v in facts.items() if v is not None}


def _study_tags(study: StudyRecord) -> dict[str, str]:
    tags = _shared_tags(study) | {
        "level": "study",
        "seed": as_text(study.settings.seed),
        "storage": study.storage,
        "settings": as_json(to_json(study.settings))[:LONGEST_VALUE],
        "split": as_json(to_json(study.split))[:LONGEST_VALUE],
    }
    if study.best is not None:
        tags["best_trial"] = str(study.best.number)
        if len(study.objectives) > 1:
            numbers = ", ".join(str(trial.number) for trial in study.front)
            tags[FRONT_TAG] = numbers[:LONGEST_VALUE]
        tags |= {f"best_{key}": as_text(v) for key, v in study.best.params.items()}
    return tags


def _study_points(study: StudyRecord) -> Iterator[MetricPoint]:
    """Yield the best value so far by trial, and the numbers of trials."""
    ended = [t for t in study.trials if t.ended is not None]
    if not ended:
        return
    metric, best = study.metric, math.inf
    for trial in ended:
        value = trial.accepted_value
        if value is not None and metric.sign * value < best:
            best = metric.sign * value
            yield MetricPoint(
                key=f"best_{metric.name}",
                value=shorten(value),
                timestamp=as_milliseconds(trial.ended or trial.started),
                step=trial.number,
            )
    counts = Counter(trial.state for trial in ended)
    now = max(as_milliseconds(t.ended or t.started) for t in ended)
    figures: dict[str, float] = {
        "n_trials": len(ended),
        **{f"n_{state}": counts[state] for state in ("complete", "pruned", "failed")},
    }
    for key, value in figures.items():
        if math.isfinite(value):
            yield MetricPoint(
                key=key, value=shorten(value), timestamp=now, step=len(ended)
            )


def _shared_tags(study: StudyRecord) -> dict[str, str]:
    return {
        STUDY_TAG: study_identity(study),
        "study": study.name,
        "family": study.family,
        "dataset": as_text(study.dataset.name),
        "dataset_fingerprint": as_text(study.dataset.fingerprint),
        "split_fingerprint": as_text(study.split.fingerprint),
        "code_version": study.code_version,
        "mlflow.source.name": f"harness study {study.family}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": current_user(),
    }


def _study_note(study: StudyRecord, judged: ExperimentRecord | None) -> str:
    data = study.dataset
    summary = (
        f"Search of `{study.family}` on **{data.name}**: "
        f"{data.n_ratings:,} ratings, {data.n_users:,} users, "
        f"{data.n_items:,} titles; split `{study.split.method}`."
    )
    lines = [summary]
    if data.simulated:
        lines.append("These ratings are **simulated**.")
    if study.best is not None:
        front, settings = front_of(study), study.settings
        mean = "mean " if settings.n_held_out > 1 else ""
        lines.append(
            f"Best: trial {study.best.number}, {_described_best(study)} "
            f"({mean}{settings.scored_on})."
        )
        if front is not None:
            lines.append(describe_pick(front, data.scale))
    if judged is not None and judged.decision is not None:
        lines.append(_chosen(judged, judged.decision))
    return "\n\n".join(lines)


def _described_best(study: StudyRecord) -> str:
    assert study.best is not None
    assert study.best.value is not None
    unit, values = unit_of_scale(study.dataset.scale), study.measured(study.best)
    return ", ".join(
        f"{measure.label} {measure.sentence(value, unit)}"
        for measure, value in zip(
            map(measure_of, study.objectives), values, strict=True
        )
    )


def project_experiment(record: ExperimentRecord) -> RunImage:
    """Show an experiment as a run, the parent of its studies and its final models."""
    decision = record.decision
    tags = _experiment_tags(record) | {
        "level": "experiment",
        "mlflow.note.content": _experiment_note(record),
    }
    points: list[MetricPoint] = []
    name = f"{record.name}: searching"
    if decision is not None:
        tags |= _opening_tags(record) | _verdict_tags(record, decision)
        points = _verdict_points(record, decision)
        score = _score(record, _winner(record, decision))
        found = "chosen" if decision.beats_floor else "not above the baselines"
        name = f"{record.name}: {decision.winner} {found}, test {score}"
    return RunImage(
        name=name,
        status="RUNNING" if decision is None else "FINISHED",
        started=as_milliseconds(record.started),
        ended=None if decision is None else _opened(record),
        params=_experiment_params(record),
        tags=tags,
        points=tuple(points),
        datasets=_both_parts(record),
    )


def project_final(record: ExperimentRecord, candidate: str) -> RunImage | None:
    """Show the tuned model of a candidate, as it was judged on the test set, as a run."""
    model, decision = record.model(candidate), record.decision
    if model is None or decision is None:
        return None
    opened = _opened(record)
    seconds = (model.value("fit_seconds") or 0.0) * len(model.rmse_by_seed)
    study = record.studies.get(candidate)
    owner = f"{record.name}-{candidate}" if study is None else study.name
    return RunImage(
        name=f"{owner} final, test {_score(record, model)}",
        status="FINISHED",
        started=opened - round(1000 * seconds),
        ended=opened,
        params={key: as_text(value) for key, value in model.params.items()},
        tags=_experiment_tags(record)
        | _opening_tags(record)
        | _final_tags(record, candidate, model, decision),
        points=tuple(_final_points(record, candidate, model)),
        datasets=_both_parts(record),
    )


def _winner(record: ExperimentRecord, decision: Decision) -> ModelResult:
    winner = record.model(decision.winner)
    assert winner is not None
    return winner


def _opened(record: ExperimentRecord) -> int:
    assert record.judging is not None
    return as_milliseconds(record.judging.opened)


def _both_parts(record: ExperimentRecord) -> tuple[LoggedDataset, ...]:
    sealed = logged_test(record.dataset, record.split)
    return (logged_dataset(record.dataset), sealed)


def _experiment_params(record: ExperimentRecord) -> dict[str, str]:
    spec = record.spec
    facts = {
        "file": record.file,
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
        "prefer": ", ".join(spec.decision.prefer),
    }
    return {key: as_text(value) for key, value in facts.items() if value is not None}


def _experiment_tags(record: ExperimentRecord) -> dict[str, str]:
    command = f"run {record.file}" if record.file else "study"
    return {
        EXPERIMENT_TAG: experiment_identity(record),
        "experiment": record.name,
        "seed": as_text(record.spec.seed),
        "dataset": as_text(record.dataset.name),
        "dataset_fingerprint": as_text(record.dataset.fingerprint),
        "split_fingerprint": as_text(record.split.fingerprint),
        "split": as_json(to_json(record.split))[:LONGEST_VALUE],
        "storage": record.storage,
        "code_version": record.code_version,
        "mlflow.source.name": f"harness {command}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": current_user(),
    }


def _opening_tags(record: ExperimentRecord) -> dict[str, str]:
    """Say when the seal was broken, and which opening of these ratings it was."""
    assert record.judging is not None
    return {
        "test_opened": record.judging.opened.isoformat(timespec="seconds"),
        "test_opening": str(record.judging.openings),
    }


def _verdict_tags(record: ExperimentRecord, decision: Decision) -> dict[str, str]:
    tags = {"winner": decision.winner, "best": decision.best}
    for answer in ("equivalent", "undecided"):
        named = [c for c, found in decision.answers.items() if found == answer]
        if named:
            tags[f"{answer}_to_best"] = ", ".join(named)
    if decision.close:
        tags["decided_by"] = as_text(decision.decided_by)
    if (repeated := record.repeated) is not None:
        times = repeated.chosen.get(decision.winner, 0)
        tags["chosen_in"] = f"{times} of {len(repeated.splits)} splits"
    if record.criteria:
        failed = [c.criterion.metric for c in record.criteria if not c.passed]
        tags["criteria"] = f"failed: {', '.join(failed)}" if failed else "passed"
    return tags


def _experiment_note(record: ExperimentRecord) -> str:
    data, n = record.dataset, len(record.spec.families)
    summary = (
        f"{n} {'family' if n == 1 else 'families'} on **{data.name}**: "
        f"{data.n_ratings:,} ratings, {data.n_users:,} users, "
        f"{data.n_items:,} titles; split `{record.split.method}`."
    )
    lines = [f"**{record.spec.title}**", summary]
    if data.simulated:
        lines.append("These ratings are **simulated**.")
    if record.decision is not None:
        lines.append(_chosen(record, record.decision))
    return "\n\n".join(lines)


def _chosen(record: ExperimentRecord, decision: Decision) -> str:
    measure = measure_of(record.metric)
    value = measure.format(record.score(decision.winner))
    but = (
        ""
        if decision.beats_floor
        else f", but not shown to beat the {decision.floor} baseline"
    )
    return (
        f"Chosen: `{decision.winner}`, {measure.label} {value} on the sealed test set{but}. "
        "The report is among the artifacts."
    )


def _score(record: ExperimentRecord, model: ModelResult) -> str:
    name = record.metric.name
    return f"{name} {model.measures[name].value:.4f}"


def _final_tags(
    record: ExperimentRecord, candidate: str, model: ModelResult, decision: Decision
) -> dict[str, str]:
    assert record.judging is not None
    study = record.studies.get(candidate)
    trial = record.judging.best_trials.get(candidate)
    return {
        CANDIDATE_TAG: candidate,
        "family": model.family,
        "level": "final",
        "state": "final",
        "verdict": _verdict(decision, candidate),
        **_worse_by_tags(record, candidate),
        "study": as_text(study.name if study else None),
        "best_trial": as_text(trial),
        "seeds": ", ".join(map(str, record.judging.seeds)),
        "mlflow.note.content": (
            f"The best settings of `{record.spec.label(candidate)}` (trial {trial}), fitted "
            f"on {record.split.n_train:,} training ratings with each seed, and judged "
            f"on {record.split.n_test:,} sealed test ratings: "
            f"{describe_standing(record, candidate)}."
        ),
    }


def _verdict(decision: Decision, candidate: str) -> str:
    if candidate == decision.winner:
        return "chosen"
    return "best" if candidate == decision.best else decision.answers[candidate]


def _verdict_in_words(decision: Decision, candidate: str) -> str:
    best = f"`{decision.best}`"
    return {
        "chosen": "this is the model that the rule of the experiment chooses",
        "best": "it has the best test score, but the rule prefers another one",
        "better": f"it is better than {best}",
        "equivalent": f"it is equivalent to the best, {best}, within the margin",
        "undecided": f"the test set cannot tell whether it is worse than the best, {best}",
        "worse": f"it is worse than the best, {best}, by more than the margin",
    }[_verdict(decision, candidate)]


def describe_standing(record: ExperimentRecord, candidate: str) -> str:
    """Say what the verdict is on a candidate, and the intervals it is read off."""
    if record.decision is None or record.judging is None:
        return ""
    decision = record.decision
    said = _verdict_in_words(decision, candidate)
    if record.is_study:
        said = "these are the best settings of the study"
    if candidate == decision.winner and not decision.beats_floor:
        said += f", but not shown to beat the {decision.floor} baseline"
    return (
        said
        + _worse_by(record, candidate, record.judging.margin)
        + _not_worse(decision, candidate)
    )


def _worse_by(record: ExperimentRecord, candidate: str, margin: float) -> str:
    found = _against_best(record, candidate)
    if found is None:
        return ""
    return (
        f"; worse by {found.value:.4f}, adjusted interval {found.low:.4f} to "
        f"{found.high:.4f}, margin {margin:g}"
    )


def _not_worse(decision: Decision, candidate: str) -> str:
    """Name those that are not shown to be worse than the best, for the one that is used."""
    if candidate != decision.winner or not decision.close:
        return ""
    named = ", ".join(f"`{c}` ({decision.answers[c]})" for c in decision.close)
    return f"; not shown to be worse than `{decision.best}`: {named}"


def _worse_by_tags(record: ExperimentRecord, candidate: str) -> dict[str, str]:
    """Give the interval that the verdict is read off; a tag, for it depends on others."""
    found = _against_best(record, candidate)
    if found is None or record.judging is None:
        return {}
    return {
        "worse_than_best_by": f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]",
        "margin": f"{record.judging.margin:g}",
    }


def _against_best(record: ExperimentRecord, candidate: str) -> Difference | None:
    best = None if record.decision is None else record.model(record.decision.best)
    one = record.model(candidate)
    if best is None or one is None or one is best:
        return None
    return record.difference(one.name, best.name)


def _verdict_points(record: ExperimentRecord, decision: Decision) -> list[MetricPoint]:
    """List the winner's figures, and the RMSE of every model on the test set."""
    points = list(_final_points(record, decision.winner, _winner(record, decision)))
    for model in record.models:
        name = model.candidate if model.role == "tuned" else model.name
        # Without blanks, which would have to be quoted in every filter.
        key = "test_rmse_of_" + re.sub(r"[^\w.\-]+", "_", str(name))
        points.append(_point(record, key, model.rmse.value))
    return points


def _final_points(
    record: ExperimentRecord, candidate: str, model: ModelResult
) -> Iterator[MetricPoint]:
    """Yield everything that was measured of a tuned model."""
    figures = {_key(name): found.value for name, found in model.measures.items()}
    figures |= {"test_rmse_low": model.rmse.low, "test_rmse_high": model.rmse.high}
    figures |= _on_the_way(record, candidate, model)
    for side, groups in model.depth.items():
        for group in groups:
            if group.rmse is not None:
                depth = re.sub(r"\W+", "_", group.depth.replace(">", "over_"))
                figures[f"test_rmse_{side}_{depth}"] = group.rmse.value
    for key, value in figures.items():
        if math.isfinite(value):
            yield _point(record, key, value)
    # A metric of its own: the seed is its step.
    opened = _opened(record)
    for step, value in enumerate(model.rmse_by_seed):
        yield MetricPoint(
            key="test_rmse_by_seed", value=shorten(value), timestamp=opened, step=step
        )


def _key(measure: str) -> str:
    """Name a measure as a metric: what was measured on the test set says so."""
    # One that is not there is an objective of the user's own, which scores stars.
    on_test = measure not in MEASURES or MEASURES[measure].kind in {
        "accuracy",
        "cold start",
    }
    return f"test_{measure}" if on_test else measure


def _point(record: ExperimentRecord, key: str, value: float) -> MetricPoint:
    """Date a figure by the opening: of two, MLflow shows that of the later step."""
    assert record.judging is not None
    return MetricPoint(
        key=key,
        value=shorten(value),
        timestamp=_opened(record),
        step=record.judging.openings,
    )


def _judged_value(
    record: ExperimentRecord, candidate: str, study: StudyRecord | None
) -> float | None:
    """Look up the search's score of the trial that was judged: there may be a newer best."""
    assert record.judging is not None
    number = record.judging.best_trials.get(candidate)
    trials = () if study is None else study.trials
    return next((t.value for t in trials if t.number == number), None)


def _on_the_way(
    record: ExperimentRecord, candidate: str, model: ModelResult
) -> dict[str, float]:
    """Collect what stands beside the test score: search, fresh folds, initial, bias."""
    study, initial = record.studies.get(candidate), record.model(candidate, "initial")
    bias = record.baseline()
    gain = None if bias is None else record.difference(bias.name, model.name)
    name = "rmse" if study is None else study.metric.name
    known = model.measures.get("gain_over_bias")
    found = {
        f"search_{name}": _judged_value(record, candidate, study),
        f"fresh_folds_{name}": record.fresh_folds.get(candidate),
        "initial_test_rmse": initial.rmse.value if initial else None,
        f"initial_test_{name}": initial.value(name) if initial else None,
        "gain_over_bias_p": gain.p_holm if gain else None,
        "gain_over_bias_low": known.low if known else None,
        "gain_over_bias_high": known.high if known else None,
    }
    return {key: value for key, value in found.items() if value is not None}
