import threading
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from harness import api, carry_out
from harness.errors import (
    ExperimentError,
    ParameterError,
    StudyError,
    UnknownNameError,
)
from harness.evaluation.splits import SealedTest
from harness.experiment import judge as judgement
from harness.experiment.convergence import unfinished
from harness.experiment.file import load_experiment
from harness.experiment.judge import judge_experiment
from harness.experiment.run import (
    RunSettings,
    prepare_experiment,
    prepare_repeat,
    prepare_study,
    study_spec,
)
from harness.experiment.spec import Criterion
from harness.experiment.store import (
    keep_split,
    read_experiment,
    read_study_or_winner,
    take_over_rules,
)
from harness.plain import to_json
from harness.report.write import write_report
from harness.search.records import NoListener
from harness.search.storage import (
    MARK,
    list_studies,
    read_experiment_facts,
    read_studies,
    save_experiment_facts,
)
from tests.costs import MEASURED

FILE = """\
title = "toy"
final_seeds = 2

[data]
source = "ratings.csv"

[search]
folds = 2

[budget]
trials = 3

[families.svd]
parameters.n_epochs = { type = "epochs", high = 4, patience = 2 }
initial = { n_epochs = 3, n_factors = 16 }

[families.baseline]

[[variants]]
name = "svd without biases"
candidate = "svd"
params = { biased = false }
shows = "leaving biases out"
"""


@pytest.fixture(autouse=True)
def folder(small_ratings, tmp_path, monkeypatch):
    """A working folder with ratings and an experiment file."""
    monkeypatch.chdir(tmp_path)
    ids = small_ratings.user_ids[small_ratings.users]
    items = small_ratings.item_ids[small_ratings.items]
    rows = zip(ids, items, small_ratings.values, strict=True)
    lines = [f"{user},{item},{value:g}" for user, item, value in rows]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating", *lines]))
    (tmp_path / "toy.toml").write_text(FILE)
    return tmp_path


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """Costs without a process for each model; lists what was measured."""
    calls = []

    def measure(family, params, **_):
        calls.append((family, dict(params)))
        return MEASURED

    monkeypatch.setattr(judgement, "measure_efficiency", measure)
    return calls


def prepare(*, changes=None, name=None):
    settings = RunSettings(storage="o.log", name=name)
    return prepare_experiment("toy.toml", settings, changes=changes)


def run(**changes):
    prepared = prepare(**changes)
    prepared.begin()
    for candidate in prepared.plans:
        prepared.search(candidate, NoListener())
    return judge_experiment(prepared, on_step=lambda _: None)


def test_an_objective_without_test_ratings_is_refused_before_anything_is_written(
    folder,
):
    # Each of the 60 users keeps about 12 of 15 ratings, and none is left with 5.
    prepared = prepare(changes={"search": {"metric": "cold_user_rmse"}})
    counts = np.bincount(prepared.split.train.users)
    assert counts[prepared.split.test.pairs[0]].min() > 5
    with pytest.raises(StudyError, match="whose user has 0 to 5 training ratings"):
        prepared.begin()
    assert not (folder / "o.log").exists()


def test_times_that_are_all_the_same_are_no_times(small_dataset):
    ratings = small_dataset.ratings
    same = np.full(len(ratings), 10**9, dtype=ratings.timestamps.dtype)
    for times, is_searched in ((same, False), (ratings.timestamps, True)):
        dataset = replace(small_dataset, ratings=replace(ratings, timestamps=times))
        prepared = prepare_study(
            study_spec("svd"), RunSettings(storage="o.log"), load=lambda _, d=dataset: d
        )
        assert ("time" in prepared.plans["svd"].space.searched) is is_searched


def test_a_family_can_have_fewer_trials_than_the_others():
    own = {"families": {"svd": {"trials": 1}, "baseline": {"trials": 99}}}
    record = run(changes=own).record
    assert {c: len(s.trials) for c, s in record.studies.items()} == {
        "svd": 1,
        "baseline": 3,
    }
    assert unfinished(record) == []
    assert record.spec.own_budgets() == {"svd": 1}


