"""How long a search has been at work."""

from harness.search.records import LEFT_BEHIND, StudyRecord

__all__ = ["busy_seconds"]


def busy_seconds(study: StudyRecord) -> float:
    """Measure the time during which at least one trial was under way.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    float
        Seconds; gaps, such as those between two sessions, do not count.
    """
    spans = [
        (trial.started, trial.ended)
        for trial in study.trials
        # What a killed process has left behind "ends" with the next session.
        if trial.ended is not None and trial.error != LEFT_BEHIND
    ]
    total, until = 0.0, None
    for start, end in sorted(spans):
        begin = start if until is None else max(start, until)
        total += max(0.0, (end - begin).total_seconds())
        until = end if until is None else max(until, end)
    return total
