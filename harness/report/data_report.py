"""The report on a data set: a markdown file and its figures."""

from collections.abc import Sequence
from pathlib import Path

from harness.data.dataset import Dataset
from harness.errors import DataError
from harness.report.data_figures import DataFigure, draw_data_figures
from harness.report.data_tables import DataTable
from harness.report.markdown import code, escape, table
from harness.report.style import save_figure

__all__ = ["DEFINITIONS", "SIMULATED", "write_data_report"]

SIMULATED = (
    "The ratings of this data set are simulated: what is measured on them says nothing "
    "about real people."
)

DEFINITIONS = """\
The published study prints its figures without definitions. Here:

- Sparsity: share of the pairs of users and rated titles without a rating.
- Ratings per user and week: all ratings over the sum of the users' weeks of membership, \
from first to last rating, at least one week each.
- Peak hours: the three consecutive hours with most ratings.
- Weekend day to weekday: ratings on an average Saturday or Sunday over those on an \
average day from Monday to Friday.
- Primary genre affinity: share of a user's ratings that go to titles of the genre that \
most of them go to, averaged over ratings. The study calls it a correlation of 72 %, \
without saying of what.
- Genre diversity: probability that two genres drawn from those of the titles that a \
user has rated differ (Gini-Simpson index), averaged over ratings."""

ABOUT_FEATURES = (
    "Known: share of the users or titles with a rating, or of the ratings. The spread is "
    "the standard deviation. Biases and preferences are shrunk: little is concluded from "
    "few ratings. Here they come from all ratings; a model gets those of the training "
    "part alone."
)
"""Stands below the tables of features."""


def write_data_report(
    dataset: Dataset, tables: Sequence[DataTable], folder: Path
) -> Path:
    """Write ``describe.md`` and its figures.

    Parameters
    ----------
    dataset : Dataset
        What to draw.
    tables : sequence of DataTable
        Its numbers.
    folder : Path
        Made if it does not exist; files of an earlier report are replaced.

    Returns
    -------
    Path
        The markdown file.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    figures = draw_data_figures(dataset)
    path = folder / "describe.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for figure, drawn in figures.items():
            save_figure(drawn, folder / f"{figure.name}.png")
        text = _markdown(dataset, tables, list(figures))
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(
            f"{folder}: the report needs a folder that can be written, but "
            f"{error.strerror or error}; name another with --out."
        ) from error
    return path


def _markdown(
    dataset: Dataset, tables: Sequence[DataTable], figures: list[DataFigure]
) -> str:
    parts = [f"# Data: {escape(dataset.name)}"]
    if dataset.simulated:
        parts.append(f"**{SIMULATED}**")
    parts.append(
        f"Source {code(dataset.source)}, fingerprint {code(dataset.fingerprint)}."
    )
    if dataset.notes:
        parts.append("What the reader notes:")
        parts.append("\n".join(f"- {escape(note)}" for note in dataset.notes))
    for shown in tables:
        parts += [f"## {shown.title}", _as_markdown(shown)]
        if "published" in shown.head:
            parts.append(DEFINITIONS)
    if any(shown.head[0] == "feature" for shown in tables):
        parts.append(ABOUT_FEATURES)
    parts.append("## Figures")
    parts += [f"![{f.caption}]({f.name}.png)\n\n{f.caption}" for f in figures]
    return "\n\n".join(parts) + "\n"


def _as_markdown(shown: DataTable) -> str:
    n_numbers = len(shown.head) - shown.n_words
    return table(shown.head, shown.rows, align="l" * shown.n_words + "r" * n_numbers)
