"""Section: how each family was searched, what it found, and whether it was enough."""

from harness.experiment.effort import (
    NOTICEABLE,
    has_equal_budgets,
    n_judged_trials,
    still_falling,
)
from harness.report.digits import duration, stars
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import label
from harness.report.experiment_figures import draw_histories, draw_importance
from harness.report.markdown import code, table
from harness.report.search_range import edges
from harness.report.study_tables import failure_table, parameter_table
from harness.search.busy import busy_seconds
from harness.search.records import StudyRecord

__all__ = ["searches"]


def searches(draft: Draft) -> str:
    """Describe the searches.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty if none was started.
    """
    record = draft.record
    if not record.studies:
        return ""
    history = draft.figure(
        draw_histories, "histories.png", "Best RMSE so far against trials, each family"
    )
    importance = draft.figure(
        draw_importance, "importance.png", "Importance of the parameters, each family"
    )
    return paragraphs(
        "## Search",
        _budget(draft),
        _table(draft),
        _about_falling(draft),
        history,
        importance,
        "Importance by functional ANOVA: which parameters made trials differ over the "
        "ranges searched. A small share means that the range hardly matters, not that "
        "any value will do. Where one choice takes more than half of it, which hides the "
        "rest, a second panel has the shares among the trials that share this choice with "
        "the best one."
        if importance
        else "",
        *(_settings(draft, c, study) for c, study in record.studies.items()),
    )


def _budget(draft: Draft) -> str:
    spec, settings = draft.record.spec, draft.record.settings
    n_folds = settings.get("n_folds", spec.search.folds)
    counts = n_judged_trials(draft.record)
    # A budget that was lowered after a run does not take trials back.
    size = spec.budget.describe(at_least=max(counts.values(), default=0))
    budget = (
        f"gets the same budget of {size}, the same"
        if has_equal_budgets(draft.record)
        else "has had **another number of trials**, but the same"
    )
    return (
        f"Every family {budget} {n_folds} folds of the training part, the sampler "
        f"{code(spec.search.sampler)} and the pruner {code(spec.search.pruner)}. Trial 0 "
        "has the initial settings. A pruned trial has been stopped because its first "
        "folds were worse than those of the best."
    )


def _table(draft: Draft) -> str:
    rows = [
        [label(draft.record, c), *_row(study)]
        for c, study in draft.record.studies.items()
    ]
    head = ["family", "complete", "pruned", "failed", "best trial"]
    head += ["RMSE, folds", "time", "remarks"]
    return table(head, rows, align="lrrrrrrl")


def _row(study: StudyRecord) -> list[str]:
    states = [trial.state for trial in study.trials]
    counts = [str(states.count(s)) for s in ("complete", "pruned", "failed")]
    best = study.best
    found = ["-", "-"]
    if best is not None and best.value is not None:
        found = [f"#{best.number}", stars(best.value)]
    return [*counts, *found, duration(busy_seconds(study)), ", ".join(_remarks(study))]


def _remarks(study: StudyRecord) -> list[str]:
    remarks = ["**not converged**"] if still_falling(study) else []
    found = edges(study)
    remarks += [f"{len(found)} at an edge"] if found else []
    running = sum(trial.state == "running" for trial in study.trials)
    return remarks + ([f"{running} running"] if running else [])


def _about_falling(draft: Draft) -> str:
    record = draft.record
    falling = [label(record, c) for c, s in record.studies.items() if still_falling(s)]
    if not falling:
        return ""
    return (
        f"**Not converged**: {', '.join(falling)}. The last quarter of the trials still "
        f"lowered the best RMSE by more than {NOTICEABLE:g} stars; with more trials it "
        "might fall further, and the comparison might change."
    )


def _settings(draft: Draft, candidate: str, study: StudyRecord) -> str:
    best = study.best
    failed = any(trial.state == "failed" for trial in study.trials)
    if best is None and not failed:
        return ""
    which = "no complete trial" if best is None else f"best trial #{best.number}"
    return paragraphs(
        f"### Settings: {label(draft.record, candidate)} ({which})",
        "" if best is None else parameter_table(study),
        "Failed trials:" if failed else "",
        failure_table(study) if failed else "",
    )
