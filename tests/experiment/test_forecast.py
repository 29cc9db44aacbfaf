import itertools
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.data.catalogue import Catalogue
from harness.errors import StudyError, UnknownNameError
from harness.experiment import forecast, probe
from harness.experiment.forecast import (
    FamilyForecast,
    Forecast,
    forecast_experiment,
    forecast_where_large,
)
from harness.experiment.run import RunSettings, prepare_study, study_spec
from harness.experiment.spec import BudgetSpec
from harness.models.base import Growth
from harness.models.baseline.model import Baseline
from harness.models.cf.model import CF
from harness.models.slope_one.model import SlopeOne
from harness.search.fidelity import Fidelity
from harness.search.folds import Workbench
from harness.search.records import NoListener


@dataclass(kw_only=True)
class Squared(Baseline):
    """Says that it costs as much as the square of the ratings."""

    name: ClassVar[str] = "baseline"

    def growth(self, ratings):
        return Growth(time=len(ratings) ** 2, memory=len(ratings))


@pytest.fixture
def prepared(small_dataset, tmp_path):
    """A study of the baseline, ready to run: 720 training ratings."""
    spec = study_spec("baseline", n_trials=3, search={"pruner": "none"})
    settings = RunSettings(storage=str(tmp_path / "optuna.log"))
    return prepare_study(spec, settings, load=lambda _: small_dataset)


@pytest.fixture
def exact(monkeypatch):
    """Samples of about 90 and 360 ratings, whose costs are worked out, not measured."""
    monkeypatch.setattr(probe, "SMALLEST_SAMPLE", 20)
    monkeypatch.setattr(probe, "LARGEST_SAMPLE", 360)
    seen = []

    def use(seconds):
        def measure(executor, data, tasks, limit=0.0):
            del executor, limit
            n = len(data.train)
            seen.append(data.train)
            costs = [probe._Cost(seconds(n), 1000 + 50 * n, None) for _ in tasks]
            return probe._Sample(data.train, costs, 10 * n, 5000)

        monkeypatch.setattr(probe, "_measure_sample", measure)
        return seen

    return use


def test_a_line_through_the_samples_is_continued_to_all_ratings(prepared, exact):
    samples = exact(lambda n: 0.5 + 0.01 * n)
    found = forecast_experiment(prepared)
    [family] = found.families
    n = len(prepared.split.train)
    assert n == 720
    # Each sample is made of whole users, and holds those of the one before; the first
    # one is measured twice, for what is loaded then.
    users = [set(each.users.tolist()) for each in samples[1:]]
    assert len(samples[0]) == len(samples[1])
    assert len(samples) > 1
    assert all(few < many for few, many in pairwise(users))
    per_fold = 0.5 + 0.01 * n
    # Nothing is pruned, and the most has a margin of a quarter.
    assert family.search_seconds == pytest.approx(3 * 5 * per_fold)
    assert family.most_seconds == pytest.approx(1.25 * family.search_seconds)
    data = 720 * (4 * 4 + 8)
    # All five folds are kept, one of which is in what was measured.
    assert family.worker_bytes == pytest.approx(5000 + 1000 + 50 * n + 4 * data)
    assert family.model_bytes == pytest.approx(10 * n)
    # One worker, one process that measures costs on data of its own, and 2 x 3 models.
    assert found.memory_bytes == pytest.approx(
        2 * family.worker_bytes + data + 6 * family.model_bytes
    )


@pytest.mark.parametrize(("seconds", "n_samples"), [(1e-3, 3), (0.03, 2)])
def test_samples_grow_by_what_they_cost_however_busy_the_machine_is(
    prepared, exact, monkeypatch, seconds, n_samples
):
    hours = itertools.count(step=3600)
    monkeypatch.setattr(probe.time, "monotonic", lambda: next(hours))
    samples = exact(lambda n: seconds * n)
    forecast_experiment(prepared)
    # Of some 22, 90 and 360 ratings, the first one twice. At 0.03 s a rating the first
    # two take 3.4 s for each of the settings, and the third would take four times 2.7 s.
    assert len({len(each) for each in samples}) == n_samples


