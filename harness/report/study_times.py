"""Where the time of a study went."""

from collections.abc import Iterable
from datetime import datetime

from harness.report.digits import duration
from harness.report.markdown import table
from harness.search.records import StudyRecord

__all__ = ["busy_seconds", "time_table"]


def busy_seconds(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Measure the time during which at least one trial was under way.

    Parameters
    ----------
    spans : iterable of (datetime, datetime)
        Start and end of each trial.

    Returns
    -------
    float
        Seconds; gaps, such as those between two sessions, do not count.
    """
    total, until = 0.0, None
    for start, end in sorted(spans):
        begin = start if until is None else max(start, until)
        total += max(0.0, (end - begin).total_seconds())
        until = end if until is None else max(until, end)
    return total


def time_table(study: StudyRecord) -> str:
    """Say how long the search and the training of the best model took.

    Parameters
    ----------
    study : StudyRecord
        A study with a trial.

    Returns
    -------
    str
        Markdown.
    """
    spans = [(t.started, t.ended) for t in study.trials if t.ended is not None]
    rows = []
    if spans:
        wall = max(end for _, end in spans) - min(start for start, _ in spans)
        busy = busy_seconds(spans)
        summed = sum((end - start).total_seconds() for start, end in spans)
        rows = [
            ["from the first start to the last end", duration(wall.total_seconds())],
            ["of it with a trial under way", duration(busy)],
            [
                "of it per trial",
                duration(busy / len(spans)),
            ],
            [
                "sum over the trials, which overlap and wait for a worker",
                duration(summed),
            ],
        ]
    rows += _training_rows(study)
    return table(["", "time"], rows, align="lr")


def _training_rows(study: StudyRecord) -> list[list[str]]:
    rows = []
    best, final = study.best, study.final or {}
    if best is not None and "fit_seconds" in best.metrics:
        seconds = best.metrics["fit_seconds"]
        rows.append(["training of the best settings on a fold", duration(seconds)])
    for model in final.get("models", ())[:1]:
        label = "training of the best settings on the whole training part"
        rows.append([label, duration(model["fit_seconds"])])
    return rows
