"""Searches for several objectives: their fronts, what is picked, and that all repeat."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.study._multi_objective import _fast_non_domination_rank
from optuna.trial import TrialState

from harness.errors import HarnessError
from harness.evaluation.objectives import find_objective
from harness.evaluation.requirements import (
    find_measure,
    find_objectives,
    find_requirements,
    told_value,
)
from harness.search.history import History, Outcome
from harness.search.pareto import (
    Margin,
    crowding_distances,
    domination_ranks,
    is_on_front,
    left_by_margins,
    margins_of,
)
from harness.search.samplers import SamplerSequence, trial_seed
from harness.search.storage import open_storage, read_study

SPACE = """
family = "shifted"

[parameters]
shift = { type = "float", low = -1.0, high = 1.0, step = 0.0625 }
"""


@pytest.fixture
def level(tmp_path):
    """The mean prediction, to be minimised: it wants the lowest shift, RMSE one of 0."""
    path = tmp_path / "my_metrics.py"
    path.write_text(
        "def level(truth, prediction):\n    return float(prediction.mean())\n"
    )
    return find_objective(f"{path}:level")


@pytest.fixture
def two(plan_of, level, tmp_path):
    """Plan a study for RMSE and for a low level of the predictions."""

    def plan(label="two", **changes):
        usual = {
            "text": SPACE,
            "storage": str(tmp_path / f"{label}.log"),
            "more_metrics": (level,),
            "margins": (Margin(0.0), Margin(0.0)),
            "pruner": "none",
        }
        return plan_of(**(usual | changes))

    return plan


def in_optuna(plan):
    return optuna.load_study(study_name=plan.name, storage=open_storage(plan.storage))


def outcome_of(record):
    return [
        (t.number, t.state, t.params, t.value, t.more_values) for t in record.trials
    ]


def dominates(one, other):
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


# Few different values, so that there are ties.
tables = st.integers(1, 3).flatmap(
    lambda n: st.lists(
        st.tuples(*[st.integers(0, 4).map(float)] * n), min_size=1, max_size=20
    )
)


@given(tables)
def test_a_front_is_what_no_row_dominates(rows):
    by_hand = [not any(dominates(other, row) for other in rows) for row in rows]
    assert is_on_front(rows).tolist() == by_hand
    directions = ["minimize"] * len(rows[0])
    study = optuna.create_study(directions=directions)
    study.add_trials([optuna.trial.create_trial(values=row) for row in rows])
    known = [k for k, is_on in enumerate(by_hand) if is_on]
    if len(directions) > 1:
        assert [trial.number for trial in study.best_trials] == known
    expected = _fast_non_domination_rank(np.array(rows))
    assert domination_ranks(rows).tolist() == expected.tolist()


def test_ends_of_a_front_are_never_crowded():
    rows = [(0.0, 8.0), (1.0, 5.0), (2.0, 4.0), (8.0, 0.0)]
    # (2 - 0) / 8 + (8 - 4) / 8, and (8 - 1) / 8 + (5 - 0) / 8.
    assert crowding_distances(rows).tolist() == [np.inf, 0.75, 1.5, np.inf]
    assert crowding_distances([(1.0, 1.0), (1.0, 1.0)]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        # 0.002 above the least stays, 0.006 does not; of 100 and 96 the latter is 4 % less.
        ((0.005, 0.05), [[0, 1], [0, 1]]),
        ((0.005, 0.03), [[0, 1], [1]]),
        ((0.01, 0.05), [[0, 1, 2], [2]]),
        ((0.0, 0.05), [[0], [0]]),
    ],
)
def test_each_objective_drops_what_is_worse_by_more_than_its_margin(amounts, expected):
    losses = np.array([(0.9, 100.0), (0.902, 96.0), (0.906, 50.0)])
    margins = [Margin(amounts[0]), Margin(amounts[1], is_share=True)]
    assert left_by_margins(losses, margins) == expected


def test_margins_are_those_of_the_measures_and_a_share_of_costs():
    objectives = find_objectives("rmse, ndcg_at_10, model_bytes")
    found = margins_of(objectives, declared=None, noticeable=0.05, scale=(1.0, 5.0))
    assert found == (Margin(0.005), Margin(0.002), Margin(0.05, is_share=True))
    declared = margins_of(objectives, declared=0.02, noticeable=0.1, scale=(1.0, 5.0))
    assert [margin.amount for margin in declared] == [0.02, 0.002, 0.1]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        # Ten steps for each factor of 10: 10 ** 0.1 is 1.259, 10 ** 0.3 is 1.995.
        ("latency_p95_ms", 1.1, 1.0),
        ("latency_p95_ms", 1.2, 1.26),
        ("latency_p50_ms", 0.0209, 0.02),
        ("fit_seconds", 1950.0, 2000.0),
        ("model_bytes", 123456.7, 123456.7),
        ("rmse", 0.912345, 0.912345),
    ],
)
def test_times_are_told_in_steps(name, value, told):
    assert told_value(name, value) == told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rmse,", "with commas between"),
        ("rmse,mae,r2,model_bytes", "at most 3 objectives"),
        ("latency_p95_ms,rmse", "'rmse,latency_p95_ms'"),
        ("latency_p95_ms", "'rmse,latency_p95_ms'"),
        ("rmse,mae,rmse", "rmse must be named once only"),
        ("rmse,latency", "Did you mean 'latency_p95_ms'"),
        ("rmse,coverage", "not in a trial"),
        ("rsme,mae", "Did you mean 'rmse'"),
    ],
)
def test_objectives_that_make_no_search_are_refused_in_one_sentence(text, message):
    with pytest.raises(HarnessError) as raised:
        find_objectives(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_optuna_has_directions_values_and_the_front(two, run):
    plan = two(require=find_requirements(["mae <= 1.05"]))
    record = run(plan, 25)
    study = in_optuna(plan)
    assert study.directions == [StudyDirection.MINIMIZE] * 2
    assert study.metric_names == ["rmse", "level"]
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}
    for frozen, trial in zip(study.trials, record.trials, strict=True):
        assert frozen.values == [trial.value, *trial.more_values]
        assert frozen.values == [trial.metrics[name] for name in ("rmse", "level")]
    front = sorted(trial.number for trial in record.front)
    assert front == [trial.number for trial in study.best_trials]
    refused = {t.number for t in record.trials if not t.is_feasible}
    assert refused
    assert refused.isdisjoint(front)
    # Up to the best shift, 0, a lower level costs RMSE: such shifts are the front.
    accepted = [t for t in record.trials if t.is_feasible]
    top = max(accepted, key=lambda t: (-t.value, -t.number)).params["shift"]
    assert {t.params["shift"] for t in record.front} == {
        t.params["shift"] for t in accepted if t.params["shift"] <= top
    }
    assert record.best is record.ranked[0]
    assert {t.number for t in record.ranked[: len(front)]} == set(front)


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "random", "qmc", "grid"])
def test_it_is_the_same_in_parts_and_with_workers(two, run, tmp_path, sampler):
    whole = run(two("whole", sampler=sampler), 24)
    kept = f"sqlite:///{tmp_path}/optuna.db" if sampler == "tpe" else tmp_path / "p.log"
    parts = two("parts", sampler=sampler, storage=str(kept))
    run(parts, 7)
    assert outcome_of(run(parts, 24, jobs=2)) == outcome_of(whole)


def test_a_genetic_search_has_generations_of_twenty(two, run):
    plan = two(sampler="nsgaii", window=1)
    run(plan, 45)
    key = "NSGAIISampler:generation"
    # Trial 0 was not drawn; the others are drawn when all before them are known.
    drawn = in_optuna(plan).trials[1:]
    assert [t.system_attrs[key] for t in drawn] == [n // 20 for n in range(44)]


def test_tpe_draws_what_optuna_draws(two, run):
    plan = two(window=1)
    record = run(plan, 30)
    study = optuna.create_study(directions=["minimize"] * 2)
    study.add_trials(in_optuna(plan).trials[:-1])
    study.sampler = optuna.samplers.TPESampler(
        seed=trial_seed(0, 29), multivariate=False, constant_liar=True
    )
    shift = study.ask().suggest_float("shift", -1, 1, step=0.0625)
    assert record.trials[29].params["shift"] == shift


def test_a_limited_memory_keeps_the_first_fronts(space_of, shifted):
    space = space_of(SPACE, shifted)
    history = History(
        directions=[StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE],
        space=space,
        samplers=SamplerSequence("tpe", seed=0, space=space),
        window=1,
    )
    # Trial n is on front n // 30 of six: n + 1 pairs that trade one for the other.
    for number in range(180):
        history.ask(number, fixed={})
        place, front = number % 30, number // 30
        values = (float(place + front), float(place - front))
        history.tell(number, Outcome(state=TrialState.COMPLETE, values=values))
    shown = [t.number for t in history._storage.get_all_trials(0, deepcopy=False)]
    old = [number for number in shown if number < 79]
    assert len(old) == 25
    # All of the first front, with its ends, which nobody crowds.
    assert max(old) < 30
    assert {0, 29} <= set(old)


def test_cmaes_is_refused(two, run):
    with pytest.raises(HarnessError, match="'cmaes' improves one objective"):
        run(two(sampler="cmaes"), 2)


def test_another_margin_changes_what_is_picked_and_no_trial(two, run):
    plan = two(sampler="random")
    exact = run(plan, 12)
    assert exact.best.value == min(t.value for t in exact.trials)
    loose = run(replace(plan, margins=(Margin(9.0), Margin(0.0))), 12)
    assert outcome_of(loose) == outcome_of(exact)
    assert loose.best.more_values == min(t.more_values for t in exact.trials)
    assert read_study(plan.storage, "toy").best == loose.best


def test_it_is_not_continued_for_other_objectives(two, run):
    run(two(), 2)
    for others in ((), (find_measure("mae"),)):
        with pytest.raises(HarnessError, match="exists with another metric"):
            run(two(more_metrics=others), 3)


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_of_one_objective_the_first_of_the_best_is_picked(values):
    losses = np.array(values)[:, None]
    on_front = np.flatnonzero(is_on_front(losses))
    assert on_front[0] == np.argmin(values)
    left = left_by_margins(losses[on_front], [Margin(0.005)])
    assert left == [list(range(len(on_front)))]
