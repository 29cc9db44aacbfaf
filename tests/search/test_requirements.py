"""Trials that must meet something: steered, marked, never the best."""

import numpy as np
import optuna
import pytest

from harness.data.catalogue import Catalogue
from harness.errors import HarnessError, StudyError
from harness.evaluation.cost_probe import size_on_disk
from harness.evaluation.metrics import Metric
from harness.evaluation.requirements import (
    Requirement,
    find_requirements,
    over_folds,
    requirement_of_criterion,
)
from harness.evaluation.splits import assign_folds
from harness.experiment.convergence import best_so_far, drawn_values
from harness.models.svd.model import SVD
from harness.search.folds import FoldTask, Workbench
from harness.search.pruners import RacePruner
from harness.search.records import why_none_is_best
from harness.search.samplers import trial_seed
from harness.search.storage import open_storage


@pytest.fixture
def low(tmp_path):
    """Make a requirement: predictions must be so far below the mean of the truth."""
    path = tmp_path / "my_metrics.py"
    path.write_text(
        "def level(truth, prediction):\n"
        "    return float((prediction.astype(float) - truth).mean())\n"
    )

    def require(bound):
        return find_requirements([f"{path}:level <= {bound}"])

    return require


def trials_of(record):
    return [
        (t.number, t.state, t.params, t.fold_values, dict(t.violations))
        for t in record.trials
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency_p95_ms", "must be a measure, <= or >=, and a number"),
        ("latency_p95_ms < 8", "must be a measure"),
        ("latency_p95_ms <= 8 ms", "must be a measure"),
        ("latency_p95_ms <= nan", "must be a measure"),
        ("latency_p95_ms <= inf", "must be a measure"),
        ("<= 8", "must be a measure"),
        (
            "4 <= latency_p95_ms <= 8",
            "no measure of a trial named '4 <= latency_p95_ms'",
        ),
        ("latency_p95 <= 8", "Did you mean 'latency_p95_ms'"),
        ("latency_p95_ms >= 8", "a requirement is 'latency_p95_ms <= 8'"),
        ("ndcg_at_10 <= 0.1", "a requirement is 'ndcg_at_10 >= 0.1'"),
        ("peak_memory_bytes <= 1e9", "but not in a trial: choose from"),
        ("coverage >= 0.9", "but not in a trial"),
        ("rmse <= 0", "always above 0"),
        ("model_bytes <= -1", "always above 0"),
        ("ndcg_at_10 >= 1.1", "never above 1"),
        ("nowhere.py:level <= 1", "there is no file"),
    ],
)
def test_what_cannot_be_required_is_one_sentence(text, message):
    with pytest.raises(HarnessError) as raised:
        find_requirements([text])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_same_measure_is_required_once():
    with pytest.raises(StudyError, match="required once only"):
        find_requirements(["rmse <= 1", "rmse <= 0.9"])


def test_a_requirement_is_written_as_it_is_read():
    texts = ["latency_p95_ms <= 8", "ndcg_at_10 >= 0.05", "model_bytes <= 5000000"]
    assert [str(r) for r in find_requirements(texts)] == texts
    assert str(find_requirements(["model_bytes<=5e6"])[0]) == texts[2]


@pytest.mark.parametrize(
    ("name", "bound", "value", "violation"),
    [
        # A share of the bound.
        ("rmse", 0.8, 0.9, 0.125),
        ("rmse", 0.8, 0.8, 0.0),
        ("rmse", 0.8, 0.6, -0.25),
        ("ndcg_at_10", 0.2, 0.15, 0.25),
        ("ndcg_at_10", 0.2, 0.3, -0.5),
        ("r2", 0.0, -0.5, 0.5),
        # Times in steps of a quarter, upwards: what is beyond stays beyond.
        ("latency_p95_ms", 8.0, 8.001, 0.25),
        ("latency_p95_ms", 8.0, 9.9, 0.25),
        ("latency_p95_ms", 8.0, 10.1, 0.5),
        ("latency_p95_ms", 8.0, 8.0, 0.0),
        ("latency_p95_ms", 8.0, 7.9, 0.0),
    ],
)
def test_a_violation_is_a_share_of_the_bound(name, bound, value, violation):
    direction = "maximize" if name in {"ndcg_at_10", "r2"} else "minimize"
    requirement = Requirement(Metric(name, direction), bound)
    assert requirement.violation(value) == pytest.approx(violation)


