"""Section: the ratings and their split; their characteristics, published and measured."""

from harness.experiment.measures import DATA
from harness.report.data_report import DEFINITIONS
from harness.report.data_tables import NOTHING, characteristics_table
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment_figures import draw_characteristics
from harness.report.markdown import escape, table
from harness.report.study_tables import data_table

__all__ = ["data"]


def data(draft: Draft) -> str:
    """Describe the ratings, and lay their characteristics beside the published ones.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown.
    """
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