def test_samples_and_one_fold_take_their_share_of_the_time(prepared, exact):
    exact(lambda n: 0.01 * n)
    [plan] = prepared.plans.values()
    fidelity = Fidelity(samples=(1 / 16, 1 / 4), one_fold=True)
    raced = replace(
        prepared,
        plans={"baseline": replace(plan, fidelity=fidelity, pruner="race")},
        spec=prepared.spec.model_copy(update={"budget": BudgetSpec(trials=100)}),
    )
    [family] = forecast_experiment(raced).families
    of_fold = 0.01 * 720
    # Of 100 trials 45 go on to a quarter, and 45 % of these to everything.
    expected = 100 / 16 + 45 / 4 + 0.45 * 45
    assert family.search_seconds == pytest.approx(expected * of_fold)
    most = 1.25 * 100 * (1 / 16 + 1 / 4 + 1)
    assert family.most_seconds == pytest.approx(most * of_fold)
    # The samples are kept beside the one fold, which is in what was measured.
    data = 720 * (4 * 4 + 8)
    held = 5000 + 1000 + 50 * 720 + (1 / 16 + 1 / 4) * data
    assert family.worker_bytes == pytest.approx(held)


def test_where_one_fold_is_all_no_trial_is_counted_as_dropped(prepared, exact):
    exact(lambda n: 0.01 * n)
    [plan] = prepared.plans.values()
    only = replace(plan, fidelity=Fidelity(one_fold=True), pruner="race")
    # Of the initial settings, which most trials are like; others take a hundred times as long.
    costs = probe.FamilyCosts(100.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0)
    assert (
        forecast._usual_seconds(40, only, costs.seconds, costs.best_seconds(40)) == 40
    )


def test_a_family_says_what_its_costs_grow_with(prepared, exact):
    exact(lambda n: 0.5 + 1e-5 * n**2)
    [plan] = prepared.plans.values()
    squared = replace(prepared, plans={"baseline": replace(plan, family=Squared)})
    [family] = forecast_experiment(squared).families
    assert family.search_seconds == pytest.approx(3 * 5 * (0.5 + 1e-5 * 720**2))


def test_settings_that_go_on_train_longer_than_those_drawn_at_random(
    small_dataset, monkeypatch
):
    seconds, n_epochs = [2.0, 1.0, 3.0, 2.0], [20, 10, 60, 40]

    def measure(executor, data, tasks, limit=0.0):
        del executor, limit
        costs = [
            probe._Cost(each, 1000, None, n)
            for each, n in zip(2 * seconds, 2 * n_epochs, strict=True)
        ]
        return probe._Sample(data.train, costs[: len(tasks)], 0, 0)

    monkeypatch.setattr(probe, "_measure_sample", measure)
    spec = study_spec("svd", n_trials=40, search={"folds": 4})
    prepared = prepare_study(spec, RunSettings(jobs=1), load=lambda _: small_dataset)
    assert prepared.plans["svd"].space.epochs.high == 80
    [family] = forecast_experiment(prepared).families
    # Trained for 80 epochs: 8, 8, 4 and 4 s. Of 40 trials 30 are not drawn at random.
    of_any, of_long = 2.0, 6.0
    of_best = 0.25 * of_any + 0.75 * of_long
    n_complete = 3 + 40 / 12
    expected = (40 - n_complete) * of_any + n_complete * 4 * of_best
    assert family.search_seconds == pytest.approx(expected)
    assert family.most_seconds == pytest.approx(1.25 * 40 * 4 * of_long)
    # Fresh folds, and three refits of both; one of the tuned measures costs.
    refits = 3 * 2.0 + 3 * of_best
    assert family.judging_seconds == pytest.approx(4 * of_best + refits * 4 / 3)


