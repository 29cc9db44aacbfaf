"""Tuning effort: what the next trial would have been worth, and whether the search is over."""

from collections.abc import Sequence

import numpy as np

from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import margin_of, measure_of
from harness.experiment.results import ExperimentRecord
from harness.experiment.spec import ExperimentSpec
from harness.formatting import unit_of_scale
from harness.search.pruners import paired_values
from harness.search.records import Patience, StudyRecord, stopped_at

__all__ = [
    "best_so_far",
    "drawn_values",
    "expected_best",
    "expected_curve",
    "has_equal_budgets",
    "n_judged_trials",
    "noticeable",
    "patience_of",
    "still_falling",
    "unfinished",
    "why_stopped",
]


NOTICEABLE = 0.2
"""What share of the usual margin a search that is not over has gained in its last quarter."""
_NEGLIGIBLE_CHANCE = 1e-15


def best_so_far(study: StudyRecord) -> list[tuple[int, float]]:
    """Follow the best objective through a search."""
    curve, sign, lowest = list[tuple[int, float]](), study.metric.sign, np.inf
    for trial in sorted(study.trials, key=lambda t: t.number):
        if (value := trial.accepted_value) is not None:
            lowest = min(lowest, sign * value)
            curve.append((trial.number, sign * lowest))
    return curve


def drawn_values(study: StudyRecord) -> list[float]:
    """Collect what each trial was worth, for `expected_best`.

    A pruned trial counts, for it was drawn and paid for. Its value is what it would have
    been worth by the folds that it has seen (`paired_values`), but at least the best
    value found: that it beats the best was not shown, and the expected best of all trials
    has to be the best. One that does not meet what is required is worth no more than the
    worst. Failed trials tell nothing about the space, and are left out.
    """
    best = study.best
    if best is None or best.value is None:
        return []
    values = paired_values(study)
    no_better = max if study.metric.direction == "minimize" else min
    refused = {trial.number for trial in study.trials if not trial.is_feasible}
    worst = no_better(v for n, v in values.items() if n not in refused)
    # Of several objectives the best trial need not have the best value of the first one.
    _, least = best_so_far(study)[-1]
    return [
        worst if number in refused else no_better(values[number], least)
        for number in sorted(values)
    ]


def expected_best(values: Sequence[float], n: int) -> float:
    r"""Expect the lowest of `n` values drawn without replacement.

    With the :math:`N` values in rising order, the lowest of the draw is the i-th with
    probability :math:`\binom{N - i}{n - 1} / \binom{N}{n}`, so that

    .. math:: E = \sum_{i=1}^{N-n+1} v_{(i)} \binom{N - i}{n - 1} \Big/ \binom{N}{n} .

    The idea is that of [1]_ (section 3), who draw with replacement, which makes the best
    of many draws look worse than it was; this form is without that bias [2]_.
    A sampler that learns does not draw its trials in any order, so for it this is what
    the same trials would have brought in random order.

    References
    ----------
    .. [1] J. Dodge et al., "Show your work: improved reporting of experimental results",
       EMNLP 2019.
    .. [2] R. Tang et al., "Showing your work doesn't always work", ACL 2020.

    Examples
    --------
    Of the three pairs of 1, 2 and 4, two have the lowest value 1 and one has 2.

    >>> round(expected_best([4.0, 1.0, 2.0], 2), 4)
    1.3333
    """
    total = len(values)
    if not 1 <= n <= total:
        raise ValueError(f"n must be between 1 and {total}, but is {n}.")
    return _expected_best(sorted(values), n)


def _expected_best(ordered: Sequence[float], n: int) -> float:
    total = len(ordered)
    # Each chance from the one before: binomials of many trials overflow a float.
    chance, expected = n / total, 0.0
    for rank in range(1, total - n + 2):
        expected += chance * ordered[rank - 1]
        chance *= (total - rank - n + 1) / (total - rank) if rank < total else 0.0
        # What is left cannot be seen: else the curve would take the square of the trials.
        if chance * (total - rank) < _NEGLIGIBLE_CHANCE:
            break
    return expected


