"""Settings that are tried first: given by the user, or taken from another study."""

from dataclasses import replace

import pytest

from harness.errors import SpaceError, StudyError
from harness.search.records import why_exhausted
from harness.search.space import read_settings
from harness.search.study import warm_space

SPACE = """
family = "shifted"
[parameters]
shift = { type = "float", low = -1, high = 1, step = 0.25 }
fail_above = { type = "categorical", choices = [4.0, 9.0] }
"""
GIVEN = ({"shift": 0.25, "fail_above": 4.0}, {"shift": -0.5})


@pytest.fixture
def given(plan_of, tmp_path):
    """Make a plan that starts with `GIVEN`."""

    def make(label, settings=GIVEN, **changes):
        plan = plan_of(text=SPACE, storage=str(tmp_path / label), **changes)
        return replace(plan, space=plan.space.starting_with(settings, "enqueue"))

    return make


def trials_of(record):
    return [(t.number, t.state, t.params, t.fold_values) for t in record.trials]


def test_given_settings_come_after_trial_0_and_count(given, run):
    whole = run(given("whole"), 7)
    assert len(whole.trials) == 7
    assert whole.trials[0].params["shift"] == 0.5
    assert whole.trials[1].params == GIVEN[0]
    # What they do not name is drawn.
    assert whole.trials[2].params["shift"] == -0.5
    assert whole.trials[2].params["fail_above"] in {4.0, 9.0}
    parts = given("parts")
    for n_trials in (2, 3, 7):
        record = run(parts, n_trials, jobs=2 if n_trials == 7 else 1)
    assert trials_of(record) == trials_of(whole)


def test_a_study_goes_on_with_what_it_began_with(given, run):
    run(given("a"), 2)
    with pytest.raises(StudyError, match="another enqueue"):
        run(given("a", GIVEN[:1]), 3)


def test_a_grid_still_visits_every_point(given, run):
    record = run(given("grid", sampler="grid", pruner="none"), 100)
    assert len(record.trials) == 1 + len(GIVEN) + 9 * 2
    points = {tuple(t.params.values()) for t in record.trials[3:]}
    assert len(points) == 9 * 2
    assert "All 18 points" in why_exhausted(record)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"shift": 1.5}, r"enqueue: settings 2: shift: .*between -1 and 1.*1\.5"),
        ({"shift": 0.3}, r"shift: .*multiple of 0\.25"),
        ({"shift": "far"}, "shift: .*'far'"),
        ({"fail_above": 5.0}, r"fail_above: .*4\.0, 9\.0"),
        ({"shitf": 0.5}, "Did you mean 'shift'"),
        ({}, "shift, fail_above"),
    ],
)
def test_settings_outside_the_space_are_refused(given, settings, wrong):
    with pytest.raises(SpaceError, match=wrong):
        given("x", (GIVEN[0], settings))


def test_settings_are_read_from_an_object_or_a_list(tmp_path):
    path = tmp_path / "params.json"
    path.write_text('{"a": 1, "b": true, "c": 0.5}')
    assert read_settings(path) == ({"a": 1, "b": True, "c": 0.5},)
    path.write_text('[{"a": 1}, {"a": "x"}]')
    assert read_settings(path) == ({"a": 1}, {"a": "x"})
    for text in ("[1]", "{", '{"a": [1]}'):
        path.write_text(text)
        with pytest.raises(SpaceError, match=r"params\.json"):
            read_settings(path)


def test_the_best_of_another_study_are_tried_first(plan_of, run):
    other = plan_of(name="other", pruner="none")
    found = run(other, 12)
    # The objective grows with the distance from 0: the five nearest, without duplicates.
    shifts = {t.params["shift"] for t in found.trials}
    nearest = sorted(shifts, key=abs)[:5]
    plan = plan_of()

    def warm(name):
        space = warm_space(
            plan.space, "other", family="shifted", storage=plan.storage, name=name
        )
        return replace(plan, name=name, space=space, warm_start="other")

    record = run(warm("toy"), 7)
    assert [t.params["shift"] for t in record.trials[1:6]] == nearest
    assert record.settings.warm_start == "other"
    # The other one goes on, and finds better ones; this one is what it was.
    assert min(abs(t.params["shift"]) for t in run(other, 40).trials) < abs(nearest[0])
    assert trials_of(run(warm("toy"), 8))[:7] == trials_of(record)
    assert warm("new").space.enqueue != warm("toy").space.enqueue
    with pytest.raises(StudyError, match="another enqueue and warm_start"):
        run(plan, 9)


def test_a_study_of_another_family_or_space_warms_nothing(plan_of, run, descending):
    run(plan_of(name="other"), 2)
    text = 'family = "descending"\n[parameters]\ngoal = { type = "int", low = 5, high = 20 }\n'
    for changes, wrong in (
        ({"family": descending, "text": text}, "is one of shifted"),
        (
            {"text": SPACE.replace("-1", "0.75") + "[initial]\nshift = 1.0\n"},
            "in the search space",
        ),
    ):
        plan = plan_of(**changes)
        with pytest.raises(StudyError, match=wrong):
            warm_space(
                plan.space,
                "other",
                family=plan.family.name,
                storage=plan.storage,
                name="toy",
            )