@pytest.mark.parametrize(("seconds", "n_tried"), [(0.5, 8), (1.1, 6), (20.0, 4)])
def test_slow_families_are_tried_with_fewer_settings(
    small_ratings, prepared, monkeypatch, seconds, n_tried
):
    counts = []
    cost = probe._Cost(seconds, 1, None)
    monkeypatch.setattr(probe, "_measure_task", lambda *_: cost)
    fold_of = np.arange(len(small_ratings)) % 5
    bench = Workbench(Baseline, small_ratings, Catalogue.empty(), fold_of)

    def measure(executor, data, tasks, limit=np.inf):
        del executor
        costs, *_ = probe._measure_tasks(
            bench, family=Baseline, tasks=tasks, limit=limit
        )
        counts.append((len(tasks), len(costs)))
        return probe._Sample(data.train, costs, 1, 1)

    monkeypatch.setattr(probe, "_measure_sample", measure)
    forecast_experiment(prepared)
    # None is loaded after 6 s, and four are tried in any case.
    assert counts == [(8, min(8, 1 + int(6 / seconds))), (n_tried, n_tried)]


def test_pairs_of_ratings_are_counted_by_users_or_by_titles(small_ratings):
    def pairs(codes):
        return sum(int((codes == code).sum()) ** 2 for code in set(codes.tolist()))

    of_users, of_items = pairs(small_ratings.users), pairs(small_ratings.items)
    assert CF().growth(small_ratings).time == of_users
    assert CF(user_based=True).growth(small_ratings).time == of_items
    rated = len(set(small_ratings.items.tolist()))
    n_together = len(list(combinations(range(rated), 2)))
    assert SlopeOne().growth(small_ratings) == (of_users, 2 * n_together + rated)
    assert Baseline().growth(small_ratings) == (900, 900)


def test_a_family_without_hyperparameters_has_one_trial(small_dataset, exact, tmp_path):
    exact(lambda n: 0.01 * n)
    spec = study_spec("slope_one", n_trials=20)
    settings = RunSettings(storage=str(tmp_path / "optuna.log"))
    prepared = prepare_study(spec, settings, load=lambda _: small_dataset)
    [family] = forecast_experiment(prepared).families
    assert family.n_trials == 1


def test_what_is_done_and_small_data_are_not_tried(prepared, monkeypatch):
    monkeypatch.setattr(forecast, "try_family", lambda *_: pytest.fail("was tried"))
    assert forecast_where_large(prepared) is None
    prepared.begin()
    prepared.search("baseline", NoListener())
    assert forecast_experiment(prepared).families == ()


def family_of(name, worker, model=0.0):
    return FamilyForecast(
        family=name,
        n_trials=10,
        search_seconds=60.0,
        most_seconds=100.0,
        judging_seconds=5.0,
        worker_bytes=worker,
        model_bytes=model,
    )


def of(*families, jobs, available):
    return Forecast(
        families=families,
        failed={},
        jobs=jobs,
        n_ratings=1000,
        n_models=0,
        n_splits=2,
        data_bytes=0,
        available_bytes=available,
    )


def test_times_of_all_families_and_splits_add_up_and_memory_is_that_of_the_largest():
    found = of(family_of("svd", 3e9), family_of("cf", 5e9), jobs=4, available=21e9)
    assert (found.search_seconds, found.most_seconds) == (240, 400)
    # Of 1,000 ratings on two splits the rest takes 8 ms.
    assert found.judging_seconds == pytest.approx(20 + 0.008)
    assert found.memory_bytes == 20e9


def test_more_workers_than_tasks_shorten_nothing_and_are_told_their_window(
    small_dataset, exact, monkeypatch
):
    monkeypatch.setattr(forecast, "n_cores", lambda: 64)
    exact(lambda _: 1.0)

    def forecast_with(jobs):
        spec = study_spec("baseline", n_trials=40, search={"window": 3, "folds": 4})
        settings = RunSettings(jobs=jobs)
        return forecast_experiment(
            prepare_study(spec, settings, load=lambda _: small_dataset)
        )

    # Three trials of four folds are twelve tasks.
    fitting, more = forecast_with(12), forecast_with(64)
    assert (
        more.search_seconds
        == fitting.search_seconds
        == forecast_with(6).search_seconds / 2
    )
    assert fitting.idle is None
    assert "52 of 64 workers" in more.describe()[-1]
    assert "--window 24" in more.describe()[-1]


