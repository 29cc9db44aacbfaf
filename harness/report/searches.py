"""How each family was searched, what it found, and what selection added to its score."""

from harness.experiment.convergence import (
    NOTICEABLE,
    has_equal_budgets,
    n_judged_trials,
    still_falling,
)
from harness.experiment.measures import measured
from harness.experiment.results import ExperimentRecord
from harness.formatting import duration, metric, stars
from harness.report.context import Draft, label, paragraphs
from harness.report.figures import draw_histories, draw_importance
from harness.report.markdown import code, table
from harness.report.study_verdict import edges
from harness.report.tables import failure_table, parameter_table
from harness.search.records import StudyRecord, busy_seconds

__all__ = ["optimism", "searches"]


def searches(draft: Draft) -> str:
    """Describe the searches."""
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


def optimism(draft: Draft) -> str:
    """Lay search score, fresh folds and test score of each family side by side."""
    record = draft.record
    best = _search_scores(record)
    if not record.fresh_folds or not best:
        return ""
    rows, gaps = [], []
    for candidate, search in best.items():
        fresh = record.fresh_folds.get(candidate)
        gap = None if fresh is None or search is None else fresh - search
        gaps += [] if gap is None else [gap]
        rows.append(
            [
                label(record, candidate),
                metric("rmse", search),
                metric("rmse", fresh),
                "-" if gap is None else f"{gap:+.4f}",
                metric("rmse", measured(record, "rmse", candidate)),
            ]
        )
    head = ["best settings of", "search", "fresh folds", "difference", "test set"]
    return paragraphs("## Optimism", table(head, rows, align="lrrrr"), _about(gaps))


def _search_scores(record: ExperimentRecord) -> dict[str, float | None]:
    """Find the score by which the settings that were judged had been chosen.

    A search may have gone on since, and have found others.
    """
    judged = (record.final or {}).get("best_trials", {})
    scores: dict[str, float | None] = {}
    for candidate, study in record.studies.items():
        number = judged.get(candidate)
        trial = next((t for t in study.trials if t.number == number), study.best)
        if trial is not None:
            scores[candidate] = trial.value
    return scores


def _about(gaps: list[float]) -> str:
    test = (
        "The test score is of models trained on more ratings, and of other pairs, so it "
        "may lie on either side."
    )
    if not gaps:
        return (
            "The folds follow each other in time and cannot be dealt anew, so what "
            f"choosing the best of many trials adds to its score is not known. {test}"
        )
    most = max(gaps)
    here = (
        f"at most {stars(most)} stars here" if most > 0 else "nothing to be seen here"
    )
    return (
        "RMSE in stars: of the best trial on the folds it was chosen by, of the same "
        "settings on the same ratings dealt into new folds, and on the sealed test set. "
        "The difference is what choosing the best of many by its score has gained from the "
        f"luck of these folds, give or take that of the new ones: {here}. What it has "
        "gained from these ratings only other ratings can show, which is what the test "
        f"set is for. {test}"
    )
