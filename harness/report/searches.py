"""Searches: budget, course, best settings, and what selection added to their scores."""

import math

from harness.data.ratings import RatingScale
from harness.errors import HarnessError, ParameterError
from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.objectives import measure_of
from harness.evaluation.requirements import SLACK
from harness.experiment.convergence import (
    has_equal_budgets,
    n_judged_trials,
    noticeable,
    still_falling,
    why_stopped,
)
from harness.experiment.front import NOT_PRUNED
from harness.experiment.results import ExperimentRecord
from harness.formatting import duration, percent, setting
from harness.models.families import load_family
from harness.report.context import (
    LONGEST,
    Context,
    amount,
    amount_unit,
    label,
    objective,
    paragraphs,
    unit,
)
from harness.report.figures.search import (
    draw_histories,
    draw_importance,
    name_of_objective,
)
from harness.report.markdown import code, escape, fold, table
from harness.search.distributions import (
    Categorical,
    Distribution,
    Epochs,
    Fixed,
    Float,
    ends_of,
    is_log,
)
from harness.search.fidelity import EVERYTHING, n_held_out, precision_of
from harness.search.records import StudyRecord, busy_seconds

__all__ = [
    "describe_range",
    "edge_of",
    "edges",
    "falling",
    "gauge",
    "optimism",
    "position",
    "searches",
]


EDGE_SHARE = 0.05
_GAUGE_WIDTH = 11


def position(distribution: Distribution, value: object) -> float | None:
    """Say how far along its range a value is.

    Examples
    --------
    >>> position(Float(type="float", low=0.01, high=1.0, log=True), 0.1)
    0.5
    """
    ends = ends_of(distribution)
    if ends is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if ends[0] == ends[1] or not ends[0] <= value <= ends[1]:
        return None
    low, high, here = (
        (math.log(x) for x in (*ends, value))
        if is_log(distribution)
        else (*ends, value)
    )
    return (here - low) / (high - low)


def edge_of(distribution: Distribution, value: object) -> str | None:
    """Say at which end of its range a value lies."""
    where = position(distribution, value)
    if where is None:
        return None
    # Rounding must not decide: 0.95 of a range is not always 0.95.
    if where >= 1 - EDGE_SHARE - 1e-9:
        return "high"
    if where <= EDGE_SHARE + 1e-9 and not isinstance(distribution, Epochs):
        return "low"
    return None


def edges(study: StudyRecord) -> dict[str, str]:
    """Find the best values that lie at an end of their range which could be wider."""
    if study.best is None:
        return {}
    space, params = study.space, study.best.params
    ends = {name: edge_of(d, params.get(name)) for name, d in space.items()}
    return {
        name: end
        for name, end in ends.items()
        if end is not None and _can_be_wider(study.reference, name, space[name], end)
    }


def _can_be_wider(family: str, name: str, distribution: Distribution, end: str) -> bool:
    try:
        make = load_family(family)
    except (HarnessError, ImportError):  # of a package that is not installed here
        return True
    try:
        make(**{name: _beyond(distribution, end)})
    except ParameterError:
        return False
    except TypeError:  # the installed family has no such parameter
        return True
    return True


def _beyond(distribution: Distribution, end: str) -> float:
    """Take a value that is just outside the range."""
    ends = ends_of(distribution)
    assert ends is not None, "only a range has an end"
    low, high = ends
    if not isinstance(distribution, Float):
        return int(low) - 1 if end == "low" else int(high) + 1
    # By so little that nothing which is allowed is jumped over.
    step = 1e-6 * (high - low)
    if end == "low":
        return float(low * 0.999999 if low > 0 else low - step)
    return float(high + step)


def gauge(distribution: Distribution, value: object) -> str:
    """Draw where in its range a value lies."""
    where = position(distribution, value)
    if where is None:
        return ""
    left = round(where * (_GAUGE_WIDTH - 1))
    return f"├{'─' * left}●{'─' * (_GAUGE_WIDTH - 1 - left)}┤"


def describe_range(distribution: Distribution) -> str:
    """Put a distribution in words.

    Examples
    --------
    >>> describe_range(Float(type="float", low=10, high=250, log=True))
    '10 to 250, log'
    """
    match distribution:
        case Fixed():
            return "fixed"
        case Categorical():
            return " or ".join(setting(choice) for choice in distribution.choices)
        case Epochs():
            return f"up to {distribution.high}, found on the way"
    text = f"{setting(distribution.low)} to {setting(distribution.high)}"
    step = distribution.step
    text += f" in steps of {setting(step)}" if step and step != 1 else ""
    return text + (", log" if distribution.log else "")


def falling(record: ExperimentRecord) -> list[str]:
    """List the candidates whose search still found better settings when it ended."""
    return [c for c, study in record.studies.items() if still_falling(study)]


