"""Section: published figures held against each other."""

from harness.experiment.consistency import Contradiction, find_contradictions
from harness.experiment.spec import ExperimentSpec
from harness.report.experiment.draft import LONGEST, paragraphs
from harness.report.markdown import escape

__all__ = ["contradictions"]


def contradictions(spec: ExperimentSpec) -> str:
    """Work out what the published figures say together.

    Parameters
    ----------
    spec : ExperimentSpec
        What the experiment file says.

    Returns
    -------
    str
        Markdown; empty if they fit together.
    """
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
