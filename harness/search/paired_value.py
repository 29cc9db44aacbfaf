"""What a pruned trial would have been worth, judged by the folds that it has seen."""

import numpy as np

from harness.search.records import StudyRecord, TrialRecord

__all__ = ["paired_value"]


def paired_value(study: StudyRecord, trial: TrialRecord) -> float | None:
    r"""Estimate the objective of a trial on all folds.

    Folds differ in difficulty far more than the difference between two settings does
    from fold to fold, so a mean over the first two folds must not be laid beside a mean
    over five. The difference to the best trial on the same folds may:

    .. math:: v^* + \frac{1}{|F|} \sum_{f \in F} (v_f - v^*_f)

    with the folds :math:`F` that the trial has seen, and the best trial's values
    :math:`v^*_f` and their mean :math:`v^*`.

    Parameters
    ----------
    study : StudyRecord
        Holds the best trial.
    trial : TrialRecord
        One of its trials.

    Returns
    -------
    float or None
        The objective of a complete trial; an estimate for a pruned one, in stars of
        RMSE; None for others.
    """
    if trial.state != "pruned" or not trial.fold_values:
        return trial.value if trial.state == "complete" else None
    best, seen = study.best, len(trial.fold_values)
    if best is None or best.value is None or len(best.fold_values) < seen:
        return float(np.mean(trial.fold_values))
    gaps = np.subtract(trial.fold_values, best.fold_values[:seen])
    return best.value + float(gaps.mean())