def searches(context: Context) -> str:
    """Describe the searches."""
    record = context.record
    if not record.studies:
        return ""
    history = context.figure(
        draw_histories,
        "histories.png",
        f"Best {objective(record).label} so far against trials",
    )
    importance = context.figure(
        draw_importance, "importance.png", "Importance of the hyperparameters"
    )
    return paragraphs(
        "## Search",
        _budget(record),
        _table(record),
        _about_stopped(record),
        _about_falling(record),
        *(_rungs(record, c, study) for c, study in record.studies.items()),
        history,
        importance,
        _IMPORTANCE if importance else "",
        _all_settings(record),
    )


_IMPORTANCE = (
    "Importance by functional ANOVA: which hyperparameters made trials differ over the "
    "ranges searched. A small share means that the range hardly matters, not that any "
    "value will do. Where one choice takes more than half of it, a second panel shows the "
    "shares among the trials that made the same choice as the best one."
)


def _budget(record: ExperimentRecord) -> str:
    spec = record.spec
    counts = n_judged_trials(record)
    # A budget that was lowered after a run does not take trials back.
    size = spec.budget.describe(at_least=max(counts.values(), default=0))
    same = has_equal_budgets(record)
    budget = (
        f"The budget was {size}"
        if record.is_study
        else f"Every family had the same budget of {size}"
        if same
        else "The families had **different numbers of trials**"
    )
    fewer = spec.own_budgets() if same and not record.is_study else {}
    budget += "".join(f", but {label(record, c)} of {n}" for c, n in fewer.items())
    prunes = len(record.objectives) == 1
    pruner = f", pruner {code(spec.search.pruner)}" if prunes else ""
    # What dropped trials on samples is said beside the rungs.
    how = "" if _has_one_fold(record) else _PRUNED.get(spec.search.pruner, "")
    pruned = how if prunes else NOT_PRUNED
    told = [pruned, _about_one_fold(record)]
    return (
        f"{budget}, on {_folds(record)} of the training part; sampler "
        f"{code(spec.search.sampler)}{pruner}. Trial 0 has the initial settings. "
        f"{_given(record)}{_required(record)}{' '.join(filter(None, told))}"
    )


_PRUNED = {
    **dict.fromkeys(
        ("race", "wilcoxon"),
        "A pruned trial was stopped because its first folds were worse than those of the "
        "best.",
    ),
    "median": "A pruned trial was stopped because its first folds were worse than the median "
    "of the trials before it.",
}


def _folds(record: ExperimentRecord) -> str:
    if _has_one_fold(record):
        return "one held-out fold" if record.is_study else "the same held-out fold"
    shared = "" if record.is_study else "the same "
    return f"{shared}{record.spec.search.folds} folds"


def _has_one_fold(record: ExperimentRecord) -> bool:
    return any(s.settings.fidelity.one_fold for s in record.studies.values())


def _about_one_fold(record: ExperimentRecord) -> str:
    if not _has_one_fold(record):
        return ""
    n_folds, n_ratings = record.spec.search.folds, _size_of_fold(record)
    told = f"One fold of {n_ratings:,} ratings was held out instead of {n_folds}"
    if record.metric == OBJECTIVE:
        star = RatingScale(*record.dataset.scale).star
        precision = amount(record, precision_of(n_ratings) * star)
        told += f": it tells two good settings apart to about {precision}"
    # The weights of a blend need all folds.
    others = [
        label(record, c)
        for c, study in record.studies.items()
        if not study.settings.fidelity.one_fold
    ]
    if not others:
        return f"{told}."
    were = "was" if len(others) == 1 else "were"
    return f"{told}. {' and '.join(others)} {were} scored on all {n_folds}."


def _size_of_fold(record: ExperimentRecord) -> int:
    return n_held_out(
        record.split.n_train, record.spec.search.folds, record.split.method
    )


def _required(record: ExperimentRecord) -> str:
    """Say what trials had to meet, and whether somebody has asked for it."""
    asked: dict[str, list[str]] = {}
    for candidate, study in record.studies.items():
        said = " and ".join(code(str(each)) for each in study.settings.require)
        if said and all(each.is_criterion for each in study.settings.require):
            said += f" (from the criteria, relaxed by {percent(SLACK)})"
        if said:
            asked.setdefault(said, []).append(label(record, candidate))
    sentences = [
        "" if len(names) == len(record.studies) else f" of {' and '.join(names)}"
        for names in asked.values()
    ]
    return "".join(
        f"To be the best, a trial{whose} had to meet {said}. "
        for said, whose in zip(asked, sentences, strict=True)
    )


