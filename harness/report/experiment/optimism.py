"""Section: what choosing settings by their score has added to it."""

from harness.experiment.measured import measured
from harness.experiment.record import ExperimentRecord
from harness.report.digits import metric, stars
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import label
from harness.report.markdown import table

__all__ = ["optimism"]


def optimism(draft: Draft) -> str:
    """Lay search score, fresh folds and test score of each family side by side.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty before the searches have ended.
    """
    record = draft.record
    best = _search_scores(record)
    if not record.fresh_folds or not best:
        return ""
    rows, gaps = [], []
    for candidate, search in best.items():
        fresh = record.fresh_folds.get(candidate)
        gap = None if fresh is None or search is None else fresh - search
        gaps += [] if gap is None else [gap]
        rows.append(
            [
                label(record, candidate),
                metric("rmse", search),
                metric("rmse", fresh),
                "-" if gap is None else f"{gap:+.4f}",
                metric("rmse", measured(record, "rmse", candidate)),
            ]
        )
    head = ["best settings of", "search", "fresh folds", "difference", "test set"]
    return paragraphs("## Optimism", table(head, rows, align="lrrrr"), _about(gaps))


def _search_scores(record: ExperimentRecord) -> dict[str, float | None]:
    """Find the score by which the settings that were judged had been chosen.

    A search may have gone on since, and have found others.
    """
    judged = (record.final or {}).get("best_trials", {})
    scores: dict[str, float | None] = {}
    for candidate, study in record.studies.items():
        number = judged.get(candidate)
        trial = next((t for t in study.trials if t.number == number), study.best)
        if trial is not None:
            scores[candidate] = trial.value
    return scores


def _about(gaps: list[float]) -> str:
    test = (
        "The test score is of models trained on more ratings, and of other pairs, so it "
        "may lie on either side."
    )
    if not gaps:
        return (
            "The folds follow each other in time and cannot be dealt anew, so what "
            f"choosing the best of many trials adds to its score is not known. {test}"
        )
    most = max(gaps)
    here = (
        f"at most {stars(most)} stars here" if most > 0 else "nothing to be seen here"
    )
    return (
        "RMSE in stars: of the best trial on the folds it was chosen by, of the same "
        "settings on the same ratings dealt into new folds, and on the sealed test set. "
        "The difference is what choosing the best of many by its score has gained from the "
        f"luck of these folds, give or take that of the new ones: {here}. What it has "
        "gained from these ratings only other ratings can show, which is what the test "
        f"set is for. {test}"
    )
