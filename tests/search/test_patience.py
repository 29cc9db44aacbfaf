"""A search that stops when its last trials have not gained enough."""

import pytest

from harness.data.catalogue import Catalogue
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.search.engine import Budget, Stopped
from harness.search.records import NoListener, Patience, Stagnation, stopped_at
from harness.search.study import run_study
from tests.listeners import StopAfter


@pytest.mark.parametrize(
    ("values", "n_trials", "margin", "stops"),
    [
        ([3, 2, 1, 1, 1], 2, 0.0, 4),
        ([3, 2, 1, None, None, 0], 2, 0.0, 4),
        ([None, None, None, 3, 3, 3], 2, 0.0, 5),
        ([3.0, 2.75, 2.5, 2.25], 2, 0.5, 2),
        ([3.0, 2.75, 2.5, 2.25], 2, 0.25, None),
        ([3, 3], 2, 0.0, None),
    ],
)
def test_patience_runs_out_where_nothing_is_gained(values, n_trials, margin, stops):
    found = Stagnation(Patience(n_trials=n_trials, margin=margin), OBJECTIVE)
    for number, value in enumerate(values):
        found.add(number, value)
    assert found.number == stops


def test_patience_follows_the_direction_and_may_count_from_a_later_trial():
    found = Stagnation(
        Patience(n_trials=2, margin=0.0, since=3), Metric("hits", "maximize")
    )
    # The best stays at 3 from trial 2 on; only the trials from number 3 on count.
    for number, value in enumerate([1, 2, 3, 0, 0]):
        found.add(number, value)
    assert found.number == 4


@pytest.fixture
def search(small_ratings):
    def run(plan, n_trials, patience, listener=None):
        return run_study(
            plan,
            small_ratings,
            Catalogue.empty(),
            jobs=1,
            budget=Budget(n_trials=n_trials, patience=patience),
            listener=listener or NoListener(),
        )

    return run


# Half a star around the best shift, RMSE is within 0.12 of the best.
PATIENCE = Patience(n_trials=4, margin=0.2)


def test_a_search_stops_once_and_goes_on_when_more_is_asked_for(plan_of, search):
    plan = plan_of(window=2)
    record = search(plan, 40, PATIENCE)
    found = Stagnation(PATIENCE, OBJECTIVE)
    for trial in record.trials:
        found.add(trial.number, trial.value)
    # Trial n is asked for when trial n - 2 is told.
    assert len(record.trials) == found.number + 2 < 40
    assert stopped_at(record, PATIENCE) == found.number

    assert search(plan, 40, PATIENCE).trials == record.trials

    longer = Patience(n_trials=7, margin=0.2)
    more = search(plan, 40, longer)
    assert len(record.trials) < len(more.trials) < 40
    assert stopped_at(more, longer) is not None

    # A larger budget counts anew: seven more trials, and the one under way.
    again = search(plan, 41, longer)
    assert len(again.trials) == len(more.trials) + 7 + 1
    assert search(plan, 41, longer).trials == again.trials


def test_a_search_killed_on_the_way_stops_where_one_in_one_go_does(plan_of, search):
    whole = search(plan_of(window=2), 40, PATIENCE)
    plan = plan_of(window=2, name="killed")
    with pytest.raises(Stopped):
        search(plan, 40, PATIENCE, StopAfter(len(whole.trials) - 1))
    done = search(plan, 40, PATIENCE)
    assert [t.value for t in done.trials] == [t.value for t in whole.trials]
