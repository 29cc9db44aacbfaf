"""The report on a data set: a markdown file and its figures."""

from pathlib import Path

from harness.data.dataset import Dataset
from harness.data.profile import DataProfile
from harness.errors import DataError
from harness.report.data_figures import DataFigure, draw_data_figures
from harness.report.data_tables import DataTable, data_tables
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


def write_data_report(dataset: Dataset, profile: DataProfile, folder: Path) -> Path:
    """Write ``describe.md`` and its figures.

    Parameters
    ----------
    dataset : Dataset
        What to draw.
    profile : DataProfile
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
        text = _markdown(dataset, data_tables(profile), list(figures))
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(
            f"{folder}: the report needs a folder that can be written, but "
            f"{error.strerror or error}; name another with --out."
        ) from error
    return path


def _markdown(
    dataset: Dataset, tables: tuple[DataTable, ...], figures: list[DataFigure]
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
    parts.append("## Figures")
    parts += [f"![{f.caption}]({f.name}.png)\n\n{f.caption}" for f in figures]
    return "\n\n".join(parts) + "\n"


def _as_markdown(shown: DataTable) -> str:
    return table(shown.head, shown.rows, align="l" + "r" * (len(shown.head) - 1))
