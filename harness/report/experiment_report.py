"""The model-selection report of an experiment: markdown, figures, and a page of both."""

from pathlib import Path

from harness.experiment.record import ExperimentRecord
from harness.report.experiment.beyond_accuracy import beyond_accuracy
from harness.report.experiment.chosen_model import chosen_model
from harness.report.experiment.claims import claims
from harness.report.experiment.cold_start import cold_start
from harness.report.experiment.comparison import comparison
from harness.report.experiment.criteria import criteria
from harness.report.experiment.data import data
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.efficiency import efficiency
from harness.report.experiment.explainability import explainability
from harness.report.experiment.optimism import optimism
from harness.report.experiment.pairs import pairs
from harness.report.experiment.reproduction import reproduction
from harness.report.experiment.searches import searches
from harness.report.experiment.verdict import opening
from harness.report.web_page import write_html
from harness.report.written_folder import write_folder

__all__ = ["write_experiment_report"]

REPORT = "report.md"
PAGE = "report.html"
FIGURES = (
    "rmse.png",
    "residuals.png",
    "data.png",
    "depth.png",
    "pareto.png",
    "blocks.png",
    "histories.png",
    "importance.png",
)
SECTIONS = (
    opening,
    comparison,
    pairs,
    chosen_model,
    data,
    cold_start,
    beyond_accuracy,
    efficiency,
    explainability,
    searches,
    optimism,
    claims,
    criteria,
    reproduction,
)


def write_experiment_report(record: ExperimentRecord, folder: Path) -> Path:
    """Write ``report.md``, its figures, and ``report.html`` that holds both.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment, finished or not; nothing is trained.
    folder : Path
        Made if it does not exist. An earlier report in it is replaced as a whole, or
        not at all; other files stay.

    Returns
    -------
    Path
        The markdown file.

    Raises
    ------
    StudyError
        If the folder cannot be written to.
    """

    def compose(scratch: Path) -> None:
        draft = Draft.of(record, scratch)
        text = paragraphs(*(section(draft) for section in SECTIONS)) + "\n"
        (scratch / REPORT).write_text(text, encoding="utf-8", newline="\n")
        write_html(scratch / REPORT, scratch / PAGE)

    write_folder(folder, compose, last=(REPORT, PAGE), replaced=FIGURES)
    return folder / REPORT