def expected_curve(study: StudyRecord) -> list[tuple[int, float]]:
    """Expect the best of every number of trials."""
    sign = study.metric.sign
    losses = sorted(sign * value for value in drawn_values(study))
    return [(n, sign * _expected_best(losses, n)) for n in range(1, len(losses) + 1)]


def noticeable(metric: Metric, scale: tuple[float, float]) -> float:
    """Say by how much a search that is not over has improved: 0.001 stars on 1 to 5."""
    return NOTICEABLE * margin_of(metric, None, scale)[0]


def still_falling(study: StudyRecord) -> bool:
    """Say whether a search was stopped while it was still finding better settings."""
    sign = study.metric.sign
    judged = sorted(t.number for t in study.trials if t.state in {"complete", "pruned"})
    n_last = -(-len(judged) // 4)
    if len(judged) < 2:
        return False
    curve = best_so_far(study)
    before = [value for number, value in curve if number < judged[-n_last]]
    if not curve or not before:
        return bool(curve)
    least = noticeable(study.metric, study.dataset.scale)
    return sign * (before[-1] - curve[-1][1]) > least


def n_judged_trials(record: ExperimentRecord) -> dict[str, int]:
    """Count the trials that each family has had: complete and pruned ones."""
    return {candidate: study.n_judged for candidate, study in record.studies.items()}


def patience_of(
    spec: ExperimentSpec, metric: Metric, scale: tuple[float, float]
) -> Patience | None:
    """Say when a search is to end before its budget: the file's patience, and its margin."""
    if spec.budget.patience is None:
        return None
    margin, _ = margin_of(metric, spec.decision.margin, scale)
    return Patience(n_trials=spec.budget.patience, margin=margin)


def _stopped_at(study: StudyRecord, spec: ExperimentSpec, candidate: str) -> int | None:
    """Find the trial with which patience ended a search; None if its budget came first."""
    patience = patience_of(spec, study.metric, study.dataset.scale)
    if patience is None or study.n_judged >= spec.n_trials(candidate):
        return None
    return stopped_at(study, patience)


def why_stopped(study: StudyRecord, spec: ExperimentSpec, candidate: str) -> str | None:
    """Say that patience has ended a search, and what it has gone by."""
    last, patience = (
        _stopped_at(study, spec, candidate),
        patience_of(spec, study.metric, study.dataset.scale),
    )
    if last is None or patience is None:
        return None
    measure = measure_of(study.metric)
    unit = unit_of_scale(study.dataset.scale)
    gained = f"by no more than {measure.given(patience.margin, unit)}"
    return (
        f"The search of {spec.label(candidate)} stopped after {study.n_judged} of "
        f"{spec.n_trials(candidate)} trials: the {patience.n_trials} up to trial #{last} "
        f"had improved the best {measure.label} {gained}; those under way were finished."
    )


def unfinished(record: ExperimentRecord) -> list[str]:
    """List the families that have not had their budget of trials yet."""
    spec, counts = record.spec, n_judged_trials(record)

    def has_ended(candidate: str) -> bool:
        study = record.studies.get(candidate)
        if study is None:
            return False
        all_failed = bool(study.trials) and not counts[candidate]
        has_all = counts[candidate] >= spec.n_trials(candidate)
        was_stopped = _stopped_at(study, spec, candidate) is not None
        return has_all or all_failed or was_stopped or spec.budget.seconds is not None

    return [c for c in record.spec.families if not has_ended(c)]


def has_equal_budgets(record: ExperimentRecord) -> bool:
    """Say whether no family was searched longer than the budget of the file allows.

    A budget that was changed between two runs leaves families with different numbers of
    trials. Fewer trials than the budget are no fault: there may be no more different
    ones, or no time for them.
    """
    counts = set(n_judged_trials(record).values())
    return len(counts) < 2 or max(counts) <= record.spec.budget.n_trials