def test_a_latency_is_the_least_of_the_folds_and_others_are_the_mean():
    assert over_folds("latency_p95_ms", [3.0, 2.0, 9.0]) == 2.0
    assert over_folds("model_bytes", [1.0, 2.0, 6.0]) == 3.0


@pytest.mark.parametrize(
    ("name", "bounds", "expected"),
    [
        # A quarter to spare.
        ("latency_p95_ms", {"at_most": 8.0}, "latency_p95_ms <= 10"),
        ("ndcg_at_10", {"at_least": 0.2}, "ndcg_at_10 >= 0.15"),
        ("r2", {"at_least": -0.4}, "r2 >= -0.5"),
        # Not what a trial can tell, and not a bound on the good side.
        ("gain_over_bias", {"at_least": 0.02}, None),
        ("coverage", {"at_least": 0.9}, None),
        ("peak_memory_bytes", {"at_most": 1e9}, None),
        ("latency_p95_ms", {"at_least": 1.0}, None),
    ],
)
def test_a_criterion_becomes_a_requirement_with_a_quarter_to_spare(
    name, bounds, expected
):
    found = requirement_of_criterion(
        name, **{"at_most": None, "at_least": None} | bounds
    )
    assert (None if found is None else str(found)) == expected
    assert found is None or found.is_criterion


def test_costs_of_a_fold_are_those_of_its_model(small_ratings):
    fold_of = assign_folds(small_ratings, n_folds=5, seed=0, method="random")
    bench = Workbench(SVD, small_ratings, Catalogue.empty(), fold_of)
    also = tuple(
        r.metric
        for r in find_requirements(
            ["model_bytes <= 1e9", "latency_p95_ms <= 1e6", "recall_at_10 >= 0"]
        )
    )
    params = {"n_factors": 3, "n_epochs": 10}
    by_epoch = bench.run(
        FoldTask(params=params, seed=0, fold=1, patience=20, also=also)
    )
    plain = bench.run(FoldTask(params=params, seed=0, fold=1, also=also))
    model = SVD(**params, seed=0).fit(bench.parts(1)[0], Catalogue.empty())
    # Lists of all users are dear: after the eighth epoch not after each.
    assert by_epoch.epochs == (*range(1, 9), 10)
    for result in (by_epoch, plain):
        assert set(result.metrics["model_bytes"]) == {size_on_disk(model)}
        assert (result.metrics["latency_p95_ms"] > 0).all()
        assert "latency_p50_ms" not in result.metrics
    for name in ("rmse", "recall_at_10"):
        assert by_epoch.metrics[name][-1] == plain.metrics[name][-1]


def test_the_best_is_the_best_of_those_that_meet_it(plan_of, run, low):
    """The best shift is 0; but predictions must be 0.3 too low on average."""
    plan = plan_of(require=low(-0.3))
    record = run(plan, 40)
    [text] = map(str, plan.require)
    assert record.best.is_feasible
    assert record.best.metrics["level"] <= -0.3
    assert -0.4 < record.best.params["shift"] <= -0.3 + 0.01
    refused = [t for t in record.trials if t.broken == (text,)]
    assert min(t.value for t in refused if t.value is not None) < record.best.value
    for trial in record.trials:
        assert trial.violations == {
            text: pytest.approx((trial.metrics["level"] + 0.3) / 0.3)
        }
    # Optuna's own view of it.
    study = optuna.load_study(study_name="toy", storage=open_storage(plan.storage))
    assert study.best_trial.number == record.best.number
    assert study.trials[3].constraints == record.trials[3].violations
    # What follows from it.
    assert best_so_far(record)[-1][1] == record.best.value
    assert min(drawn_values(record)) == record.best.value


