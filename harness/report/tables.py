"""The tables of a study report."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from harness.evaluation.metrics import METRICS
from harness.evaluation.splits import CAVEATS
from harness.experiment.record import ExperimentRecord
from harness.report.formatting import duration, interval, metric, setting, stars
from harness.report.markdown import code, escape, table
from harness.report.study_verdict import comparisons, describe_range, edges, gauge
from harness.search.records import StudyRecord, TrialRecord

__all__ = [
    "comparison_table",
    "data_table",
    "failure_table",
    "metric_table",
    "parameter_table",
    "trial_table",
]


N_SHOWN = 10

_LABELS = {
    "rmse": "RMSE, all ratings pooled",
    "user_rmse": "RMSE, mean over users",
    "r2": "R²",
    "within_half_star": "within 0.5 star",
    "within_one_star": "within 1.0 star",
}
_HIGHER = "higher is better"
_LOWER = "lower is better"
_OUTCOMES = {"better": "better", "worse": "worse", "tied": "cannot be told apart"}


def data_table(study: StudyRecord | ExperimentRecord) -> str:
    """Describe the ratings and how they were split."""
    data, split = study.dataset, study.split
    low, high = data.get("scale", (None, None))
    counts = [("n_ratings", "ratings"), ("n_users", "users"), ("n_items", "titles")]
    sizes = ", ".join(f"{data[key]:,} {label}" for key, label in counts if key in data)
    rows = [
        ["data", f"{escape(data.get('name'))}, from {code(data.get('source'))}"],
        ["size", sizes],
    ]
    if low is not None:
        rows.append(["scale", f"{low:g} to {high:g} stars"])
    rows.append(["fingerprint of the data", code(data.get("fingerprint"))])
    rows.append(["split", _describe_split(split)])
    rows.append(["fingerprint of the split", code(split.get("fingerprint"))])
    rows.append(["looks at the test set", _describe_looks(study)])
    return table(rows[0], rows[1:])


def _describe_split(split: Mapping[str, Any]) -> str:
    if split.get("method") == "none":
        return "`none`: no test set, the search uses all ratings"
    caveat = CAVEATS.get(split.get("method", ""))
    return (
        f"{code(split.get('method'))}: {split.get('n_train', 0):,} ratings for training, "
        f"{split.get('n_test', 0):,} sealed as test set (seed {split.get('seed')})"
        + (f". {caveat}" if caveat else "")
    )


def _describe_looks(study: StudyRecord | ExperimentRecord) -> str:
    final = study.final or {}
    if study.split.get("method") == "none":
        return "there is no test set"
    if "opened" not in final:
        return "0: it is still sealed"
    opened = datetime.fromisoformat(final["opened"]).astimezone(UTC)
    return f"{final['looks']}, the last one {opened:%Y-%m-%d %H:%M} UTC"


def metric_table(study: StudyRecord) -> str:
    """Lay initial, tuned and baseline models side by side on the test set."""
    final: Mapping[str, Any] = study.final or {}
    models = sorted(final["models"], key=lambda model: model["name"] != "initial")
    rows = [
        [_label(name), *(interval(name, m["metrics"][name]) for m in models)]
        for name in models[0]["metrics"]
    ]
    rows.append(
        ["RMSE of each seed"]
        + [", ".join(stars(value) for value in m["rmse_by_seed"]) for m in models]
    )
    rows.append(["training time"] + [duration(m["fit_seconds"]) for m in models])
    head = ["test set", *(escape(model["name"]) for model in models)]
    return table(head, rows, align="l" + "r" * len(models))


def _label(name: str) -> str:
    known = METRICS.get(name)
    higher = known is not None and known.direction == "maximize"
    label = _LABELS.get(name) or (known.label if known else escape(name))
    return f"{label} ({_HIGHER if higher else _LOWER})"


def comparison_table(study: StudyRecord) -> str:
    """Show by how much the tuned model differs from each other one."""
    rows = [
        [
            f"tuned - {escape(found.other)}",
            f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]",
            found.p_text.removeprefix("= "),
            f"tuned is {_OUTCOMES[found.outcome]}"
            if found.outcome != "tied"
            else _OUTCOMES["tied"],
        ]
        for found in comparisons(study)
    ]
    head = ["RMSE", "difference in stars", "p (Holm)", ""]
    return table(head, rows, align="lrrl")


def parameter_table(study: StudyRecord) -> str:
    """Show the best settings beside the initial ones, in their ranges."""
    assert study.best is not None
    initial = study.settings.get("initial", {})
    ends = edges(study)
    rows = []
    for name, distribution in study.settings["space"].items():
        active = name in study.best.params
        value = study.best.params.get(name)
        drawn = gauge(distribution, value)
        rows.append(
            [
                code(name),
                escape(setting(initial[name])) if name in initial else "-",
                f"**{escape(setting(value))}**" if active else "not active",
                escape(describe_range(distribution)),
                code(drawn) if drawn else "",
                f"**widen the range** ({ends[name]} end)" if name in ends else "",
            ]
        )
    head = ["parameter", "initial", "best", "range", "best in its range"]
    if any(row[-1] for row in rows):
        return table([*head, "at an edge"], rows, align="lrrlll")
    return table(head, [row[:-1] for row in rows], align="lrrll")


def trial_table(study: StudyRecord) -> str:
    """List the best trials."""
    complete = [t for t in study.trials if t.state == "complete"]
    ranked = sorted(complete, key=lambda t: (t.value, t.number))[:N_SHOWN]
    names = [
        name
        for name, distribution in study.settings["space"].items()
        if distribution["type"] != "fixed"
    ]
    head = [
        "trial",
        "RMSE",
        "sd of folds",
        *(code(n) for n in names),
        "training a fold",
    ]
    rows = [_trial_row(trial, names) for trial in ranked]
    return table(head, rows, align="l" + "r" * (len(head) - 1))


def _trial_row(trial: TrialRecord, names: list[str]) -> list[str]:
    assert trial.value is not None
    number = f"#{trial.number}"
    if trial.duplicate_of is not None:
        number += f" (same as #{trial.duplicate_of})"
    spread = np.std(trial.fold_values, ddof=1) if len(trial.fold_values) > 1 else None
    seconds = trial.metrics.get("fit_seconds")
    return [
        number + (" (initial)" if trial.number == 0 else ""),
        stars(trial.value),
        metric("rmse", None if spread is None else float(spread)),
        *(
            escape(setting(trial.params[n])) if n in trial.params else "-"
            for n in names
        ),
        "-" if seconds is None else duration(seconds),
    ]


def failure_table(study: StudyRecord) -> str:
    """List why trials have failed, the most frequent reason first."""
    failed = [t for t in study.trials if t.state == "failed"]
    reasons = {t.number: _last_line(t.error) for t in failed}
    rows = []
    for reason, count in Counter(reasons.values()).most_common(N_SHOWN):
        numbers = [f"#{number}" for number, why in reasons.items() if why == reason]
        more = f" and {count - 5} more" if count > 5 else ""
        rows.append([code(reason), ", ".join(numbers[:5]) + more])
    return table(["why", "trials"], rows)


def _last_line(error: str | None) -> str:
    lines = (error or "").strip().splitlines()
    return lines[-1].strip() if lines else "unknown"
