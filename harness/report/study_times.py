"""Where the time of a study went."""

from harness.report.digits import duration
from harness.report.markdown import table
from harness.search.busy import busy_seconds
from harness.search.records import StudyRecord

__all__ = ["time_table"]


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
        busy = busy_seconds(study)
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