def test_all_models_are_judged_on_the_same_test_set():
    judged = run()
    record = judged.record
    assert [m.name for m in record.models] == [
        "svd, initial",
        "svd, tuned",
        "baseline, initial",
        "baseline, tuned",
        "svd without biases",
        "user and item bias",
        "global mean",
    ]
    assert record.judging.openings == 1
    assert record.judging.n_test == record.split.n_test == 180
    assert set(judged.models) == {"svd", "baseline"}
    assert set(record.costs) == {"svd", "baseline", "user and item bias"}
    assert set(record.fresh_folds) == {"svd", "baseline"}
    tuned = record.model("svd")
    assert tuned.params == dict(record.studies["svd"].best.params)
    assert len(tuned.rmse_by_seed) == 2
    assert record.model("baseline").rmse_by_seed == pytest.approx(
        [record.model("baseline").rmse.value]
    )


def test_the_scores_are_those_of_the_models_on_the_test_set():
    judged = run()
    test = prepare().split.test.open()
    for candidate, role in (("baseline", "tuned"), ("svd", "tuned")):
        model = judged.models[candidate]
        errors = model.predict(test.users, test.items) - test.values
        by_seed = judged.record.model(candidate, role).rmse_by_seed
        assert np.sqrt(np.mean(errors.astype(float) ** 2)) == pytest.approx(by_seed[0])


def test_what_a_family_lacks_metadata_for_is_kept_with_its_models(monkeypatch):
    from harness.models.svd.model import SVD

    monkeypatch.setattr(SVD, "notes_on", classmethod(lambda *_: ["Nothing is known."]))
    notes = {m.name: m.notes for m in run().record.models}
    assert notes["svd, tuned"] == ("Nothing is known.",)
    assert notes["baseline, tuned"] == ()


def test_families_are_compared_pairwise_and_corrected_together():
    record = run().record
    groups = {}
    for found in record.judging.differences:
        groups.setdefault(found.group, []).append((found.one, found.other))
        assert found.p_holm >= found.p_value
    floor = "user and item bias"
    assert groups == {
        "families": [
            ("svd, tuned", "baseline, tuned"),
            ("svd, tuned", floor),
            ("baseline, tuned", floor),
        ],
        "floor": [
            ("svd, tuned", "global mean"),
            ("baseline, tuned", "global mean"),
            (floor, "global mean"),
        ],
        "tuning": [
            ("svd, tuned", "svd, initial"),
            ("baseline, tuned", "baseline, initial"),
        ],
        "variants": [("svd, initial", "svd without biases")],
    }


def test_the_record_is_read_back_as_it_was_judged():
    judged = run()
    assert to_json(read_experiment("o.log", "toy")) == to_json(judged.record)


def test_what_is_judged_is_not_judged_again(measured):
    first = run().record
    n_measured = len(measured)
    again = run()
    assert again.record == first
    assert again.models == {}
    assert len(measured) == n_measured


def test_more_trials_that_find_nothing_better_leave_the_seal_alone():
    first = run().record
    more = run(changes={"budget": {"trials": 4}}).record
    same_best = all(
        more.studies[c].best.number == first.studies[c].best.number
        for c in more.studies
    )
    assert more.judging.openings == (1 if same_best else 2)
    assert len(more.studies["svd"].trials) == 4


def test_a_better_trial_is_judged_and_the_look_counted():
    run()
    space = {"families": {"svd": {"initial": {"n_epochs": 4, "n_factors": 16}}}}
    changed = {"variants": []}
    assert run(changes=changed).record.judging.openings == 2
    with pytest.raises(StudyError, match="exists with another initial"):
        run(changes=space)


def test_looks_of_a_second_experiment_on_the_same_split_are_added():
    assert run().record.judging.openings == 1
    assert run(name="second").record.judging.openings == 2
    assert run(name="other split", changes={"seed": 1}).record.judging.openings == 1


def test_a_look_that_ends_in_a_crash_counts(monkeypatch):
    def crash(_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(SealedTest, "open", crash)
        with pytest.raises(MemoryError):
            run()
    assert read_experiment("o.log", "toy").judging is None
    assert run().record.judging.openings == 2


def test_after_an_interruption_only_the_rest_is_measured(measured, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(judgement, "fit_entries", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    n_measured = len(measured)
    assert n_measured == 3
    run()
    assert len(measured) == n_measured


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "another .*split"),
        ({"search": {"folds": 3}}, "another number of folds"),
    ],
)
def test_an_experiment_is_not_continued_as_another_one(changes, message):
    run()
    with pytest.raises(StudyError, match=message):
        run(changes=changes)


def test_a_study_of_another_split_is_not_compared():
    run()
    facts = read_experiment_facts("o.log", "toy")[MARK]
    other = facts | {"split": facts["split"] | {"fingerprint": "f" * 16}}
    save_experiment_facts("o.log", "toy", MARK, other)
    with pytest.raises(StudyError, match="another test set"):
        read_experiment("o.log", "toy")


