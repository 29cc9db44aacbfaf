"""The report of one study: markdown with figures and tables."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.formatting import duration, setting
from harness.report.folder import write_folder
from harness.report.markdown import code, escape, table
from harness.report.reproduction import (
    environment_table,
    local_name,
    reproduction_command,
)
from harness.report.study_verdict import optimism, title, verdict
from harness.report.tables import (
    comparison_table,
    data_table,
    failure_table,
    metric_table,
    parameter_table,
    trial_table,
)
from harness.search.records import StudyRecord, busy_seconds

__all__ = ["time_table", "write_study_report"]


def time_table(study: StudyRecord) -> str:
    """Say how long the search and the training of the best model took."""
    spans = [(t.started, t.ended) for t in study.trials if t.ended is not None]
    rows = []
    if spans:
        wall = max(end for _, end in spans) - min(start for start, _ in spans)
        busy = busy_seconds(study)
        summed = sum((end - start).total_seconds() for start, end in spans)
        rows = [
            ["from the first start to the last end", duration(wall.total_seconds())],
            ["of it with a trial under way", duration(busy)],
            [
                "of it per trial",
                duration(busy / len(spans)),
            ],
            [
                "sum over the trials, which overlap and wait for a worker",
                duration(summed),
            ],
        ]
    rows += _training_rows(study)
    return table(["", "time"], rows, align="lr")


def _training_rows(study: StudyRecord) -> list[list[str]]:
    rows = []
    best, final = study.best, study.final or {}
    if best is not None and "fit_seconds" in best.metrics:
        seconds = best.metrics["fit_seconds"]
        rows.append(["training of the best settings on a fold", duration(seconds)])
    for model in final.get("models", ())[:1]:
        label = "training of the best settings on the whole training part"
        rows.append([label, duration(model["fit_seconds"])])
    return rows


REPORT = "report.md"
SPACE = "space.toml"


def write_study_report(study: StudyRecord, folder: Path) -> Path:
    """Write ``report.md``, its figures, and the search space as ``space.toml``."""
    write_folder(
        folder,
        lambda scratch: _compose(study, scratch, folder),
        last=(REPORT,),
        replaced=_FIGURES,
    )
    return folder / REPORT


_FIGURES = ("history.png", "folds.png", "importance.png", "slices.png")


def _compose(study: StudyRecord, scratch: Path, folder: Path) -> None:
    from harness.search.space import space_toml

    settings = study.settings
    space = space_toml(study.family, settings["space"], settings.get("initial", {}))
    (scratch / SPACE).write_text(space, encoding="utf-8")
    sections = [
        _opening(study),
        _data(study),
        _test(study),
        _optimism(study),
        _parameters(study),
        _search(study, scratch),
        _trials(study),
        _paragraphs("## Time", time_table(study)) if study.trials else "",
        _reproduction(study, folder),
    ]
    text = "\n\n".join(section for section in sections if section) + "\n"
    (scratch / REPORT).write_text(text, encoding="utf-8")


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _opening(study: StudyRecord) -> str:
    warning = (
        "> **These ratings are simulated.** They were made by a program; no figure in "
        "this report says anything about real users."
        if study.dataset.get("simulated")
        else ""
    )
    return _paragraphs(f"# {title(study)}", warning, " ".join(verdict(study)))


def _data(study: StudyRecord) -> str:
    notes: Iterable[str] = study.dataset.get("notes", ())
    listed = "\n".join(f"- {escape(note)}" for note in notes)
    intro = "What the reader repaired, left out or assumed:" if listed else ""
    return _paragraphs("## Data and split", data_table(study), intro, listed)


def _test(study: StudyRecord) -> str:
    final = study.final or {}
    if not final.get("models"):
        return ""
    n_seeds = len(final["seeds"])
    how = (
        f"Models are trained on the whole training part, with {n_seeds} seeds where they "
        f"draw random numbers, and metrics are means over the seeds. In brackets: "
        f"{final['confidence']:.0%} confidence intervals. They count that ratings of one "
        "user and of one title are not independent (two-way clustered standard errors), "
        "and the spread between seeds."
    )
    paired = (
        "The intervals above are wide because users and titles differ; all models "
        "are judged on the same ratings, so their differences are known better. p-values are "
        "corrected for the number of comparisons (Holm)."
    )
    return _paragraphs(
        "## Result on the sealed test set",
        metric_table(study),
        how.replace("%", "\N{NO-BREAK SPACE}%", 1),
        comparison_table(study),
        paired,
    )


def _optimism(study: StudyRecord) -> str:
    rows, sentence = optimism(study)
    if not rows:
        return ""
    cells = [[what, f"{value:.4f}", meaning] for what, value, meaning in rows]
    head = ["best settings on", "RMSE", ""]
    return _paragraphs("## Optimism", table(head, cells, align="lrl"), sentence)


def _parameters(study: StudyRecord) -> str:
    if study.best is None:
        return ""
    note = (
        "A best value within 5 % of an end of its range (on the log scale where the range "
        "is searched so) is flagged: a better one may lie beyond."
    )
    heading = f"## Best settings (trial #{study.best.number})"
    return _paragraphs(heading, parameter_table(study), note)


def _search(study: StudyRecord, scratch: Path) -> str:
    if sum(trial.rmse is not None for trial in study.trials) < 2 or study.best is None:
        return ""  # one trial makes no figure
    from harness.report.figures import study as figures
    from harness.report.figures.study import draw_slices

    figures.draw_history(study, scratch / "history.png")
    figures.draw_folds(study, scratch / "folds.png")
    slices = draw_slices(study, scratch / "slices.png")
    return _paragraphs(
        "## Search",
        "![Value of each trial, and the best so far](history.png)",
        "A pruned trial has seen only some of the folds. It is drawn at the best trial's "
        "value plus its mean difference to that trial on the folds it has seen.",
        "![Fold values of the best trials](folds.png)",
        "Fold values of the best trials and the initial settings. Lines that run in parallel mean that all folds agree on which settings "
        "are better.",
        _importance(study, scratch),
        "![Value of the trials against each parameter](slices.png)" if slices else "",
        "All trials against each parameter; dashed lines are the ends of its range."
        if slices
        else "",
    )


def _importance(study: StudyRecord, scratch: Path) -> str:
    from harness.report.figures import study as figures
    from harness.search.importance import FEWEST_TRIALS, param_importance

    importance = param_importance(study)
    if not importance:
        return (
            "No parameter importance: it takes at least "
            f"{FEWEST_TRIALS} different trials with different values."
        )
    figures.draw_importance(importance, scratch / "importance.png")
    missing = [
        name
        for name, distribution in study.settings["space"].items()
        if distribution["type"] not in {"fixed", "epochs"} and name not in importance
    ]
    left_out = (
        f" Active only in some trials, and so left out: {', '.join(map(code, missing))}."
        if missing
        else ""
    )
    return _paragraphs(
        "![Importance of the parameters](importance.png)",
        "Importance by functional ANOVA on a random forest: which parameters made trials "
        "differ over the ranges searched. A small share means that the range "
        "hardly matters, not that any value will do." + left_out,
        _importance_within(study, importance),
    )


def _importance_within(study: StudyRecord, importance: Mapping[str, float]) -> str:
    """List the shares that a dominating choice hides."""
    from harness.search.importance import dominating_choice, param_importance

    given = dominating_choice(study, importance)
    within = param_importance(study, given=given) if given else {}
    if not within:
        return ""
    made = ", ".join(code(f"{name} = {setting(v)}") for name, v in given.items())
    listed = ", ".join(
        f"{code(name)} {100 * share:.0f} %" for name, share in within.items()
    )
    return (
        "One choice takes more than half of it, which hides the rest. Among the trials "
        f"with {made}, as the best one has it: {listed}."
    )


def _trials(study: StudyRecord) -> str:
    states = [trial.state for trial in study.trials]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    )
    failed = ["### Failed trials", failure_table(study)] if "failed" in states else []
    best = [trial_table(study)] if study.best is not None else []
    total = f"{len(states)} trials: {counts}." if states else "There are no trials."
    return _paragraphs("## Trials", total, *best, *failed)


def _reproduction(study: StudyRecord, folder: Path) -> str:
    shown = Path(SPACE) if folder.is_absolute() else folder / SPACE
    command = reproduction_command(study, shown)
    note = (
        "Run it where the study was run, so that paths mean the same; "
        f"`{SPACE}` lies beside this report. The same data (see the fingerprint), space, "
        "seed, number of jobs and versions give the same trials."
    )
    kept = local_name(study.storage)
    storage = code(f"optuna-dashboard {shlex.quote(kept)}")
    again = f"harness report {shlex.quote(study.name)} --storage {shlex.quote(kept)}"
    more = "\n".join(
        (
            "- `harness ui` shows all trials as runs in MLflow",
            f"- {storage} shows the study in Optuna's dashboard",
            f"- {code(again)} writes this report again, without training",
        )
    )
    return _paragraphs(
        "## How to reproduce",
        f"```sh\n{command}\n```",
        note,
        environment_table(study),
        "## To look further",
        more,
    )
