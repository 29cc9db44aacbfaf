from pathlib import Path

import pytest

from harness.data.options import sidecar_file
from harness.errors import ExperimentError, UnknownNameError
from harness.experiment.file import find_spaces, load_experiment
from harness.experiment.spec import ExperimentSpec
from harness.files import find_experiment
from harness.search.space import StudyFile
from harness.toml import line_of

SHIPPED = sorted(Path(__file__).parents[2].glob("experiments/*.toml"))
MINIMAL = """\
title = "two families"

[families.svd]
label = "SVD"

[families.cf]

[[claims]]
metric = "rmse"
candidate = "svd"
value = 0.9
quotation = "0.9"

[[claims]]
metric = "mae"
candidate = "cf"
value = 0.7
quotation = "0.7"
"""


@pytest.fixture
def path(tmp_path):
    """A sound experiment file."""
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_is_sound(path):
    spec = load_experiment(path)
    assert len(spec.families) >= 4
    assert load_experiment(path, spec.as_json()) == spec


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('label = "SVD"', 'lable = "SVD"', r"mine.toml:4: families.svd.lable: "),
        ("value = 0.7", "valeu = 0.7", r"claims.1.valeu: .*Did you mean 'value'"),
        ('"mae"', '"mea"', r"mine.toml:15: claims.1.metric: .*Did you mean 'mae'"),
        ('"cf"\n', '"knn"\n', r"mine.toml:16: claims.1.candidate: "),
        ("[families.cf]", "[families.winner]", r"families.winner"),
        ("[families.cf]", '[families."c/f"]', r"families"),
        ('title = "two families"', "", r"title: must be given\.$"),
        ("[families.cf]", "[families.cf", r"not valid TOML"),
        (
            "value = 0.7",
            "value = 0.7\ntolerance = nan",
            r"claims.1.tolerance: .*finite",
        ),
        (
            "value = 0.7",
            'value = 0.7\ntolerance = "1"',
            r"tolerance: must be a number, but is '1'",
        ),
        (
            "[families.cf]",
            '[families.cf]\nlabel = "SVD"',
            r"label: 'SVD' is the name of",
        ),
        (
            "[families.cf]",
            '[[criteria]]\nmetric = "rmse"\nat_most = nan\n[families.cf]',
            r"criteria.0.at_most: .*finite",
        ),
    ],
)
def test_a_mistake_names_file_line_and_key(path, old, new, message):
    path.write_text(MINIMAL.replace(old, new, 1))
    with pytest.raises(ExperimentError, match=message):
        load_experiment(path)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('data = "x.csv"', r'below \[data\]: source = "x.csv"\.$'),
        ("budget = 20", r"below \[budget\]: trials = 20\.$"),
        ("trials = 20", r"below \[budget\]: trials = 20\.$"),
        ("n_trials = 20", r"below \[budget\]: trials = 20\.$"),
        ('metric = ["rmse", "mae"]', r'below \[search\]: metric = \["rmse", "mae"\]'),
        ("scale = [1, 5]", r"below \[data\]: scale = \[1, 5\]"),
        ('space = "svd_cold"', r'below \[families.NAME\]: space = "svd_cold"'),
        ('quotation = "0.9"', r'below \[\[claims\]\]: quotation = "0.9"'),
        ('families = ["svd", "cf"]', r": \[families.svd\], \[families.cf\]\.$"),
        ("jobs = 2", r"command line: --jobs\.$"),
        ('name = "x"', r"Did you mean 'title'\?$"),
        ("budget.n_trials = 2", r"Did you mean 'trials'\?$"),
        ("search.seed = 1", r"at the top, .*: seed = 1\.$"),
        ("families.svd.n_factors = 8", r"\[families.NAME.parameters\]"),
        ("families.svd.parameters.n_factors = 8", r'type = "fixed"'),
        (
            'families.svd.parameters.n_factors = { type = "int", min = 8 }',
            r"Did you mean 'low'\?$",
        ),
    ],
)
def test_what_is_written_from_habit_is_sent_where_it_belongs(path, line, remedy):
    families = "" if line.startswith("families") else "[families.svd]\n"
    path.write_text(f'title = "x"\n{line}\n{families}')
    with pytest.raises(ExperimentError, match=rf"mine.toml:2: [\w.]+: .*{remedy}"):
        load_experiment(path)