CLAIM = """[[claims]]
metric = "param.n_factor"
candidate = "svd"
value = 16
quotation = "16 factors"
"""


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("[families.svd]", "[families.svdd]", ExperimentError, "svdd|variants"),
        (
            "[search]",
            '[families.x]\nfamily = "svdd"\n[search]',
            ExperimentError,
            r"toml:\d+: families.x.family: There is no family .*'svd'",
        ),
        ("n_factors = 16", "n_factors = 1600", ExperimentError, "families.svd: .*1600"),
        (
            "biased = false",
            "biassed = false",
            ExperimentError,
            r"toml:\d+: variants.0.params: .*biassed",
        ),
        ("[search]", '[search]\nsampler = "tpa"', UnknownNameError, "'tpe'"),
        (
            "[search]",
            '[search]\nrequire = ["latency_p95 <= 8"]',
            ExperimentError,
            r"toml:\d+: search.require: .*'latency_p95_ms'",
        ),
        ("[data]", '[split]\nmethod = "none"\n[data]', ExperimentError, "test set"),
        (
            "[data]",
            '[split]\nmethod = "temporal"\nrepeats = 5\n[data]',
            ExperimentError,
            "'temporal'.* cannot be repeated",
        ),
        ("[search]", f"{CLAIM}\n[search]", ExperimentError, "'n_factor'.*'n_factors'"),
    ],
)
def test_a_mistake_is_found_before_the_data_is_loaded(folder, old, new, error, message):
    (folder / "ratings.csv").unlink()
    (folder / "toy.toml").write_text(FILE.replace(old, new))
    with pytest.raises(error, match=message):
        prepare()
    assert not (folder / "o.log").exists()


def test_a_study_and_an_experiment_cannot_have_the_same_name():
    prepared = prepare()
    prepared.begin()
    prepared.search("svd", NoListener())
    with pytest.raises(StudyError, match="has a study named 'toy-svd'"):
        prepare(name="toy-svd").begin()


def test_a_rule_that_is_changed_after_the_look_is_told_from_the_one_before():
    assert run().record.changed_since_opened == ()
    changed = run(changes={"decision": {"prefer": ["model_bytes"]}}).record
    assert changed.judging.openings == 1
    assert changed.spec.decision.prefer == ("model_bytes",)
    assert changed.changed_since_opened == ("decision rule",)
    # Another look does not make the changed rule one that was declared before.
    again = run(changes={"decision": {"prefer": ["model_bytes"]}, "variants": []})
    assert again.record.judging.openings == 2
    assert again.record.changed_since_opened == ("decision rule",)


def test_a_rule_that_is_changed_before_the_look_is_the_rule():
    prepare().begin()
    changes = {"decision": {"prefer": ["model_bytes"]}}
    assert run(changes=changes).record.changed_since_opened == ()


def test_a_family_taken_out_of_the_file_leaves_nothing_behind(folder):
    run()
    (folder / "toy.toml").write_text(FILE.replace("[families.baseline]", ""))
    prepare().begin()
    there = read_experiment("o.log", "toy")
    assert {m.candidate for m in there.models} == {"svd", None}
    assert set(there.costs) == {"svd", "user and item bias"}
    assert set(there.fresh_folds) == {"svd"}
    judged = run().record
    assert judged.judging.openings == 2
    assert judged.changed_since_opened == ("families",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_epochs = 3,", "n_epochs = 4,", "another initial"),
        ("high = 4,", "high = 5,", "another space"),
        ("[search]", '[search]\nsampler = "random"', "another sampler"),
        ("[families.baseline]", '[families.baseline]\nfamily = "svd"', "family"),
    ],
)
def test_a_file_that_says_otherwise_than_was_searched_changes_nothing(
    folder, old, new, message
):
    first = run().record
    (folder / "toy.toml").write_text(FILE.replace(old, new))
    with pytest.raises(StudyError, match=message):
        prepare().begin()
    assert read_experiment("o.log", "toy") == first


def test_seconds_that_earlier_sessions_have_used_are_used_up():
    prepared = prepare(changes={"budget": {"trials": 3}})
    prepared.begin()
    prepared.search("svd", NoListener())
    prepared = prepare(changes={"budget": {"trials": 99, "seconds": 1e-4}})
    prepared.begin()
    assert len(prepared.search("svd", NoListener()).trials) == 3


