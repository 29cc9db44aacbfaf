import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.errors import StudyError, UnknownNameError
from harness.evaluation.splits import assign_folds
from harness.search.records import NoListener
from harness.workflow import study as workflow
from harness.workflow.study import StudySettings, prepare


@pytest.fixture
def prepared(small_ratings, tmp_path):
    """A study of the baseline, ready to run."""
    dataset = Dataset(
        name="toy", ratings=small_ratings, catalogue=Catalogue.empty(), source="toy"
    )
    settings = StudySettings(
        family="baseline", storage=str(tmp_path / "optuna.log"), n_trials=3, seed=7
    )
    return prepare(settings, lambda: dataset)


def test_the_best_is_measured_again_on_folds_that_the_search_has_not_seen(
    prepared, monkeypatch
):
    found = prepared.search(NoListener())
    folds = []

    def note(train, **arguments):
        folds.append((train, assign_folds(train, **arguments)))
        return folds[-1][1]

    monkeypatch.setattr(workflow, "assign_folds", note)
    judged = prepared.judge(found)
    [(train, fresh)] = folds
    assert train is prepared.split.train
    searched = assign_folds(train, n_folds=5, seed=7)
    # Two independent deals into five folds agree on a fifth of the ratings.
    assert np.mean(fresh == searched) == pytest.approx(0.2, abs=0.06)
    optimism = judged.final["optimism"]
    assert optimism["search"] == found.best.value != optimism["fresh_folds"]
    assert optimism["test"] == judged.final["models"][0]["metrics"]["rmse"]["value"]


def test_a_failure_on_fresh_folds_is_one_sentence(prepared, monkeypatch):
    found = prepared.search(NoListener())

    def fail(*_arguments):
        raise ValueError("no luck")

    monkeypatch.setattr(prepared.plan.family, "_fit", fail)
    with pytest.raises(StudyError, match=r"failed on fresh fold 0.*no luck"):
        prepared.judge(found)


def test_names_are_resolved_before_the_data_is_loaded(tmp_path):
    def load():
        raise AssertionError("loaded")

    for change in (
        {"family": "baselin"},
        {"sampler": "tpa"},
        {"pruner": "rase"},
        {"space": "baselin"},
    ):
        settings = {"family": "baseline", "storage": str(tmp_path / "o.log"), **change}
        with pytest.raises(UnknownNameError, match="Did you mean"):
            prepare(StudySettings(**settings), load)