@pytest.mark.parametrize("model", [ExperimentSpec, StudyFile, sidecar_file()])
def test_habits_lead_to_keys_that_are_there(model):
    schema = model.model_json_schema()
    for meant in model.HABITS.values():
        if " " in meant:
            continue
        table, _, key = meant.rpartition(".")
        here = schema
        if table:
            here = schema["$defs"][here["properties"][table]["$ref"].split("/")[-1]]
        assert key in here["properties"]


def test_settings_enqueued_in_a_file_are_checked_against_the_space(path):
    right = MINIMAL.replace(
        "[families.cf]", "[families.cf]\nenqueue = [{ shrinkage = 30 }]", 1
    )
    path.write_text(right)
    spec = load_experiment(path)
    assert load_experiment(path, spec.as_json()) == spec
    assert find_spaces(path, spec)["cf"].enqueue == ({"shrinkage": 30},)
    path.write_text(right.replace("30", "true"))
    with pytest.raises(ExperimentError, match=r"mine.toml:\d+: .*shrinkage: .*True"):
        find_spaces(path, load_experiment(path))


def test_a_file_that_extends_another_changes_only_what_it_says(path):
    child = path.with_name("child.toml")
    child.write_text(
        'extends = "mine"\n[families.svd]\nspace = "svd_cold"\n[budget]\ntrials = 3\n'
    )
    spec, base = load_experiment(child), load_experiment(path)
    assert spec.families["svd"].label == "SVD"
    assert spec.families["svd"].space == "svd_cold"
    assert (spec.budget.n_trials, base.budget.n_trials) == (3, 100)
    assert spec.claims == base.claims


def test_the_command_line_has_the_last_word(path):
    spec = load_experiment(path, {"budget": {"trials": 7}, "data": {"source": "x"}})
    assert (spec.budget.trials, spec.data.source) == (7, "x")


def test_files_that_extend_each_other_are_refused(path):
    path.write_text('extends = "mine"\n')
    with pytest.raises(ExperimentError, match="must not lead back"):
        load_experiment(path)


def test_a_path_comes_before_a_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments"
    folder.mkdir()
    assert find_experiment("quick").parent != Path("experiments")
    path.rename(folder / "quick.toml")
    assert find_experiment("quick") == Path("experiments/quick.toml")
    assert find_experiment("experiments/quick.toml") == Path("experiments/quick.toml")


def test_a_name_that_is_almost_right_is_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'published'"):
        find_experiment("publishd")
    with pytest.raises(ExperimentError, match="no such file"):
        find_experiment("nowhere/published.toml")


def test_the_line_of_a_table_stands_for_a_key_that_is_missing():
    text = "a = 1\n[[b]]\nc = 1\n[[b]]\nd = 2\n[e.f]\ng = 3\n"
    assert line_of(text, "b.1.c") == 4
    assert line_of(text, "b.0.c") == 3
    assert line_of(text, "e.f.g") == 7
    assert line_of(text, "z") is None


@pytest.mark.parametrize(
    ("budget", "n_trials", "words"),
    [
        ({}, 100, "100 trials"),
        ({"trials": 7}, 7, "7 trials"),
        ({"trials": 7, "seconds": 60}, 7, "7 trials or 60 s"),
    ],
)
def test_a_budget_is_of_trials_seconds_or_both(path, budget, n_trials, words):
    spec = load_experiment(path, {"budget": budget})
    assert spec.budget.n_trials == n_trials
    assert spec.budget.describe() == words


def test_seconds_alone_do_not_limit_the_trials(path):
    spec = load_experiment(path, {"budget": {"seconds": 60}})
    assert spec.budget.n_trials > 10_000
    assert spec.budget.describe() == "60 s"
