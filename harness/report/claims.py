"""What was published or required, beside what was measured."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.results import ModelResult
from harness.experiment.decision import describe_bounds
from harness.experiment.measured import DATA, PARAM, measure_named, measured
from harness.experiment.results import (
    CheckedCriterion,
    ClaimVerdict,
    Contradiction,
    ExperimentRecord,
    JudgedClaim,
)
from harness.experiment.spec import Claim, Variant
from harness.formatting import Comparison, percent, setting
from harness.report.context import (
    LONGEST,
    Context,
    amount_unit,
    compare,
    error,
    error_of,
    label,
    level,
    listed,
    objective,
    paragraphs,
    side_of,
    tuned_models,
    unit,
    with_unit,
    write,
)
from harness.report.markdown import code, escape, table
from harness.report.tables import change_cells, size_cell

__all__ = [
    "Published",
    "claims",
    "criteria",
    "lowest_published",
    "published_rmse",
    "variants",
]


def contradictions(record: ExperimentRecord) -> str:
    """Work out what the published figures say together."""
    found = record.contradictions
    apart = [_line(c) for c in found if c.kind == "contradiction"]
    odd = [_line(c) for c in found if c.kind == "remark"]
    return paragraphs(
        "### Do the published figures fit together?" if found else "",
        "These cannot be true together, unless the test ratings were unlike the rest:"
        if apart
        else "",
        listed(apart),
        "These can, but it is worth knowing:" if odd else "",
        listed(odd),
    )


def _line(found: Contradiction) -> str:
    figures = escape(", ".join(found.figures), longest=LONGEST)
    return f"**{figures}.** {escape(found.sentence, longest=LONGEST)}"


FAR = 0.05
"""By what share the lowest RMSE must be above the published one to be called far."""

SIMULATED = (
    "The ratings are simulated from the published characteristics. That these are found "
    "again shows that the simulation does as it was told, not that the publication is "
    "right; the errors of the models were not put in, but follow from such ratings."
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """The lowest published RMSE beside the lowest measured one."""

    # By what share the measured one is above the published one.
    share: float
    # Whether it is far above, its interval included.
    is_far: bool
    text: str


def differences(context: Context) -> str:
    """Say how errors and spread of the ratings compare with the published ones."""
    record = context.record
    lowest = lowest_published(record)
    if lowest is None:
        return ""
    kind = "simulated" if record.dataset.simulated else "real"
    return paragraphs(
        f"### How these {kind} ratings compare with the publication's",
        SIMULATED if kind == "simulated" else "",
        listed(
            [escape(lowest.text, longest=LONGEST), _spread(context), _order(context)]
        ),
    )


def published_rmse(record: ExperimentRecord) -> dict[str, float]:
    """Collect the published RMSE of the candidates, the lowest first."""
    found: dict[str, float] = {}
    for claim in record.spec.claims:
        known = claim.candidate in record.spec.families and claim.candidate not in found
        is_number = isinstance(claim.value, float | int) and claim.value > 0
        if claim.metric == "rmse" and known and is_number:
            found[str(claim.candidate)] = float(claim.value)
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def lowest_published(record: ExperimentRecord) -> Published | None:
    """Compare the lowest RMSE that was published with the lowest measured one."""
    published, tuned = published_rmse(record), tuned_models(record)
    if not published or not tuned:
        return None
    family, lowest = next(iter(published.items()))
    best = min(tuned, key=error_of)
    here, name = best.rmse, record.spec.label(str(best.candidate))
    share = here.value / lowest - 1
    text = (
        f"The lowest published RMSE is {lowest:g} ({record.spec.label(family)}). The lowest "
        f"here, of all tuned families, is {error(here.value)} ({name})"
    )
    if here.low <= lowest <= here.high:
        text += ": its interval includes the published figure."
        return Published(share=share, is_far=False, text=text)
    text += f": {percent(abs(share))} {'higher' if share > 0 else 'lower'}"
    is_far = share > FAR
    end = (
        "; no family comes near the published figure on these ratings" if is_far else ""
    )
    return Published(share=share, is_far=is_far, text=f"{text}{end}.")


def _spread(context: Context) -> str:
    record = context.record
    family, lowest = next(iter(published_rmse(record).items()))
    winner = record.decision.winner if record.decision else family
    r2 = measured(record, "r2", winner)
    variance = None if record.judging is None else record.judging.test_variance
    if not variance or r2 is None:
        return ""
    text = f"The test ratings have a variance of {variance:.4f}"
    stated = context.published("data.variance")
    if isinstance(stated, float | int):
        text += f" ({stated:g} published, of all ratings)"
    return (
        f"{text}; predicting their mean gives an RMSE of {error(variance**0.5)}. An RMSE "
        f"of {lowest:g} on them would mean an R² of {1 - lowest**2 / variance:.3f}; "
        f"{label(record, winner)}, tuned, has {write('r2', r2)}."
    )


def _order(context: Context) -> str:
    """Compare the published order of the families with that of the initial settings."""
    record = context.record
    errors = {c: measured(record, "rmse", c, "initial") for c in published_rmse(record)}
    known = {c: rmse for c, rmse in errors.items() if rmse is not None}
    if len(known) < 2:
        return ""
    here = sorted(known, key=lambda c: known[c])
    names = ", ".join(f"{label(record, c)} ({error(known[c])})" for c in here)
    same = "the published one" if here == list(known) else "not the published one"
    return f"By the RMSE of the initial settings the order is {same}: {names}."


@dataclass(frozen=True, slots=True)
class _Scored:
    """A variant, its model, that of the initial settings, and how they differ."""

    variant: Variant
    model: ModelResult
    initial: ModelResult
    difference: Comparison


def variants(context: Context) -> str:
    """Compare each variant with the initial settings of its candidate."""
    record, found = context.record, _scored(context.record)
    if not found:
        return ""
    name = objective(record).label
    head = ["variant", "of", "changed", f"{name}, initial", f"{name}, variant"]
    head += [f"difference{amount_unit(record)} [adjusted]", "p (adjusted)"]
    lines = [_worth(record, each) + _share_of_gap(record, each) for each in found]
    return paragraphs(
        table(head, [_variant_row(record, each) for each in found], align="lllrrrr"),
        listed(lines),
    )


def _scored(record: ExperimentRecord) -> list[_Scored]:
    models = {m.name: m for m in record.models if m.role == "variant"}
    found = []
    for variant in record.spec.variants:
        model = models.get(variant.name)
        initial = record.model(variant.candidate, "initial")
        difference = compare(record, model, initial)
        if model is not None and initial is not None and difference is not None:
            found.append(_Scored(variant, model, initial, difference))
    return found


def _variant_row(record: ExperimentRecord, scored: _Scored) -> list[str]:
    changes = (f"{k} = {setting(v)}" for k, v in scored.variant.params.items())
    return [
        escape(scored.variant.name),
        label(record, scored.variant.candidate),
        code(", ".join(changes)),
        level(record, scored.initial),
        level(record, scored.model),
        *change_cells(scored.difference, objective(record)),
    ]


def _worth(record: ExperimentRecord, scored: _Scored) -> str:
    found, measure = scored.difference, objective(record)
    about = (
        f"{escape(scored.variant.name)} shows what {escape(scored.variant.shows)} does"
    )
    size = with_unit(record, size_cell(found, measure))
    if found.outcome == "unclear":
        return f"{about}: {size}, which may be chance (p {found.p_text})."
    is_lower = side_of(record, found.value).comparative == "lower"
    verb = "lowers" if is_lower else "raises"
    return f"{about}: it {verb} the {measure.label} by {size} (p {found.p_text})."


def _share_of_gap(record: ExperimentRecord, scored: _Scored) -> str:
    """Hold the gain against the gap to the family with the lowest published RMSE."""
    candidate, published = scored.variant.candidate, published_rmse(record)
    is_better = record.metric == OBJECTIVE and scored.difference.outcome == "better"
    if not is_better or candidate not in published:
        return ""
    best = next(iter(published))
    lowest = measured(record, "rmse", best, "initial")
    if best == candidate or lowest is None:
        return ""
    gap = error_of(scored.initial) - lowest
    if gap <= 0:
        return ""
    share = -scored.difference.value / gap
    # As it is printed: 99.8 % are not "most of it (100 %)".
    share = round(share, 2)
    most = "all" if share >= 1 else "most" if share >= 0.5 else "less than half"
    return (
        f" The published gap between {label(record, candidate)} ({published[candidate]:g}) "
        f"and {label(record, best)} ({published[best]:g}) is "
        f"{published[candidate] - published[best]:.4f} {unit(record)}, that between their "
        f"initial settings here {error(gap)}: this one change closes {most} of it "
        f"({percent(share)})."
    )


_VERDICTS: Mapping[ClaimVerdict, str] = {
    "reproduced": "reproduced",
    "not reproduced": "**not reproduced**",
    "contradicts another": "**contradicts another**",
    "not testable": "not testable here",
}
_AS_BOUND = "reproduced (as a bound)"
_SET_SO = "reproduced (set so)"

_COUNTED = {
    _VERDICTS["reproduced"]: "within tolerance",
    _AS_BOUND: "within a bound, on this machine",
    _SET_SO: "set as published, not measured",
    _VERDICTS["not reproduced"]: "not reproduced",
    _VERDICTS["contradicts another"]: "not reproduced, and at odds with another "
    "published one",
    _VERDICTS["not testable"]: "not testable here",
}
"""Verdict in the table to what is counted above it."""


def claims(context: Context) -> str:
    """Judge the published figures."""
    record, worth = context.record, variants(context)
    if not record.claims:
        return paragraphs("## Variants", worth) if worth else ""
    publication = record.spec.publication
    source = f"Publication: {escape(publication)}." if publication else ""
    return paragraphs(
        "## Published claims",
        source,
        _summary(record),
        _table(record),
        _reasons(record),
        differences(context),
        contradictions(record),
        paragraphs("### What a change of the initial settings is worth", worth)
        if worth
        else "",
    )


def _summary(record: ExperimentRecord) -> str:
    counts = Counter(map(_verdict, record.claims))
    found = [f"{counts[v]} {_COUNTED[v]}" for v in _COUNTED if counts[v]]
    n = len(record.claims)
    what = "One published figure" if n == 1 else f"{n} published figures"
    return (
        f"{what}: {'; '.join(found)}.{_put_in(record)} Models are measured with their "
        "initial settings, except where a figure is marked as tuned."
    )


def _put_in(record: ExperimentRecord) -> str:
    """Say what a simulation cannot but reproduce."""
    of_data = [j.verdict for j in record.claims if j.claim.metric.startswith(DATA)]
    n_put_in = of_data.count("reproduced")
    if not record.dataset.simulated or not n_put_in:
        return ""
    return (
        f" Of those within tolerance {n_put_in} describe the data, and are no finding: the "
        "simulation was made to have them."
    )


def _verdict(judged: JudgedClaim) -> str:
    """Tell figures that could have come out otherwise from those that could not."""
    claim, found = judged.claim, judged.measured
    if judged.verdict != "reproduced":
        return _VERDICTS[judged.verdict]
    if claim.metric.startswith(PARAM) and claim.role == "initial":
        return _SET_SO
    if claim.at_most and found is not None and found != claim.value:
        return _AS_BOUND
    return _VERDICTS["reproduced"]


def _table(record: ExperimentRecord) -> str:
    rows = [
        [
            escape(judged.name),
            escape(judged.claim.quotation),
            _published(judged.claim),
            _measured(judged),
            _difference(judged),
            _verdict(judged),
        ]
        for judged in record.claims
    ]
    head = ["figure", "in the publication", "published", "measured"]
    head += ["difference (allowed)", "verdict"]
    return table(head, rows, align="llrrrl")


def _published(claim: Claim) -> str:
    value = escape(measure_named(claim.metric).given(claim.value))
    return f"at most {value}" if claim.at_most else value


def _measured(judged: JudgedClaim) -> str:
    metric = judged.claim.metric
    value = write(metric, judged.measured)
    if judged.low is not None and judged.high is not None:
        value += f" [{write(metric, judged.low)}, {write(metric, judged.high)}]"
    is_tuned = judged.claim.candidate is not None and judged.claim.role == "tuned"
    return f"{value} (tuned)" if is_tuned else value


def _difference(judged: JudgedClaim) -> str:
    claim, found = judged.claim, judged.measured
    if isinstance(claim.value, str) or isinstance(found, str) or found is None:
        return "-"
    measure = measure_named(claim.metric)
    size = measure.difference(found, claim.value)
    allowed = measure.tolerance(claim.tolerance).removesuffix(" percentage points")
    if claim.relative:
        allowed = f"{100 * claim.tolerance:g} %"
    # Below an upper bound anything is allowed.
    return f"{size} ({'+' if claim.at_most else '±'}{allowed})"


def _reasons(record: ExperimentRecord) -> str:
    """Say why, where the numbers of the table do not."""
    lines = [
        f"{escape(judged.name)}: {escape(judged.why, longest=LONGEST)}"
        for judged in record.claims
        if judged.verdict in {"contradicts another", "not testable"}
    ]
    why = "Why figures are not testable, or at odds with others:" if lines else ""
    return paragraphs(why, listed(lines))


def criteria(context: Context) -> str:
    """Check the acceptance criteria."""
    checked = context.record.criteria
    if not checked:
        return ""
    n_failed = sum(not each.passed for each in checked)
    passed = {1: "It holds.", 2: "Both hold."}.get(
        len(checked), f"All {len(checked)} hold."
    )
    failed = (
        f"**{n_failed} of {len(checked)} fail.** `harness run --check` exits with 1."
    )
    rows = [_criterion_row(context.record, each) for each in checked]
    return paragraphs(
        "## Acceptance criteria",
        failed if n_failed else passed,
        table(["measure", "of", "measured", "required", ""], rows, align="llrrl"),
    )


def _criterion_row(record: ExperimentRecord, checked: CheckedCriterion) -> list[str]:
    criterion = checked.criterion
    measure = measure_named(criterion.metric)
    passed = f"pass, but {checked.doubt}" if checked.doubt else "pass"
    return [
        escape(measure.label),
        label(record, checked.candidate),
        write(criterion.metric, checked.measured),
        describe_bounds(criterion),
        passed if checked.passed else "**FAIL**",
    ]
