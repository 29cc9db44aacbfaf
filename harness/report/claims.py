"""Published figures and data beside measured ones."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.experiment.claims import (
    Contradiction,
    JudgedClaim,
    Verdict,
    find_contradictions,
)
from harness.experiment.measures import DATA, PARAM, measured
from harness.experiment.spec import Claim, ExperimentSpec, Variant
from harness.formatting import Comparison, setting, stars
from harness.report.context import (
    LONGEST,
    Draft,
    compare,
    label,
    paragraphs,
    tuned_models,
    write,
    write_difference,
    write_published,
    write_tolerance,
)
from harness.report.data import DEFINITIONS, NOTHING, characteristics_table
from harness.report.figures import draw_characteristics
from harness.report.markdown import code, escape, table
from harness.report.tables import data_table

__all__ = ["claims", "compare_lowest", "data", "published_rmse"]


def contradictions(spec: ExperimentSpec) -> str:
    """Work out what the published figures say together."""
    found = find_contradictions(spec)
    apart = [c for c in found if c.kind == "contradiction"]
    odd = [c for c in found if c.kind == "remark"]
    return paragraphs(
        "### Do the published figures fit together?" if found else "",
        "These cannot be true together, unless the test ratings were unlike the rest:"
        if apart
        else "",
        "\n".join(map(_line, apart)),
        "These can, but it is worth knowing:" if odd else "",
        "\n".join(map(_line, odd)),
    )


def _line(found: Contradiction) -> str:
    return f"- **{escape(', '.join(found.figures), longest=LONGEST)}.** {escape(found.sentence, longest=LONGEST)}"


FAR = 0.05
"""By what share the lowest RMSE must be above the published one to be called far."""

SIMULATED = (
    "The ratings are simulated from the published characteristics. That these are found "
    "again shows that the simulation does as it was told, not that the publication is "
    "right; the errors of the models were not put in, but follow from such ratings."
)


def differences(draft: Draft) -> str:
    """Say how errors and spread of the ratings compare with the published ones."""
    record = draft.record
    published = published_rmse(draft)
    if not published or not tuned_models(record):
        return ""
    lines = [compare_lowest(draft)[1], _spread(draft, published), _order(draft)]
    listed = "\n".join(f"- {line}" for line in lines if line)
    kind = "simulated" if record.dataset.get("simulated") else "real"
    return paragraphs(
        f"### How these {kind} ratings compare with the publication's",
        SIMULATED if kind == "simulated" else "",
        listed,
    )


def published_rmse(draft: Draft) -> dict[str, float]:
    """Collect the published RMSE of the candidates."""
    found: dict[str, float] = {}
    for candidate in draft.record.spec.families:
        value = draft.published("rmse", candidate)
        if isinstance(value, float | int):
            found[candidate] = float(value)
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def compare_lowest(draft: Draft) -> tuple[bool, str]:
    """Compare the lowest RMSE that was published with the lowest measured one."""
    record, published = draft.record, published_rmse(draft)
    tuned = tuned_models(record)
    if not published or not tuned:
        return False, ""
    family, lowest = next(iter(published.items()))
    here, name = tuned[0]["metrics"]["rmse"], label(record, tuned[0]["candidate"])
    text = (
        f"The lowest published RMSE is {lowest:g} ({label(record, family)}). The lowest "
        f"here, of all tuned families, is {stars(here['value'])} ({name})"
    )
    if here["low"] <= lowest <= here["high"]:
        return False, f"{text}: its 95 % interval includes the published figure."
    share = here["value"] / lowest - 1
    size = f"{100 * abs(share):.0f} % {'higher' if share > 0 else 'lower'}"
    if share <= FAR:
        return False, f"{text}: {size}."
    end = "no family comes near the published figure on these ratings"
    return True, f"{text}: {size}; {end}."


def _spread(draft: Draft, published: dict[str, float]) -> str:
    record = draft.record
    variance = (record.final or {}).get("test_variance")
    family, lowest = next(iter(published.items()))
    winner = draft.decision.winner if draft.decision else family
    r2 = measured(record, "r2", winner)
    if not variance or r2 is None:
        return ""
    text = f"The test ratings have a variance of {variance:.4f}"
    stated = draft.published("data.variance")
    if isinstance(stated, float | int):
        text += f" ({stated:g} published, of all ratings)"
    return (
        f"{text}; predicting their mean gives an RMSE of {stars(variance**0.5)}. An RMSE "
        f"of {lowest:g} on them would mean an R² of {1 - lowest**2 / variance:.3f}; "
        f"{label(record, winner)}, tuned, has {write('r2', r2)}."
    )


def _order(draft: Draft) -> str:
    """Compare the published order of the families with that of the initial settings."""
    record = draft.record
    errors = {c: measured(record, "rmse", c, "initial") for c in published_rmse(draft)}
    known = {c: rmse for c, rmse in errors.items() if rmse is not None}
    if len(known) < 2:
        return ""
    here = sorted(known, key=lambda c: known[c])
    names = ", ".join(f"{label(record, c)} ({stars(known[c])})" for c in here)
    same = "the published one" if here == list(known) else "not the published one"
    return f"By the RMSE of the initial settings the order is {same}: {names}."


@dataclass(frozen=True, slots=True)
class _Scored:
    """A variant, its model, that of the initial settings, and how they differ."""

    variant: Variant
    model: Mapping[str, Any]
    initial: Mapping[str, Any]
    difference: Comparison


def variants(draft: Draft) -> str:
    """Compare each variant with the initial settings of its candidate."""
    found = _scored(draft)
    if not found:
        return ""
    head = ["variant", "of", "changed", "RMSE, initial", "RMSE, variant"]
    head += ["difference in stars", "p (Holm)"]
    lines = [_worth(each) + _share_of_gap(draft, each) for each in found]
    return paragraphs(
        table(head, [_variant_row(draft, each) for each in found], align="lllrrrr"),
        "\n".join(f"- {line}" for line in lines),
    )


def _scored(draft: Draft) -> list[_Scored]:
    record = draft.record
    models = {m["name"]: m for m in record.models if m["role"] == "variant"}
    found = []
    for variant in record.spec.variants:
        model = models.get(variant.name)
        initial = record.model(variant.candidate, "initial")
        difference = compare(record, model, initial)
        if model is not None and initial is not None and difference is not None:
            found.append(_Scored(variant, model, initial, difference))
    return found


def _variant_row(draft: Draft, scored: _Scored) -> list[str]:
    changes = (f"{k} = {setting(v)}" for k, v in scored.variant.params.items())
    found = scored.difference
    return [
        escape(scored.variant.name),
        label(draft.record, scored.variant.candidate),
        code(", ".join(changes)),
        stars(scored.initial["metrics"]["rmse"]["value"]),
        stars(scored.model["metrics"]["rmse"]["value"]),
        f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]",
        found.p_text.removeprefix("= "),
    ]


def _worth(scored: _Scored) -> str:
    found = scored.difference
    about = (
        f"{escape(scored.variant.name)} shows what {escape(scored.variant.shows)} does"
    )
    if found.outcome == "tied":
        return f"{about}: {found.size} stars, which may be chance (p {found.p_text})."
    verb = "lowers" if found.outcome == "better" else "raises"
    return f"{about}: it {verb} the RMSE by {found.size} stars (p {found.p_text})."


def _share_of_gap(draft: Draft, scored: _Scored) -> str:
    """Hold the gain against the gap to the family with the lowest published RMSE."""
    record, candidate = draft.record, scored.variant.candidate
    published = published_rmse(draft)
    if scored.difference.outcome != "better" or candidate not in published:
        return ""
    best = next(iter(published))
    level = measured(record, "rmse", best, "initial")
    if best == candidate or level is None:
        return ""
    gap = scored.initial["metrics"]["rmse"]["value"] - level
    if gap <= 0:
        return ""
    share = -scored.difference.value / gap
    # As it is printed: 99.8 % are not "most of it (100 %)".
    share = round(share, 2)
    most = "all" if share >= 1 else "most" if share >= 0.5 else "less than half"
    return (
        f" The published gap between {label(record, candidate)} ({published[candidate]:g}) "
        f"and {label(record, best)} ({published[best]:g}) is "
        f"{published[candidate] - published[best]:.4f} stars, that between their initial "
        f"settings here {stars(gap)}: this one change closes {most} of it "
        f"({share:.0%}).".replace("%", " %")
    )


_VERDICTS: Mapping[Verdict, str] = {
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


def claims(draft: Draft) -> str:
    """Judge the published figures."""
    worth = variants(draft)
    if not draft.claims:
        return paragraphs("## Variants", worth) if worth else ""
    publication = draft.record.spec.publication
    source = f"Publication: {escape(publication)}." if publication else ""
    return paragraphs(
        "## Published claims",
        source,
        _summary(draft),
        _table(draft),
        _reasons(draft),
        differences(draft),
        contradictions(draft.record.spec),
        paragraphs("### What a change of the initial settings is worth", worth)
        if worth
        else "",
    )


def _summary(draft: Draft) -> str:
    counts = Counter(map(_verdict, draft.claims))
    found = [f"{counts[v]} {_COUNTED[v]}" for v in _COUNTED if counts[v]]
    n = len(draft.claims)
    what = "One published figure" if n == 1 else f"{n} published figures"
    return (
        f"{what}: {'; '.join(found)}.{_put_in(draft)} Models are measured with their "
        "initial settings, except where a figure is marked as tuned."
    )


def _put_in(draft: Draft) -> str:
    """Say what a simulation cannot but reproduce."""
    of_data = [j.verdict for j in draft.claims if j.claim.metric.startswith(DATA)]
    n_put_in = of_data.count("reproduced")
    if not draft.record.dataset.get("simulated") or not n_put_in:
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


def _table(draft: Draft) -> str:
    rows = [
        [
            escape(judged.name),
            escape(judged.claim.quotation),
            _published(judged.claim),
            _measured(judged),
            _difference(judged),
            _verdict(judged),
        ]
        for judged in draft.claims
    ]
    head = ["figure", "in the publication", "published", "measured"]
    head += ["difference (allowed)", "verdict"]
    return table(head, rows, align="llrrrl")


def _published(claim: Claim) -> str:
    value = write_published(claim.metric, claim.value)
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
    size = write_difference(claim.metric, found, claim.value)
    allowed = write_tolerance(claim.metric, claim.tolerance)
    if claim.relative:
        allowed = f"{100 * claim.tolerance:g} %"
    # Below an upper bound anything is allowed.
    return f"{size} ({'+' if claim.at_most else '±'}{allowed})"


def _reasons(draft: Draft) -> str:
    """Say why, where the numbers of the table do not."""
    lines = [
        f"- {escape(judged.name)}: {escape(judged.why, longest=LONGEST)}"
        for judged in draft.claims
        if judged.verdict in {"contradicts another", "not testable"}
    ]
    why = "Why figures are not testable, or at odds with others:" if lines else ""
    return paragraphs(why, "\n".join(lines))


def data(draft: Draft) -> str:
    """Describe the ratings, and lay their characteristics beside the published ones."""
    record = draft.record
    notes = "\n".join(f"- {escape(note)}" for note in record.dataset.get("notes", ()))
    return paragraphs(
        "## Data and split",
        data_table(record),
        "What the reader repaired, left out or assumed:" if notes else "",
        notes,
        _characteristics(draft),
    )


def _characteristics(draft: Draft) -> str:
    profile = draft.record.profile
    if not profile:
        return ""
    published = {
        name: value
        for name in profile
        if (value := draft.published(DATA + name)) is not None
    }
    shown = characteristics_table(profile, published)
    # Without published values two of the columns would be empty.
    width = len(shown.head) if published else 2
    rows = [[_cell(text) for text in row[:width]] for row in shown.rows]
    compared = ", published and measured" if published else ""
    return paragraphs(
        f"### Characteristics{compared}",
        table(shown.head[:width], rows, align="lrrr"[:width]),
        draft.figure(
            draw_characteristics,
            "data.png",
            f"Characteristics of the ratings{compared}",
        ),
        DEFINITIONS if published else "",
    )


def _cell(text: str) -> str:
    # A dash is ours: there is nothing to show.
    return text if text == NOTHING else escape(text)
