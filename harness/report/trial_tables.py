"""Trials of each search: the best, those refused and failed, their time and figures."""

from collections import Counter

import numpy as np

from harness.evaluation.measures import Measure
from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import measure_of
from harness.experiment.measured import measured
from harness.experiment.results import ExperimentRecord
from harness.formatting import duration, setting
from harness.report.context import Context, label, paragraphs, unit
from harness.report.figures.search import draw_folds, draw_slices, drawable
from harness.report.markdown import code, escape, fold, table
from harness.search.distributions import Fixed
from harness.search.records import StudyRecord, TrialRecord, busy_seconds

__all__ = ["trials"]


def trials(context: Context) -> str:
    """List the best trials of each search, failures, time, and panels of each, folded."""
    record = context.record
    parts = [_trials_of(context, c, study) for c, study in record.studies.items()]
    return fold("Trials, failures and time of each search", paragraphs(*parts))


def _trials_of(context: Context, candidate: str, study: StudyRecord) -> str:
    states = [trial.state for trial in study.trials]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    )
    n_trials = "1 trial" if len(states) == 1 else f"{len(states)} trials"
    total = f"{n_trials}: {counts}." if states else "There are no trials."
    return paragraphs(
        f"### Trials: {label(context.record, candidate)}",
        total,
        _trial_table(study) if study.best is not None else "",
        _refused(study),
        *_panels(context, candidate, study),
        "Failed trials:" if "failed" in states else "",
        _failure_table(study) if "failed" in states else "",
        _time_table(context.record, candidate, study) if study.trials else "",
    )


def _panels(context: Context, candidate: str, study: StudyRecord) -> list[str]:
    """Draw folds and slices of a search, where its trials can be compared."""
    if not drawable(study):
        return []
    name = label(context.record, candidate)
    slices = context.figure(
        lambda record, path: draw_slices(study, path, unit=unit(record)),
        f"slices-{candidate}.png",
        f"Value of the trials of {name} against each hyperparameter",
    )
    folds = context.figure(
        lambda record, path: draw_folds(study, path, unit=unit(record)),
        f"folds-{candidate}.png",
        f"Fold values of the best trials of {name}",
    )
    return [
        slices,
        "Trials against each hyperparameter; dashed lines are the ends of its range. A "
        "pruned trial is drawn at the best trial's value plus its mean difference to that "
        f"trial on the folds{' or the last sample' if study.settings.fidelity.samples else ''} "
        "it has seen."
        if slices
        else "",
        folds,
        "Fold values of the best trials and of the initial settings. Lines that run in "
        "parallel mean that all folds agree on which settings are better."
        if folds
        else "",
    ]


_N_SHOWN = 10


def _trial_table(study: StudyRecord) -> str:
    """List the best trials."""
    measure, ranked = measure_of(study.metric), study.ranked[:_N_SHOWN]
    names = [
        name
        for name, distribution in study.space.items()
        if not isinstance(distribution, Fixed)
    ]
    head = [
        "trial",
        measure.label,
        *_spread(study, "SD of folds"),
        *map(code, names),
        "training time, a fold",
    ]
    rows = [_trial_row(study, trial, names, measure) for trial in ranked]
    return table(head, rows, align="l" + "r" * (len(head) - 1))


def _refused_trials(study: StudyRecord) -> list[TrialRecord]:
    """Collect the trials that do not meet what is required, the best values first."""
    sign = study.metric.sign
    refused = [t for t in study.trials if not t.is_feasible]
    return sorted(
        refused,
        key=lambda t: (t.value is None, sign * (t.value or 0.0), t.number),
    )


def _refused(study: StudyRecord) -> str:
    refused = _refused_trials(study)
    if not refused:
        return ""
    measure = measure_of(study.metric)
    required = {str(each): each.metric for each in study.settings.require}
    head = ["trial", measure.label, *map(code, required)]
    rows = [
        [
            f"#{trial.number}",
            measure.format(trial.value),
            *(_checked(trial, text, metric) for text, metric in required.items()),
        ]
        for trial in refused[:_N_SHOWN]
    ]
    return paragraphs(
        f"{len(refused)} trials did not meet what is required, and none of them can be the "
        f"best{'. The best of them' if len(refused) > _N_SHOWN else ''}:"
        if len(refused) > 1
        else "One trial did not meet what is required, and cannot be the best:",
        table(head, rows, align="l" + "r" * (len(head) - 1)),
    )


def _checked(trial: TrialRecord, text: str, metric: Metric) -> str:
    shown = measure_of(metric).format(trial.metrics.get(metric.name))
    return f"**{shown}**" if text in trial.broken else shown


def _spread(study: StudyRecord, cell: str) -> list[str]:
    """Leave a column out that one held-out fold has nothing for."""
    return [cell] if study.settings.n_held_out > 1 else []


def _trial_row(
    study: StudyRecord, trial: TrialRecord, names: list[str], measure: Measure
) -> list[str]:
    number = f"#{trial.number}"
    if trial.duplicate_of is not None:
        number += f" (same as #{trial.duplicate_of})"
    spread = np.std(trial.fold_values, ddof=1) if len(trial.fold_values) > 1 else None
    seconds = trial.metrics.get("fit_seconds")
    return [
        number + (" (initial)" if trial.number == 0 else ""),
        measure.format(trial.value),
        *_spread(study, measure.format(None if spread is None else float(spread))),
        *(
            escape(setting(trial.params[n])) if n in trial.params else "-"
            for n in names
        ),
        "-" if seconds is None else duration(seconds),
    ]


def _failure_table(study: StudyRecord) -> str:
    """List why trials have failed, the most frequent reason first."""
    failed = [t for t in study.trials if t.state == "failed"]
    reasons = {t.number: _last_line(t.error) for t in failed}
    rows = []
    for reason, count in Counter(reasons.values()).most_common(_N_SHOWN):
        numbers = [f"#{number}" for number, why in reasons.items() if why == reason]
        more = f" and {count - 5} more" if count > 5 else ""
        rows.append([code(reason), ", ".join(numbers[:5]) + more])
    return table(["why", "trials"], rows)


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[-1].strip() if lines else "unknown"


def _time_table(record: ExperimentRecord, candidate: str, study: StudyRecord) -> str:
    """Say how long the search and the training of the best settings took."""
    spans = [(t.started, t.ended) for t in study.trials if t.ended is not None]
    rows: list[tuple[str, float]] = []
    if spans:
        wall = max(end for _, end in spans) - min(start for start, _ in spans)
        busy = busy_seconds(study)
        rows = [
            ("search, from first start to last end", wall.total_seconds()),
            ("of which with trials running", busy),
            ("of which per trial", busy / len(spans)),
        ]
    best = study.best
    if best is not None and "fit_seconds" in best.metrics:
        rows.append(
            ("training of the best settings on a fold", best.metrics["fit_seconds"])
        )
    whole = measured(record, "fit_seconds", candidate)
    if whole is not None:
        rows.append(
            ("training of the judged settings on the whole training part", whole)
        )
    cells = [[what, duration(seconds)] for what, seconds in rows]
    return table(["", "time"], cells, align="lr")
