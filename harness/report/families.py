"""The families beside each other: error, tuning, lists, costs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from harness.evaluation.measures import MEASURES, Measure
from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.ranking import liked_from
from harness.evaluation.results import Difference, Judging, ModelResult
from harness.experiment.decision import beats_bias_of, may_be_chance
from harness.experiment.measured import estimate, measured
from harness.experiment.results import ExperimentRecord
from harness.formatting import in_words, p_value, percent, probability, setting
from harness.report.context import (
    LONGEST,
    Context,
    amount,
    amount_unit,
    as_comparison,
    baselines,
    better,
    compare,
    in_unit,
    key_of,
    label,
    level,
    listed,
    measures_of,
    name_of,
    objective,
    paragraphs,
    rivals,
    side_of,
    tuned_models,
    unit,
    with_interval,
    with_unit,
    worse,
)
from harness.report.figures.results import draw_pareto, draw_scores, pareto_front
from harness.report.markdown import escape, fold, table
from harness.report.tables import (
    BOLD,
    change_cells,
    definitions,
    difference_cells,
    models_by_measure,
    size_cell,
)
from harness.report.verdict import describe_users_needed

__all__ = [
    "Trait",
    "comparison",
    "costs",
    "describe_traits",
    "lists",
    "pairs",
    "traits",
    "tuning",
]


def comparison(context: Context) -> str:
    """Lay the scores of all models side by side, and say what speaks for each family."""
    record = context.record
    if record.decision is None or record.is_study:
        return ""
    found = {c: traits(record, c) for c in record.spec.families}
    return paragraphs(
        f"## {objective(record).label} of all families",
        _family_table(context, found),
        _how(record),
        _about_power(record),
        _about_bias(record),
        context.figure(
            draw_scores,
            "rmse.png" if record.metric == OBJECTIVE else "scores.png",
            f"Test {objective(record).label}, initial and tuned",
        ),
        _notes(record),
    )


def _family_table(context: Context, found: dict[str, list["Trait"]]) -> str:
    record = context.record
    published = any(_published(context, c) != "-" for c in record.spec.families)
    models = [*tuned_models(record), *baselines(record)]
    models.sort(key=record.loss_of)
    ranks = {m.name: k for k, m in enumerate(tuned_models(record), 1)}
    rows = [
        _family_row(context, model, ranks.get(model.name), found) for model in models
    ]
    judged = {model.candidate for model in models}
    rows += [
        [label(record, c), _published(context, c), "-", "not judged", *["-"] * 4]
        for c in record.spec.families
        if c not in judged
    ]
    head = ["family", "published", "initial", "tuned [95 % interval]", "rank"]
    head += [
        f"{worse(record).place} the best{amount_unit(record)} [adjusted]",
        "against the best",
        "for and against",
    ]
    if published:
        return table(head, rows, align="lrrrrrll")
    return table(
        head[:1] + head[2:], [row[:1] + row[2:] for row in rows], align="lrrrrll"
    )


def _family_row(
    context: Context,
    model: ModelResult,
    rank: int | None,
    found: dict[str, list["Trait"]],
) -> list[str]:
    record, candidate = context.record, model.candidate
    decision, name = record.decision, name_of(record, model)
    assert decision is not None
    score = with_interval(objective(record), model.measures[record.metric.name])
    if candidate is None:
        return [
            f"*baseline:* {name}",
            "-",
            "-",
            score,
            "-",
            _above_best(record, model),
            *["-"] * 2,
        ]
    chosen = candidate == decision.winner
    initial = record.model(candidate, "initial")
    return [
        f"★ **{name}** (chosen)" if chosen else name,
        _published(context, candidate),
        level(record, initial) if initial else "-",
        f"**{score}**" if chosen else score,
        str(rank),
        _above_best(record, model),
        decision.answers.get(candidate, "-"),
        describe_traits(found[candidate]),
    ]


def _published(context: Context, candidate: str) -> str:
    value = context.published(context.record.metric.name, candidate)
    return "-" if value is None else escape(objective(context.record).given(value))


def _above_best(record: ExperimentRecord, model: ModelResult) -> str:
    assert record.decision is not None
    found = compare(record, model, record.model(record.decision.best))
    return "-" if found is None else difference_cells(found, objective(record))[0]


def _how(record: ExperimentRecord) -> str:
    judging, name = record.judging, objective(record).label
    assert judging is not None
    return (
        f"{name}{in_unit(record)} on the sealed test set: {judging.n_test:,} ratings of "
        f"{judging.n_test_users:,} users. Models were trained on the whole training part, "
        f"with {len(judging.seeds)} seeds where they draw random numbers. Intervals allow "
        "for ratings that share a user or a title, and for seeds. Models are compared on "
        "the same ratings, so differences are known better than each score. "
        f"{_about_answers(record)}"
    )


def _about_power(record: ExperimentRecord) -> str:
    """Say what this test set can show, of the two best families."""
    judging, ranked = record.judging, tuned_models(record)
    if judging is None or len(ranked) < 2:
        return ""
    best, second = ranked[:2]
    found = record.difference(second.name, best.name)
    if found is None or math.isnan(found.detectable):
        return ""
    text = (
        f"With 80 % power this test set detects a true difference of "
        f"{amount(record, found.detectable)} between {name_of(record, best)} and "
        f"{name_of(record, second)}; "
        f"{describe_users_needed(record, found)}."
    )
    if found.two_way_ratio is not None:
        text += (
            " The standard error of that difference over users and titles is "
            f"{found.two_way_ratio:.2f} times that over users alone; the larger is used."
        )
    return text


def _about_answers(record: ExperimentRecord) -> str:
    judging = record.judging
    assert judging is not None
    whose = "the file's" if judging.margin_declared else "the default"
    n_pairs = sum(found.group == "families" for found in judging.differences)
    return (
        f"Differences up to {objective(record).tolerance(judging.margin, unit(record))} do not "
        f"matter ({whose} "
        "margin). The answer is read off the interval of the difference: worse where all of "
        "it lies above the margin, equivalent where all of it lies within, else undecided: "
        "this test set cannot tell. Intervals of differences are adjusted for the "
        f"{n_pairs} pairs of models (Holm): the probability that any of the answers is false "
        f"is at most {percent(1 - judging.confidence)}."
    )


def _about_bias(record: ExperimentRecord) -> str:
    """Name the families that are not worth their cost."""
    bias = record.baseline()
    lines = []
    for model in tuned_models(record):
        found = compare(record, model, bias)
        if bias is None or found is None or beats_bias_of(record, key_of(model)):
            continue
        # Not "worse": that is by more than the margin.
        side = side_of(record, found.value).comparative
        chance = ", which may be chance" if found.outcome == "unclear" else ""
        how = (
            f"its {objective(record).label} is {side} by "
            f"{with_unit(record, size_cell(found, objective(record)))}{chance} "
            f"(p {found.p_text})"
        )
        name = name_of(record, model)
        lines.append(
            f"{name} **does not beat the {escape(bias.name)} baseline**: {how}."
        )
    return listed(lines)


def _notes(record: ExperimentRecord) -> str:
    lines = [
        f"{label(record, candidate)}: {escape(family.note, longest=LONGEST)}"
        for candidate, family in record.spec.families.items()
        if family.note
    ]
    return paragraphs("What the initial settings are:", listed(lines)) if lines else ""


Speaks = Literal["for", "against"]
_SPEAKS: tuple[Speaks, ...] = ("for", "against")

MOST_NAMED = 2
"""More families than these are counted, not named."""


@dataclass(frozen=True, slots=True)
class Trait:
    """Something that a family is best or worst at."""

    side: Speaks
    text: str
    # What it is about; None where it is about the error itself.
    measure: Measure | None = None


def describe_traits(found: Sequence[Trait]) -> str:
    """Say what speaks for and against a family."""
    parts = [
        f"{side}: {', '.join(texts)}"
        for side in ("for", "against")
        if (texts := [trait.text for trait in found if trait.side == side])
    ]
    return "; ".join(parts) or "-"


def traits(record: ExperimentRecord, candidate: str) -> list[Trait]:
    """Find what speaks for and against a family: of each kind of measure one thing.

    What the file prefers is looked at first.
    """
    if record.model(candidate) is None:
        return []
    found = list(_errors(record, candidate))
    kinds = set[tuple[str, str]]()
    prefer = record.spec.decision.prefer
    measures = [
        measure
        for measure in MEASURES.values()
        if measure.direction is not None
        and measure.kind in {"cold start", "ranking", "cost"}
        and measure.name != record.metric.name
    ]
    for measure in sorted(measures, key=lambda m: m.name not in prefer):
        for side in _SPEAKS:
            alike = _at_end(record, measure, side)
            if candidate in alike and (measure.kind, side) not in kinds:
                kinds.add((measure.kind, side))
                text = _extreme(record, measure, side, [candidate, *alike])
                found.append(Trait(side, text, measure))
    return found


def _extreme(
    record: ExperimentRecord, measure: Measure, side: Speaks, alike: Sequence[str]
) -> str:
    """Say that the first of some families is at an end, alone or with the others."""
    candidate, *others = dict.fromkeys(alike)
    value = measure.format(measured(record, measure.name, candidate))
    if measure.kind == "cost" and estimate(record, measure.name, candidate) is None:
        value += ", measured once"
    is_low = (side == "for") == (measure.direction == "minimize")
    if not others:
        return f"{'lowest' if is_low else 'highest'} {escape(measure.label)} ({value})"
    return (
        f"{'low' if is_low else 'high'} {escape(measure.label)} ({value}; "
        f"{_not_told_apart(record, others)})"
    )


def _not_told_apart(record: ExperimentRecord, others: Sequence[str]) -> str:
    names = [label(record, other) for other in others]
    shown = in_words(names) if len(names) <= MOST_NAMED else f"{len(names)} others"
    return f"not told apart from {shown}"


def _errors(record: ExperimentRecord, candidate: str) -> Iterator[Trait]:
    lowest, *others = tuned_models(record)
    good, name = better(record), objective(record).label
    own = next(m for m in (lowest, *others) if m.candidate == candidate)
    alike = [
        m for m in (lowest, *others) if m is not own and _may_be_chance(record, m, own)
    ]
    # As with other measures, nobody is at an end that more than half of all share.
    n_lowest = 1 + sum(_may_be_chance(record, m, lowest) for m in others)
    is_end = 2 * n_lowest <= 1 + len(others)
    if own is lowest and others and is_end:
        names = [key_of(model) for model in alike]
        yield Trait(
            "for",
            f"{good.plain} {name} ({_not_told_apart(record, names)})"
            if names
            else f"{good.superlative} {name} of the families",
        )
    elif lowest in alike and is_end:
        shown = _not_told_apart(record, [key_of(lowest)])
        yield Trait("for", f"{good.plain} {name} ({shown})")
    if record.baseline() is not None and not beats_bias_of(record, candidate):
        yield Trait("against", "does not beat the bias baseline")
    elif own is not lowest and lowest not in alike:
        gap = objective(record).amount(record.loss_of(own) - record.loss_of(lowest))
        yield Trait(
            "against", f"{name} {gap} {worse(record).place} the {good.superlative}"
        )


def _may_be_chance(
    record: ExperimentRecord, one: ModelResult, other: ModelResult
) -> bool:
    found = record.difference(one.name, other.name)
    # A difference below the margin speaks for nobody, however significant.
    return (
        found is None
        or found.answer == "equivalent"
        or as_comparison(record, found).outcome == "unclear"
    )


def _at_end(record: ExperimentRecord, measure: Measure, side: Speaks) -> list[str]:
    """Name the families at the better or the worse end, where that is worth a word.

    They are those that are not told apart from the one at the end: at most half of all.
    """
    values = {
        key_of(m): value
        for m in tuned_models(record)
        if (value := m.value(measure.name)) is not None
    }
    if len(values) < 2:
        return []
    is_low = (side == "for") == (measure.direction == "minimize")
    end = (min if is_low else max)(values, key=values.__getitem__)
    alike = [c for c in values if c == end or not _told_apart(record, measure, end, c)]
    return alike if 2 * len(alike) <= len(values) else []


def _told_apart(
    record: ExperimentRecord, measure: Measure, one: str, other: str
) -> bool:
    """Say whether two values differ noticeably, and beyond their ranges or chance."""
    values = (measured(record, measure.name, c) for c in (one, other))
    low, high = sorted(value for value in values if value is not None)
    good, bad = (low, high) if measure.direction == "minimize" else (high, low)
    if not record.spec.decision.is_noticeable(
        measure.name, better=good, worse=bad
    ) or measure.format(low) == measure.format(high):
        return False
    if measure.kind != "cost":
        return not may_be_chance(record, measure.name, one, other)
    ranges = [estimate(record, measure.name, c) for c in (one, other)]
    known = sorted((r for r in ranges if r is not None), key=lambda r: r.value)
    # Of one that was measured once the range is not known, which is said.
    return len(known) < 2 or known[0].high < known[1].low


def tuning(context: Context) -> str:
    """Say what tuning is worth for each family."""
    record = context.record
    rows = [row for m in tuned_models(record) if (row := _tuning_row(record, m))]
    if not rows:
        return ""
    head = [
        "family",
        "initial",
        "tuned",
        f"tuned minus initial{amount_unit(record)} [adjusted]",
        "p (adjusted)",
        "change",
    ]
    adjusted = (
        f"Intervals and p are adjusted for these {len(rows)} comparisons (Holm)."
        if len(rows) > 1
        else ""
    )
    return paragraphs(
        "### What tuning is worth", table(head, rows, align="lrrrrl"), adjusted
    )


def _tuning_row(record: ExperimentRecord, model: ModelResult) -> list[str]:
    initial = record.model(key_of(model), "initial")
    found = compare(record, model, initial)
    if found is None or initial is None:
        return []
    words = {
        "better": f"{better(record).comparative}, beyond chance",
        "worse": f"**{worse(record).comparative}, beyond chance**",
        "unclear": "may be chance",
    }
    said = words[found.outcome]
    cells = [name_of(record, model), level(record, initial), level(record, model)]
    # The initial settings also have what is not active.
    if dict(initial.params).items() >= dict(model.params).items():
        return [*cells, "-", "-", "the same settings: none better was found"]
    if found.low == found.high == 0:
        said = "the same predictions"
    return [*cells, *change_cells(found, objective(record)), said]


def pairs(context: Context) -> str:
    """Lay out how any two of the tuned models and the bias baseline differ, folded."""
    record = context.record
    ranked = sorted(rivals(record), key=record.loss_of)
    found = [_pair_row(record, one, other) for one, other in combinations(ranked, 2)]
    rows = [row for row in found if row]
    if len(rows) < 2:
        return ""
    name = objective(record).label
    good, bad = better(record).comparative, worse(record).comparative
    head = [f"{good} {name}", f"{bad} {name}"]
    head += [f"{bad} by{amount_unit(record)} [adjusted]", "p (adjusted)"]
    head += ["of the gap", "P better / equivalent / worse", f"the {bad} is"]
    bias = record.baseline()
    gap = (
        f"of the gap: in % of what lies between the {better(record).superlative} {name} "
        "and that of the "
        f"{escape(bias.name)} baseline. "
        if bias is not None
        else ""
    )
    return fold(
        "All pairs of models",
        paragraphs(
            table(head, rows, align="llrrrrl"),
            f"Differences on the same test ratings; {gap}P: probabilities of a difference "
            "beyond and within the margin, not adjusted. p: of the test for no difference, "
            f"adjusted like the interval. {_about_answers(record)}",
        ),
    )


def _pair_row(
    record: ExperimentRecord, one: ModelResult, other: ModelResult
) -> list[str]:
    """Compare the second with the first, which is not worse; empty if untested."""
    found = record.difference(other.name, one.name)
    if found is None:
        return []
    difference = as_comparison(record, found)
    return [
        name_of(record, one),
        name_of(record, other),
        size_cell(difference, objective(record)),
        p_value(difference.p_value),
        _share_of_gap(record, found.value),
        _probabilities(found),
        found.answer if found.answer == "worse" else f"**{found.answer}**",
    ]


def _probabilities(found: Difference) -> str:
    p = found.probability
    if p is None or math.isnan(p.better):
        return "-"
    return " / ".join(map(probability, (p.better, p.equivalent, p.worse)))


def _share_of_gap(record: ExperimentRecord, difference: float) -> str:
    """Write a difference in % of the gap between the bias baseline and the best family."""
    bias, ranked = record.baseline(), tuned_models(record)
    loss = record.loss_of
    gap = loss(bias) - loss(ranked[0]) if bias and ranked else 0.0
    return percent(difference / gap, 1) if gap > 0 else "-"


def lists(context: Context) -> str:
    """Compare the top tens of the tuned models."""
    record = context.record
    measures = measures_of(record, "ranking")
    models = [m for m in rivals(record) if any(n.name in m.measures for n in measures)]
    if not models or not measures or record.judging is None:
        return ""
    n_asked = models[0].n_ranked_users
    return paragraphs(
        "## Quality of the lists",
        f"The top 10 of {_listed_users(record.judging)}. Measures of hits are means over "
        f"the {n_asked:,} of them who rated a title there "
        f"{setting(liked_from(*record.dataset.scale))} or higher. Low values are usual: most "
        "titles that a user would like have no rating there. "
        f"{BOLD}",
        models_by_measure(record, models, measures),
        definitions(measures),
    )


def _listed_users(judging: Judging) -> str:
    """Say whose lists were judged."""
    n_all, n_listed = judging.n_test_users, judging.n_listed_users
    if n_listed is None:
        return f"the {n_all:,} users of the test set"
    return (
        f"{n_listed:,} of the {n_all:,} users of the test set, drawn at random, the same "
        "for all models and enough for the digits of all means; catalogue coverage is "
        "that of their lists alone"
    )


def costs(context: Context) -> str:
    """Say what each tuned model costs."""
    record = context.record
    measures = measures_of(record, "cost")
    # Of others only the training time is known.
    models = [m for m in rivals(record) if key_of(m) in record.costs]
    missing = "\n".join(
        f"- {label(record, key)}: not measured: {why}"
        for key, why in record.not_measured.items()
    )
    if not models or not measures:
        return paragraphs("## Costs", missing) if missing else ""
    picture = (
        ""
        if record.is_study
        else context.figure(
            draw_pareto, "pareto.png", f"{objective(record).label} against latency"
        )
    )
    return paragraphs(
        "## Costs",
        models_by_measure(record, models, [*measures, objective(record)]),
        missing,
        _how_measured(record),
        picture,
        _about_front(record) if picture else "",
    )


def _how_measured(record: ExperimentRecord) -> str:
    first = next(iter(record.costs.values()))
    counts = {
        label(record, key): found.n_processes for key, found in record.costs.items()
    }
    n = max(counts.values())
    fewer = [f"{name} in {k}" for name, k in counts.items() if k < n]
    how = (
        "Each model was trained and asked in a fresh process, once: how far that varies is "
        "not known."
        if n == 1
        else f"Each model was trained and asked in {n} fresh processes: median [lowest, "
        "highest]."
    )
    if fewer:
        how += f" Fewer where one took long: {', '.join(fewer)}."
    sums = [label(record, key) for key, found in record.costs.items() if found.is_sum]
    if sums:
        how += (
            f" The costs of {', '.join(sums)} are the sums of its parts', which for "
            "percentiles and peaks is an upper bound."
        )
    return (
        f"{how} Bold: the best median; ranges that overlap do not tell models apart. Warmed "
        "up, one after the other on the same machine. Latency: time of one user's top 10 of "
        f"{first.n_titles:,} titles, percentiles of {first.n_calls:,} calls. Peak memory "
        "comes on top of Python, the libraries and the data."
    )


def _about_front(record: ExperimentRecord) -> str:
    found = {
        key_of(m): (measured(record, "latency_p95_ms", key_of(m)), record.loss_of(m))
        for m in rivals(record)
    }
    known = {k: (ms, loss) for k, (ms, loss) in found.items() if ms is not None}
    names = [label(record, key) for key in known]
    front = pareto_front(list(known.values()))
    name = f"{better(record).comparative} {objective(record).label}"
    if len(front) == 1:
        best = names[front[0]]
        return f"No other model has a {name} than {best}, or a lower p95 latency."
    return (
        f"Pareto-optimal by {objective(record).label} and p95 latency, so that no other "
        f"model is better in both: {', '.join(names[place] for place in front)}."
    )