def test_an_experiment_stands_for_the_study_of_its_winner():
    prepared = prepare()
    prepared.begin()
    with pytest.raises(StudyError, match="'toy' has chosen no family yet"):
        read_study_or_winner("o.log", "toy")
    record = run().record
    winner = record.decision.winner
    assert read_study_or_winner("o.log", "toy") == record.studies[winner]
    assert read_study_or_winner("o.log", "toy-baseline").family == "baseline"
    with pytest.raises(UnknownNameError):
        read_study_or_winner("o.log", "toy-")


def test_criteria_that_are_changed_later_need_no_training(folder):
    run()
    spec = load_experiment(folder / "toy.toml")
    strict = Criterion(metric="rmse", at_most=0.01)
    changed = spec.model_copy(update={"criteria": (strict,)})
    record = take_over_rules("o.log", "toy", changed)
    assert [c.passed for c in record.criteria] == [False]
    assert read_experiment("o.log", "toy") == record
    assert "acceptance criteria" in record.changed_since_opened


def test_criteria_steer_the_search_of_whom_they_are_about():
    criteria = [
        {"metric": "rmse", "at_most": 0.9},  # is searched for anyway
        {"metric": "gain_over_bias", "at_least": 0.01},  # no trial can tell
        {"metric": "latency_p95_ms", "at_most": 80},
        {"metric": "latency_p95_ms", "at_most": 40},
        {"metric": "model_bytes", "at_most": 4e6, "candidate": "svd"},
    ]

    def required(**changes):
        plans = prepare(changes={"criteria": criteria, **changes}).plans
        return {c: list(map(str, plan.require)) for c, plan in plans.items()}

    latency = "latency_p95_ms <= 50"
    assert required() == {
        "svd": [latency, "model_bytes <= 5000000"],
        "baseline": [latency],
    }
    assert required(search={"require": []}) == {"svd": [], "baseline": []}
    asked = ["mae <= 0.8"]
    assert required(search={"require": asked}) == {"svd": asked, "baseline": asked}


def test_a_family_without_a_feasible_trial_does_not_cost_the_others_their_verdict():
    # Four floats for each user and title, and more.
    judged = run(changes={"search": {"require": ["model_bytes <= 10000"]}})
    record = judged.record
    assert record.studies["svd"].best is None
    assert record.decision.winner == "baseline"
    assert {m.candidate for m in record.models if m.candidate} == {"baseline"}
    report = write_report(record, Path("report")).read_text()
    assert "Not judged: svd. None of the " in report
    assert "none feasible" in report


def test_without_a_feasible_trial_there_is_nothing_to_judge():
    with pytest.raises(StudyError, match=r"None of the .* complete trials of toy-svd"):
        run(changes={"search": {"require": ["model_bytes <= 1"]}})


def test_rules_are_not_taken_over_from_a_file_with_other_families(folder):
    run()
    spec = load_experiment(folder / "toy.toml")
    fewer = spec.model_copy(update={"families": {"svd": spec.families["svd"]}})
    with pytest.raises(StudyError, match="its file now names svd: run it"):
        take_over_rules("o.log", "toy", fewer)


