"""How long a search has been at work."""

from harness.search.records import StudyRecord

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
    spans = [(t.started, t.ended) for t in study.trials if t.ended is not None]
    total, until = 0.0, None
    for start, end in sorted(spans):
        begin = start if until is None else max(start, until)
        total += max(0.0, (end - begin).total_seconds())
        until = end if until is None else max(until, end)
    return total
