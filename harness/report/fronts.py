"""The Pareto fronts of searches for several objectives, and the points that were picked."""

from harness.evaluation.objectives import measure_of
from harness.evaluation.requirements import is_scattered
from harness.experiment.front import Front, FrontPoint, describe_pick
from harness.experiment.results import ExperimentRecord
from harness.formatting import setting
from harness.report.context import Context, label, paragraphs
from harness.report.figures.trade_offs import draw_fronts
from harness.report.markdown import code, escape, table
from harness.search.distributions import Fixed
from harness.search.records import StudyRecord

__all__ = ["fronts"]


def fronts(context: Context) -> str:
    """Draw and list the front of each search, and say which point was picked and why."""
    record = context.record
    if not record.fronts:
        return ""
    figure = context.figure(
        draw_fronts, "fronts.png", "Trials by objective, and their Pareto front"
    )
    return paragraphs(
        "## Pareto front" if record.is_study else "## Pareto fronts",
        _about(record),
        figure,
        *(_front(record, c, front) for c, front in record.fronts.items()),
    )


def _about(record: ExperimentRecord) -> str:
    names = [measure_of(metric).label for metric in record.objectives]
    told = (
        "The search improved "
        f"{', '.join(names[:-1])} and {names[-1]} together. On the Pareto front are the "
        "trials that no other one beats: as good in every objective, and better in one. "
        "One of them is picked, refitted and judged: the objectives decide in their order, "
        "and each drops the trials that are worse than the best of those left by more than "
        "its margin; of those that all objectives leave, the one with the best "
        f"{names[0]} is picked. The test set judges by {names[0]}."
    )
    if any(is_scattered(metric.name) for metric in record.objectives):
        told += (
            " Times are compared, and drawn, in ten steps for each factor of 10; the table "
            "has what was measured."
        )
    return told


def _front(record: ExperimentRecord, candidate: str, front: Front) -> str:
    study = record.studies[candidate]
    return paragraphs(
        "" if record.is_study else f"### {label(record, candidate)}",
        escape(describe_pick(front, record.dataset.scale)),
        front_table(study, front),
    )


N_SHOWN = 20


def front_table(study: StudyRecord, front: Front) -> str:
    """List the points of a front with what tells them apart, the picked one in bold."""
    trials = {trial.number: trial for trial in study.trials}
    names = [n for n, found in study.space.items() if not isinstance(found, Fixed)]
    head = ["trial", *(measure_of(metric).label for metric in front.objectives)]
    shown = [*front.points[:N_SHOWN]]
    if front.pick not in shown:
        shown.append(front.pick)
    rows = []
    for point in shown:
        params = trials[point.trial].params
        cells = [
            *_scores(front, point),
            *(escape(setting(params[n])) if n in params else "-" for n in names),
        ]
        is_picked = point.trial == front.picked
        rows.append(
            [
                f"**#{point.trial} (picked)**" if is_picked else f"#{point.trial}",
                *(f"**{cell}**" if is_picked else cell for cell in cells),
            ]
        )
    left_out = len(front.points) - len(shown)
    return paragraphs(
        table([*head, *map(code, names)], rows, align="l" + "r" * (len(rows[0]) - 1)),
        f"{left_out} more are on the front." if left_out else "",
    )


def _scores(front: Front, point: FrontPoint) -> list[str]:
    return [
        measure_of(metric).format(value)
        for metric, value in zip(front.objectives, point.values, strict=True)
    ]
