"""A study by hand, whose values can be computed in the head."""

from datetime import UTC, datetime, timedelta

import pytest

from harness.search.records import StudyRecord, TrialRecord
from tests.facts import dataset_facts, search_settings, split_facts

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SPACE = {
    "n_factors": {"type": "int", "low": 10, "high": 1000, "log": True},
    "n_epochs": {"type": "epochs", "high": 100, "patience": 4},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
    "biased": {"type": "fixed", "value": True},
}
INITIAL = {"n_factors": 100, "n_epochs": 20, "kind": "a", "biased": True}


@pytest.fixture(scope="session")
def make_trial():
    """Trial n has an RMSE of 0.95 - n/1000, folds 0.01 around it, and takes 1 s."""

    def make(number, state="complete", **changes):
        level = 0.95 - 0.001 * number
        folds = (level - 0.01, level, level + 0.01)
        seen = {"complete": folds, "pruned": folds[:1], "failed": ()}[state]
        facts = {
            "number": number,
            "state": state,
            "params": {**INITIAL, "n_factors": 10 + 7 * number},
            "value": level if state == "complete" else None,
            "fold_values": seen,
            "metrics": {"rmse": sum(seen) / len(seen), "fit_seconds": 0.5}
            if seen
            else {},
            "seed": number,
            "started": START + timedelta(seconds=number),
            "ended": START + timedelta(seconds=number + 1),
            "error": "Traceback:\n  File x\nValueError: too much"
            if state == "failed"
            else None,
        }
        return TrialRecord(**(facts | changes))

    return make


@pytest.fixture(scope="session")
def make_study():
    def make(trials=(), **changes):
        facts = {
            "name": "svd-toy",
            "family": "svd",
            "settings": search_settings(
                sampler={"name": "tpe", "n_startup_trials": 10},
                pruner={"name": "race", "z": 1.0},
                n_folds=3,
                seed=7,
                jobs=2,
                space=SPACE,
                initial=INITIAL,
            ),
            "dataset": dataset_facts(),
            "split": split_facts(),
            "code_version": "0.1.0+gabc1234",
            "storage": "optuna.log",
            "trials": tuple(trials),
        }
        return StudyRecord(**(facts | changes))

    return make
