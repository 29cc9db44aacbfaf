"""Section: whether the acceptance criteria of the file hold."""

from harness.experiment.criteria import CheckedCriterion, check_criteria
from harness.experiment.record import ExperimentRecord
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import label
from harness.report.experiment.quantities import label as metric_label
from harness.report.experiment.quantities import write, write_published
from harness.report.markdown import table

__all__ = ["criteria"]


def criteria(draft: Draft) -> str:
    """Check the acceptance criteria.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty if the file has none.
    """
    checked = check_criteria(draft.record)
    if not checked:
        return ""
    n_failed = sum(not each.passed for each in checked)
    passed = {1: "It holds.", 2: "Both hold."}.get(
        len(checked), f"All {len(checked)} hold."
    )
    failed = (
        f"**{n_failed} of {len(checked)} fail.** `harness run --check` exits with 1."
    )
    rows = [_row(draft.record, each) for each in checked]
    return paragraphs(
        "## Acceptance criteria",
        failed if n_failed else passed,
        table(["metric", "of", "measured", "required", ""], rows, align="llrrl"),
    )


def _row(record: ExperimentRecord, checked: CheckedCriterion) -> list[str]:
    criterion = checked.criterion
    bounds = {"at least": criterion.at_least, "at most": criterion.at_most}
    required = [
        f"{words} {write_published(criterion.metric, bound)}"
        for words, bound in bounds.items()
        if bound is not None
    ]
    passed = f"pass, but {checked.doubt}" if checked.doubt else "pass"
    return [
        metric_label(criterion.metric),
        label(record, checked.candidate),
        write(criterion.metric, checked.measured),
        ", ".join(required),
        passed if checked.passed else "**FAIL**",
    ]