@pytest.mark.parametrize(
    "fidelity", [Fidelity(one_fold=True), Fidelity(samples=(1 / 4,))]
)
def test_of_trials_with_one_fold_at_a_time_no_more_are_under_way_than_the_window(
    prepared, exact, monkeypatch, fidelity
):
    monkeypatch.setattr(forecast, "n_cores", lambda: 64)
    exact(lambda _: 1.0)
    [plan] = prepared.plans.values()

    def forecast_with(jobs):
        return forecast_experiment(
            replace(
                prepared,
                plans={"baseline": replace(plan, fidelity=fidelity)},
                settings=replace(prepared.settings, jobs=jobs),
            )
        )

    fitting, more = forecast_with(8), forecast_with(20)
    assert more.search_seconds == fitting.search_seconds
    assert fitting.idle is None
    assert "12 of 20 workers" in more.idle
    assert "--window 20" in more.idle


@pytest.mark.parametrize(
    ("families", "jobs", "fits"),
    [
        ([family_of("svd", 3e9)], 8, "--jobs 3"),
        ([family_of("svd", 3e9), family_of("cf", 50e9)], 8, "the families svd only"),
        # 9.5 of the 10 GB may be planned for: half of 19.
        ([family_of("cf", 19e9)], 1, "some 500 of the 1,000"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(families, jobs, fits):
    found = of(*families, jobs=jobs, available=10e9)
    with pytest.raises(StudyError, match=fits):
        found.require_room()
    of(*families, jobs=1, available=100e9).require_room()


@pytest.fixture
def invoke(small_ratings, tmp_path, monkeypatch):
    """Run a study in this process, in a folder with ratings."""
    rows = zip(
        small_ratings.users, small_ratings.items, small_ratings.values, strict=True
    )
    lines = [f"u{user},i{item},{value}" for user, item, value in rows]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item,rating", *lines]))
    monkeypatch.chdir(tmp_path)
    command = [
        "study",
        "baseline",
        "--data",
        "mine.csv",
        "--trials",
        "2",
        "--jobs",
        "1",
    ]
    return lambda *more: CliRunner().invoke(app, [*command, *more])


def test_a_dry_run_tries_the_family_and_writes_nothing(invoke, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    result = invoke("--dry-run")
    assert result.exit_code == 0, result.output
    assert "search" in result.stdout
    assert "of memory" in result.stdout
    assert "Columns taken: user 'user'" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_too_little_memory_is_refused_before_anything_is_written(
    invoke, tmp_path, monkeypatch
):
    monkeypatch.setattr(forecast, "LARGE", 1)
    monkeypatch.setattr(forecast, "available_bytes", lambda: 1000)
    tried = probe.FamilyCosts(1.0, 1.0, 1.0, 1.0, 1e6, 1e5, 10**6)
    monkeypatch.setattr(forecast, "try_family", lambda *_: tried)
    before = sorted(path.name for path in tmp_path.iterdir())
    for more in ([], ["--dry-run"]):
        result = invoke(*more)
        assert result.exit_code == 2, result.output
        assert "a sample of the users" in " ".join(result.output.split())
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_front_door_takes_the_options_of_tune_and_names_what_fails(
    small_dataset, monkeypatch
):
    errors = [probe._Cost(1.0, 1, "ValueError: odd numbers")] * 4

    n_folds = []

    def measure(_, data, tasks, *__):
        n_folds.append(data.fold_of.max() + 1)
        return probe._Sample(data.train, errors[: len(tasks)], 1, 1)

    monkeypatch.setattr(probe, "_measure_sample", measure)
    found = harness.forecast_tune("svd", small_dataset, folds=3, jobs=1)
    assert set(n_folds) == {3}
    assert found.families == ()
    assert found.failed == {"svd": "ValueError: odd numbers"}
    with pytest.raises(UnknownNameError, match="'folds'"):
        harness.forecast_tune("svd", small_dataset, fold=3)
    run = harness.forecast_run("quick", small_dataset, only="svd", jobs=1)
    assert list(run.failed) == ["svd"]


def test_the_samples_are_the_same_users_for_all_families(small_ratings):
    one, other = (probe._sample(small_ratings, 200) for _ in range(2))
    assert np.array_equal(one.rows, other.rows)
    assert 200 <= len(one) < 200 + np.bincount(small_ratings.users).max()
    assert probe._sample(small_ratings, 900) is small_ratings
