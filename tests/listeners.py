"""Listeners that interfere with a search."""

from harness.search.engine import Stopped
from harness.search.records import NoListener

__all__ = ["After", "StopAfter"]


class After(NoListener):
    """Does something when it hears of the trial of a number."""

    def __init__(self, number, action):
        self.number = number
        self.action = action

    def on_trial_end(self, study, trial):
        del study
        if trial.number == self.number:
            self.action()


class StopAfter(NoListener):
    """Stops a search as a signal does, when it has heard of some trials."""

    def __init__(self, n_trials):
        self.left = n_trials

    def on_trial_end(self, study, trial):
        del study, trial
        self.left -= 1
        if not self.left:
            raise Stopped(15)