def _given(record: ExperimentRecord) -> str:
    """Say whose first trials were not drawn, but given."""
    said = ""
    for candidate, study in record.studies.items():
        n_given, other = len(study.settings.enqueue), study.settings.warm_start
        if n_given:
            whose = "" if record.is_study else f" of {label(record, candidate)}"
            source = (
                f", among them the best of the study {code(other)}" if other else ""
            )
            numbers = "trial 1" if n_given == 1 else f"trials 1 to {n_given}"
            said += f"The settings of {numbers}{whose} were given{source}. "
    return said


def _table(record: ExperimentRecord) -> str:
    rows = [[label(record, c), *_row(study)] for c, study in record.studies.items()]
    head = ["family", "complete", "pruned", "failed", "best trial"]
    where = "held-out fold" if _has_one_fold(record) else "folds"
    head += [f"{objective(record).label}, {where}", "time", "remarks"]
    return table(head, rows, align="lrrrrrrl")


def _row(study: StudyRecord) -> list[str]:
    states = [trial.state for trial in study.trials]
    counts = [str(states.count(s)) for s in ("complete", "pruned", "failed")]
    best = study.best
    found = (
        ["-", "-"]
        if best is None
        else [
            f"#{best.number}",
            measure_of(study.metric).format(best.value),
        ]
    )
    return [*counts, *found, duration(busy_seconds(study)), ", ".join(_remarks(study))]


def _remarks(study: StudyRecord) -> list[str]:
    remarks = ["**not converged**"] if still_falling(study) else []
    found = edges(study)
    remarks += [f"{len(found)} at an edge"] if found else []
    is_tuned = any(not isinstance(d, Fixed) for d in study.space.values())
    remarks += [] if is_tuned else ["nothing to tune"]
    refused = sum(not trial.is_feasible for trial in study.trials)
    remarks += [f"{refused} infeasible"] if refused else []
    if refused and study.best is None:
        remarks += ["**none feasible**"]
    running = sum(trial.state == "running" for trial in study.trials)
    return remarks + ([f"{running} running"] if running else [])


def _about_stopped(record: ExperimentRecord) -> str:
    """Say which searches patience has ended."""
    found = (why_stopped(s, record.spec, c) for c, s in record.studies.items())
    return escape(" ".join(filter(None, found)), longest=LONGEST)


def _about_falling(record: ExperimentRecord) -> str:
    names = [label(record, c) for c in falling(record)]
    if not names:
        return ""
    return (
        f"**Not converged**: {', '.join(names)}. The last quarter of the trials still "
        f"improved the best {objective(record).label} by more than "
        f"{_noticeable(record)}; more trials might improve it further"
        + ("." if record.is_study else ", and might change the comparison.")
    )


def _rungs(record: ExperimentRecord, candidate: str, study: StudyRecord) -> str:
    """Show how many trials came how far, where they were raced on samples first."""
    fidelity, n_train = study.settings.fidelity, study.split.n_train
    if not fidelity.samples:
        return ""
    rungs = [(share, 1) for share in fidelity.samples]
    rungs.append((EVERYTHING, study.settings.n_held_out))
    reached = [t for t in study.trials if t.rung is not None and t.state != "failed"]
    rows = []
    for share, n_folds in rungs:
        scored = [t for t in reached if t.rung is not None and t.rung >= share]
        dropped = sum(t.rung == share and t.state == "pruned" for t in scored)
        rows.append(
            [
                "everything" if share == EVERYTHING else f"1/{1 / share:.0f}",
                f"{share * n_train:,.0f}",
                str(n_folds),
                str(len(scored)),
                str(dropped),
            ]
        )
    head = ["rung", "training ratings", "folds", "trials scored", "dropped"]
    whose = "" if record.is_study else f" of {label(record, candidate)}"
    return paragraphs(
        f"### Rungs{whose}",
        table(head, rows, align="lrrrr"),
        _ABOUT_RUNGS,
    )


_ABOUT_RUNGS = (
    "Trials were raced on samples of the users first, each with all ratings of its users. "
    "A trial went on if it was among the best quarter of those scored on the same held-out "
    "ratings and not clearly behind the best trial so far, or no worse there than that. "
    "Only a trial that was scored on everything can be the best."
)


def _noticeable(record: ExperimentRecord) -> str:
    """Write how much of a gain tells that a search was not over."""
    least = noticeable(record.metric, record.dataset.scale)
    return objective(record).given(least, unit(record))


def _all_settings(record: ExperimentRecord) -> str:
    parts = [_settings(record, c, study) for c, study in record.studies.items()]
    body = paragraphs(*parts)
    return body if record.is_study else fold("Best settings of each family", body)


def _settings(record: ExperimentRecord, candidate: str, study: StudyRecord) -> str:
    best = study.best
    if best is None:
        return ""
    return paragraphs(
        f"### Best settings: {label(record, candidate)} (trial #{best.number})",
        parameter_table(study)
        if study.space
        else "This family has no hyperparameters to tune: one trial is all.",
    )