def test_the_search_is_steered_to_what_meets_it(plan_of, run, low, tmp_path):
    steered = run(plan_of(require=low(-0.5), storage=str(tmp_path / "a.log")), 50)
    free = run(plan_of(storage=str(tmp_path / "b.log")), 50)

    def n_low(record):
        return sum(t.params["shift"] < -0.5 for t in record.trials[20:])

    assert n_low(steered) > 2 * max(1, n_low(free))


@pytest.mark.parametrize(
    ("sampler", "storage"), [("tpe", "sqlite:///{}.db"), ("random", "{}.log")]
)
def test_it_is_the_same_in_parts_and_with_workers(
    plan_of, run, low, tmp_path, sampler, storage
):
    arguments = {"require": low(-0.3), "sampler": sampler}
    whole = run(plan_of(storage=str(tmp_path / "whole.log"), **arguments), 25)
    assert {t.is_feasible for t in whole.trials} == {True, False}
    parts = plan_of(storage=storage.format(tmp_path / "parts"), **arguments)
    for n_trials, jobs in ((1, 1), (14, 1), (25, 2)):
        record = run(parts, n_trials, jobs=jobs)
    assert trials_of(record) == trials_of(whole)


def test_tpe_draws_what_optuna_draws(plan_of, run, low):
    plan = plan_of(require=low(-0.3), window=1, pruner="none")
    record = run(plan, 30)
    study = optuna.create_study()
    kept = optuna.load_study(study_name="toy", storage=open_storage(plan.storage))
    study.add_trials(kept.trials[:-1])
    study.sampler = optuna.samplers.TPESampler(
        seed=trial_seed(0, 29), multivariate=False, constant_liar=True
    )
    shift = study.ask().suggest_float("shift", -1, 1)
    assert record.trials[29].params == {"shift": shift}


def test_a_study_is_continued_with_what_it_requires(plan_of, run, low):
    run(plan_of(require=low(-0.3)), 2)
    for other in ((), low(-0.4)):
        with pytest.raises(StudyError, match="another require"):
            run(plan_of(require=other), 3)


def test_criteria_that_have_changed_since_are_those_it_began_with(plan_of, run):
    first, second = (
        (requirement_of_criterion("rmse", at_most=bound, at_least=None),)
        for bound in (0.9, 1.2)
    )
    begun = run(plan_of(require=first), 3)
    assert run(plan_of(require=second), 6).settings.require == begun.settings.require
    assert run(plan_of(), 7).settings.require == begun.settings.require
    with pytest.raises(StudyError, match="another require"):
        run(plan_of(require=find_requirements(["rmse <= 1"])), 8)


def test_where_no_trial_meets_it_there_is_no_best(plan_of, run, low):
    record = run(plan_of(require=low(-3), pruner="none"), 6)
    assert record.best is None
    assert record.ranked == []
    nearest = min(record.trials, key=lambda t: t.params["shift"])
    sentence = why_none_is_best(record)
    assert "None of the 6 complete trials of toy meets" in sentence
    assert (
        f"trial {nearest.number} with level {nearest.metrics['level']:.4g}" in sentence
    )
    with pytest.raises(ValueError, match="feasible"):
        _ = optuna.load_study(
            study_name="toy", storage=open_storage(record.storage)
        ).best_trial


def test_what_is_required_must_be_a_number(plan_of, run, tmp_path):
    path = tmp_path / "odd.py"
    path.write_text("def odd(truth, prediction): return float('inf')\n")
    plan = plan_of(require=find_requirements([f"{path}:odd <= 1"]))
    with pytest.raises(StudyError, match="odd <= 1"):
        run(plan, 12)


def test_the_race_is_against_the_best_that_is_accepted():
    study = optuna.create_study()
    for shift, violation in ((0.0, 1.0), (0.3, -1.0), (0.31, -1.0)):
        steps = {k: 0.5 + 0.01 * k + shift + 0.001 * (k % 2) for k in range(5)}
        study.add_trial(
            optuna.trial.create_trial(
                value=float(np.mean(list(steps.values()))),
                intermediate_values=steps,
                constraints={"size": violation},
            )
        )
    for value, dropped in ((0.6, False), (0.9, True)):
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            intermediate_values={0: value, 1: value},
        )
        assert RacePruner().prune(study, trial) is dropped