def test_repeats_go_on_after_a_stop_and_are_compared_over_their_splits(monkeypatch):
    def go():
        return api.run("toy.toml", repeats=3, jobs=1, storage="o.log", progress=False)

    def stop(prepared, **more):
        if prepared.name == "toy-repeat-2":
            raise KeyboardInterrupt
        return judge_experiment(prepared, **more)

    monkeypatch.setattr("harness.report.context.Context.figure", lambda *_: "")
    # MLflow's database takes longer than all the rest.
    monkeypatch.setattr(carry_out, "MLflowTracker", lambda *_, **__: nullcontext())
    monkeypatch.setattr(carry_out, "log_runs", lambda record, *_: (record, None))
    monkeypatch.setattr(carry_out, "log_report", lambda *_: None)
    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "judge_experiment", stop)
        with pytest.raises(KeyboardInterrupt):
            go()
    stopped = read_experiment("o.log", "toy").repeated
    assert (stopped.n_asked, len(stopped.splits), stopped.pairs) == (3, 1, ())

    done = go()
    found = done.results.repeated
    assert [(s.number, s.seed) for s in found.splits] == [(1, 0), (2, 1000), (3, 2000)]
    records = [read_experiment("o.log", split.experiment) for split in found.splits]
    assert len({record.split.fingerprint for record in records}) == 3
    winners = Counter(record.decision.winner for record in records)
    assert found.chosen == winners
    gaps = [r.model("svd").rmse.value - r.model("baseline").rmse.value for r in records]
    [pair] = [p for p in found.pairs if {p.one, p.other} == {"svd", "baseline"}]
    error = np.sqrt((1 / 3 + 180 / 720) * np.var(gaps, ddof=1))
    # Of three pairs, unless others are decided first.
    half = scipy.stats.t.ppf((1 + pair.confidence) / 2, 2) * error
    assert pair.difference.value == pytest.approx(np.mean(gaps), abs=1e-12)
    assert pair.difference.high - pair.difference.value == pytest.approx(half)
    # All trials are there, once.
    studies = read_studies("o.log", list_studies("o.log"))
    assert [len(study.trials) for study in studies.values()] == [3] * 6
    times = winners[done.winner]
    assert f"{times} of 3" in done.report_path.read_text()

    # A rule that is changed later is followed on all splits, as by --report-only.
    spec = load_experiment(Path("toy.toml"))
    decision = spec.decision.model_copy(update={"prefer": ("novelty",)})
    followed = take_over_rules(
        "o.log", "toy", spec.model_copy(update={"decision": decision})
    )
    records = [read_experiment("o.log", split.experiment) for split in found.splits]
    assert {r.spec.decision.prefer for r in records} == {("novelty",)}
    assert followed.repeated.chosen == Counter(r.decision.winner for r in records)
    assert [s.seed for s in followed.repeated.splits] == [0, 1000, 2000]
    for judged_by in ("margin", "significance"):
        stricter = spec.decision.model_copy(update={judged_by: 0.01})
        with pytest.raises(StudyError, match=f"The {judged_by} .* has changed"):
            take_over_rules(
                "o.log", "toy", spec.model_copy(update={"decision": stricter})
            )


def test_a_repeat_with_another_budget_does_not_count():
    run()
    repeat = prepare_repeat(prepare(), 2)
    repeat.begin()
    for candidate in repeat.plans:
        repeat.search(candidate, NoListener())
    judge_experiment(repeat, on_step=lambda _: None)
    keep_split("o.log", "toy", 2)
    for n_trials, n_counted in ((3, 2), (4, 1)):
        changes = {"split": {"repeats": 2}, "budget": {"trials": n_trials}}
        prepare(changes=changes).begin()
        assert len(read_experiment("o.log", "toy").repeated.splits) == n_counted


def test_a_probe_that_dies_costs_the_others_nothing(monkeypatch):
    def die(family, _params, **_):
        if family == "svd":
            raise StudyError("What svd costs cannot be measured: its process died.")
        return MEASURED

    monkeypatch.setattr(judgement, "measure_efficiency", die)
    record = run().record
    assert set(record.costs) == {"baseline", "user and item bias"}
    assert record.not_measured.keys() == {"svd"}
    assert "died" in record.not_measured["svd"]
    assert "latency_p95_ms" not in record.model("svd").measures
    assert record.decision is not None
    monkeypatch.setattr(judgement, "measure_efficiency", lambda *_, **__: MEASURED)
    again = run(changes={"budget": {"trials": 5}}).record
    assert again.not_measured == {}


def test_a_margin_wider_than_the_scale_is_refused_before_anything_is_searched():
    with pytest.raises(ParameterError, match="width of the rating scale"):
        prepare(changes={"decision": {"margin": 4.5}})


@pytest.mark.parametrize(
    ("head_start", "n_workers", "n_imports"), [(0.0, 2, 1), (60.0, 2, 0), (0.0, 1, 0)]
)
def test_libraries_are_imported_ahead_while_workers_search_for_longer_than_that(
    monkeypatch, head_start, n_workers, n_imports
):
    imported, over = [], threading.Event()

    def import_libraries():
        over.set()
        imported.append(threading.current_thread())
        raise ImportError  # met again by whoever needs it

    monkeypatch.setattr(carry_out, "import_libraries", import_libraries)
    monkeypatch.setattr(carry_out, "_HEAD_START_SECONDS", head_start)
    prepared = prepare()
    settings = replace(prepared.settings, n_workers=n_workers)
    with carry_out._importing_ahead(replace(prepared, settings=settings), "svd"):
        over.wait(10 * n_imports)
    # It has come to an end: nothing else imports beside it.
    assert [thread.is_alive() for thread in imported] == [False] * n_imports
    assert threading.current_thread() not in imported
