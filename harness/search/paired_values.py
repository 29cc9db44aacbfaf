"""What pruned trials would have been worth, judged by the folds that they have seen."""

import numpy as np

from harness.search.records import StudyRecord, TrialRecord

__all__ = ["paired_values"]


def paired_values(study: StudyRecord) -> dict[int, float]:
    r"""Estimate the objective of every trial as if it had been evaluated on all folds.

    Folds differ in difficulty far more than the difference between two settings does
    from fold to fold, so a mean over the first two folds must not be laid beside a mean
    over five. The difference to the best trial on the same folds may:

    .. math:: v^* + \frac{1}{|F|} \sum_{f \in F} (v_f - v^*_f)

    with the folds :math:`F` that the trial has seen, and the best trial's values
    :math:`v^*_f` and their mean :math:`v^*`.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    dict of int to float
        Number of a trial to its objective if it is complete, to the estimate if it was
        pruned, in stars of RMSE; others are left out.
    """
    best = study.best
    pairs = ((t.number, _value(t, best)) for t in study.trials)
    return {n: v for n, v in pairs if v is not None and np.isfinite(v)}


def _value(trial: TrialRecord, best: TrialRecord | None) -> float | None:
    if trial.state != "pruned" or not trial.fold_values:
        return trial.value if trial.state == "complete" else None
    seen = len(trial.fold_values)
    if best is None or best.value is None or len(best.fold_values) < seen:
        return float(np.mean(trial.fold_values))
    gaps = np.subtract(trial.fold_values, best.fold_values[:seen])
    return best.value + float(gaps.mean())
