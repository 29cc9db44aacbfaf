"""Trials that were interrupted, put back where the study takes its next ones from."""

import optuna
from optuna.trial import TrialState

__all__ = ["put_back"]

_PUT_BACK = "put_back"


def put_back(study: optuna.Study, number: int, *, most: int | None = None) -> bool:
    """Let a trial that was interrupted wait for its turn, with the settings it has.

    Parameters
    ----------
    study : optuna.Study
        The study.
    number : int
        Number of a trial that runs, or did when its process was killed.
    most : int, optional
        How many times this may be done to it; it is counted where this is given.

    Returns
    -------
    bool
        False if it was done that many times already, and is not done again.
    """
    trial = study.get_trials(deepcopy=False)[number]
    # Optuna can enqueue settings, which would get another number, and so another seed.
    storage, id_ = study._storage, trial._trial_id  # noqa: SLF001
    if most is not None:
        count = trial.user_attrs.get(_PUT_BACK, 0)
        if count >= most:
            return False
        storage.set_trial_user_attr(id_, _PUT_BACK, count + 1)
    storage.set_trial_state_values(id_, state=TrialState.WAITING)
    return True
