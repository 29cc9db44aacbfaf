"""Section: every pair of tuned families on the same test pairs, and how sure it is."""

from itertools import combinations

from harness.experiment.record import ExperimentRecord
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import Model, compare, name_of, rivals
from harness.report.markdown import table

__all__ = ["pairs"]


def pairs(draft: Draft) -> str:
    """Lay out how any two of the tuned models and the bias baseline differ.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty where fewer than two pairs were compared.
    """
    record = draft.record
    ranked = sorted(rivals(record), key=lambda m: float(m["metrics"]["rmse"]["value"]))
    found = [_row(record, one, other) for one, other in combinations(ranked, 2)]
    rows = [row for row in found if row]
    if len(rows) < 2:
        return ""
    head = ["lower RMSE", "higher RMSE", "higher by, in stars [95 % interval]"]
    head += ["p (Holm)", "in words"]
    return paragraphs(
        "### All pairs",
        table(head, rows, align="llrrl"),
        "Differences of the test RMSE on the same test ratings and the same draws of "
        f"users. p: corrected for these {len(rows)} comparisons; a pair with a p of "
        f"{record.spec.decision.significance:g} or more is indistinguishable.",
    )


def _row(record: ExperimentRecord, one: Model, other: Model) -> list[str]:
    """Compare the second with the first, whose RMSE is not above its; empty if untested."""
    difference = compare(record, other, one)
    if difference is None:
        return []
    is_tied = difference.outcome == "tied"
    better, worse = name_of(record, one), name_of(record, other)
    words = "**indistinguishable**" if is_tied else f"{better} is better"
    p_value = difference.p_text.removeprefix("= ")
    return [better, worse, difference.size, p_value, words]
