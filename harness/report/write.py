"""The model-selection report of an experiment: markdown, figures, and a page of both."""

from pathlib import Path

from harness.experiment.results import ExperimentRecord
from harness.report.chosen import chosen_model, explainability
from harness.report.claims import claims, data
from harness.report.context import Draft, paragraphs
from harness.report.families import (
    beyond_accuracy,
    cold_start,
    comparison,
    efficiency,
    pairs,
)
from harness.report.folder import write_folder
from harness.report.page import write_html
from harness.report.reproduction import reproduction
from harness.report.searches import optimism, searches
from harness.report.verdict import criteria, opening

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
    """Write ``report.md``, its figures, and ``report.html`` that holds both."""

    def compose(scratch: Path) -> None:
        draft = Draft.of(record, scratch)
        text = paragraphs(*(section(draft) for section in SECTIONS)) + "\n"
        (scratch / REPORT).write_text(text, encoding="utf-8", newline="\n")
        write_html(scratch / REPORT, scratch / PAGE)

    write_folder(folder, compose, last=(REPORT, PAGE), replaced=FIGURES)
    return folder / REPORT
