"""The report of an experiment or a study: markdown, figures, a page of both, and data."""

import json
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.experiment.results import ExperimentRecord
from harness.files import scratch_beside
from harness.plain import to_json
from harness.report.chosen import chosen_model, explainability
from harness.report.claims import claims, criteria
from harness.report.cold_start import cold_start
from harness.report.context import Context, paragraphs
from harness.report.families import comparison, costs, lists, pairs
from harness.report.fronts import fronts
from harness.report.page import write_html
from harness.report.ratings import ratings, splits
from harness.report.reproduction import ENQUEUE, SPACE, reproduction, traces
from harness.report.searches import optimism, searches
from harness.report.trial_tables import trials
from harness.report.verdict import opening, verdict_of

__all__ = ["import_libraries", "write_folder", "write_report"]


REPORT = "report.md"
PAGE = "report.html"
DATA = "report.json"
FIGURES = (
    "rmse.png",
    "scores.png",
    "residuals.png",
    "data.png",
    "depth.png",
    "pareto.png",
    "blocks.png",
    "histories.png",
    "fronts.png",
    "importance.png",
)
SECTIONS = (
    opening,
    comparison,
    splits,
    chosen_model,
    criteria,
    ratings,
    cold_start,
    lists,
    costs,
    explainability,
    searches,
    fronts,
    optimism,
    claims,
    reproduction,
)
APPENDIX = (pairs, trials, traces)
"""What few readers need: folded until it is asked for."""


def import_libraries() -> None:
    """Import what figures are drawn with."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def write_report(record: ExperimentRecord, folder: Path) -> Path:
    """Write ``report.md``, its figures, ``report.html`` that holds both, ``report.json``.

    A study, which is an experiment with one family, has its search space beside it.
    Everything is replaced at once, or nothing is.
    """

    def compose(scratch: Path) -> None:
        shown = Path() if folder.is_absolute() else folder
        context = Context(record=record, folder=scratch, shown_folder=shown)
        parts = [section(context) for section in SECTIONS]
        appendix = paragraphs(*(section(context) for section in APPENDIX))
        if appendix:
            parts.append(paragraphs("## Appendix", appendix))
        _write(scratch / REPORT, paragraphs(*parts) + "\n")
        write_html(scratch / REPORT, scratch / PAGE)
        _write(scratch / DATA, as_json(record))
        _write_space(record, scratch)

    write_folder(folder, compose, last=(REPORT, PAGE), replaced=_left_over(folder))
    return folder / REPORT


def write_folder(
    folder: Path,
    compose: Callable[[Path], None],
    *,
    last: Collection[str],
    replaced: Collection[str],
) -> None:
    """Write files that belong together."""
    try:
        with scratch_beside(folder) as scratch:
            compose(scratch)
            written = _move_over(scratch, folder, last)
            for name in set(replaced) - written:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(
            f"The report cannot be written to {folder}: {error.strerror or error}; "
            "choose another folder."
        ) from error


def _move_over(scratch: Path, folder: Path, last: Collection[str]) -> set[str]:
    folder.mkdir(exist_ok=True)
    names = sorted(path.name for path in scratch.iterdir())
    for name in sorted(names, key=lambda name: name in last):
        (scratch / name).replace(folder / name)
    return set(names)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def as_json(record: ExperimentRecord) -> str:
    """Write results as JSON; what is not a number is null."""
    results = {"verdict": to_json(verdict_of(record)), **to_json(record)}
    return json.dumps(_without_nan(results), indent=1, allow_nan=False) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _write_space(record: ExperimentRecord, folder: Path) -> None:
    if not record.is_study:
        return
    from harness.search.space import space_toml

    for study in record.studies.values():
        initial = study.settings.initial
        space = space_toml(study.family, study.space, initial)
        _write(folder / SPACE, space)
        if study.settings.enqueue:
            text = json.dumps(study.settings.enqueue, indent=2)
            _write(folder / ENQUEUE, f"{text}\n")


def _left_over(folder: Path) -> list[str]:
    """List what an earlier report may have left in the folder."""
    panels = [*folder.glob("slices-*.png"), *folder.glob("folds-*.png")]
    return [*FIGURES, SPACE, ENQUEUE, *(path.name for path in panels)]
