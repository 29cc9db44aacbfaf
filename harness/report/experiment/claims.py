"""Section: each published figure, with its words, beside what was measured."""

from collections import Counter
from collections.abc import Mapping

from harness.experiment.claims import JudgedClaim, Verdict
from harness.experiment.measures import DATA, PARAM
from harness.experiment.spec import Claim
from harness.report.experiment.contradictions import contradictions
from harness.report.experiment.differences import differences
from harness.report.experiment.draft import LONGEST, Draft, paragraphs
from harness.report.experiment.quantities import (
    write,
    write_difference,
    write_published,
    write_tolerance,
)
from harness.report.experiment.variants import variants
from harness.report.markdown import escape, table

__all__ = ["claims"]

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
    """Judge the published figures.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty if the file has none, and no variants either.
    """
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