def parameter_table(study: StudyRecord) -> str:
    """Show the best settings beside the initial ones, in their ranges."""
    assert study.best is not None
    initial = study.settings.initial
    ends = edges(study)
    rows = []
    for name, distribution in study.space.items():
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


def optimism(context: Context) -> str:
    """Lay search score, fresh folds and test score of each family side by side."""
    record, measure = context.record, objective(context.record)
    best, sign = _search_scores(record), 1 if measure.direction == "minimize" else -1
    if not record.fresh_folds or not best:
        return ""
    rows, gaps = [], []
    for candidate, search in best.items():
        fresh = record.fresh_folds.get(candidate)
        gap = None if fresh is None or search is None else fresh - search
        gaps += [] if gap is None else [sign * gap]
        rows.append(
            [
                label(record, candidate),
                measure.format(search),
                measure.format(fresh),
                "-" if gap is None else measure.signed(gap),
                measure.format(record.score(candidate)),
            ]
        )
    head = ["best settings of", "search", "fresh folds"]
    head += [f"fresh minus search{amount_unit(record)}", "test set"]
    return paragraphs(
        "## Optimism of the search",
        table(head, rows, align="lrrrr"),
        _about_optimism(record, gaps),
        _about_large(record),
        _about_floor(record),
    )


def _about_large(record: ExperimentRecord) -> str:
    """Say what was left out because one fold is precise enough."""
    known = [value for value in record.fresh_folds.values() if value is not None]
    if not _has_one_fold(record) or not known:
        return ""
    n_folds, n_ratings = record.spec.search.folds, _size_of_fold(record)
    told = f"One fresh fold of {n_ratings:,} ratings was scored, not {n_folds}."
    if record.metric == OBJECTIVE:
        chance = amount(record, _between_folds(max(known), n_ratings))
        told += (
            f" Two folds of this size differ by up to {chance} by chance (19 of 20)."
        )
    gaps = [gap for gap in record.seed_gaps.values() if gap is not None]
    if not gaps or record.judging is None:
        return told
    # One where no digit changes, or where a file asks for one.
    n_seeds = len(record.judging.seeds)
    fitted = "one seed" if n_seeds == 1 else f"{n_seeds} seeds"
    return (
        f"{told} Another seed changed a score by {max(gaps):.6f} at most; the models were "
        f"refitted with {fitted}."
    )


def _between_folds(rmse: float, n_ratings: int) -> float:
    r"""Estimate by how much the RMSE of two folds may differ by chance, at 95 %.

    Of normal errors the standard error of an RMSE :math:`r` is :math:`r / \sqrt{2n}`, so
    that of the difference of two is :math:`r / \sqrt{n}`.
    """
    return 1.96 * rmse / math.sqrt(n_ratings)


def _about_floor(record: ExperimentRecord) -> str:
    """Say what was left out where it could not have changed a digit."""
    floor = record.floor
    if floor is None:
        return ""
    told = f"The bias baseline was tuned too: {floor.n_settings} settings on one fold"
    if floor.n_folds_scored == 1:
        return (
            f"{told}. The other {floor.n_folds - 1} folds were left out: no other setting "
            "could have been better by a digit of the RMSE."
        )
    return f"{told}, the {floor.n_compared_on_all} closest on all {floor.n_folds}."


def _search_scores(record: ExperimentRecord) -> dict[str, float | None]:
    """Find the score by which the settings that were judged had been chosen.

    A search may have gone on since, and have found others.
    """
    judged = {} if record.judging is None else record.judging.best_trials
    scores: dict[str, float | None] = {}
    for candidate, study in record.studies.items():
        number = judged.get(candidate)
        trial = next((t for t in study.trials if t.number == number), study.best)
        if trial is not None:
            scores[candidate] = trial.value
    return scores


def _about_optimism(record: ExperimentRecord, gaps: list[float]) -> str:
    about = (
        f"{name_of_objective(record.metric, unit(record))}. Search: on the folds that the settings were chosen by. "
        "Fresh folds: the same settings and ratings, dealt into new folds. Test set: other "
        "ratings, after training on more of them, so it may lie on either side."
    )
    if not gaps:
        found = (
            "The folds follow each other in time and cannot be dealt anew, so the optimism "
            "of the search score is not known."
        )
    elif float(objective(record).amount(max(gaps))) > 0:
        most = amount(record, max(gaps))
        found = (
            f"On fresh folds the settings score up to {most} worse than in the search; "
            "part of that is chance, as other folds were drawn."
        )
    else:
        found = "On fresh folds the settings score no worse than in the search."
    return f"{about} {found}"
