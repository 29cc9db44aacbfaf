"""``harness explain``: one prediction of a study, taken apart on the command line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from harness.cli import app
from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.evaluation.splits import split_off_test
from harness.models.base import Recommender
from harness.models.families import load_family
from tests.serving.promotion_workspace import keep_study

HOSTILE = "[bold red]Red[/] \x1b[2J\u202e :smile: [link=http://x]"
FAMILIES = {
    "baseline": {},
    "bfm": {"n_iterations": 5},
    "cf": {"n_neighbors": 3},
    "co_clustering": {},
    "content": {},
    "hybrid": {"n_epochs": 2},
    "nmf": {"n_epochs": 5},
    "slope_one": {},
    "svdpp": {"n_epochs": 2},
    "svd": {"n_factors": 7, "n_epochs": 10, "learning_rate": 0.02},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the ratings of 40 people and the titles they speak of."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(40 * 30, size=600, replace=False)
    stars = 3 + rng.normal(size=40)[pairs // 30] + 0.5 * rng.normal(size=600)
    rows = [
        f"u{pair // 30},AMZ_{pair % 30},{star:.0f}\n"
        for pair, star in zip(pairs, np.clip(np.round(stars), 1, 5), strict=True)
    ]
    (tmp_path / "mine.csv").write_text("user,item,rating\n" + "".join(rows))
    titles = [
        f"AMZ_{k},Title {k},{'Drama' if k % 2 else 'Horror'},{1990 + k}\n"
        for k in range(1, 30)
    ]
    head = "unique_id,title,listed_in,release_year\n"
    first = f'AMZ_0,"{HOSTILE}",Horror,1990\n'
    (tmp_path / "titles.csv").write_text(head + first + "".join(titles))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def store(folder):
    """Put a study of one trial into the storage, as `harness study` would."""
    assert folder.is_dir()

    def put(family, params, *, method="random", state=TrialState.COMPLETE, **settings):
        dataset = load_dataset("mine.csv", ReadOptions(catalogue=("titles.csv",)))
        split = split_off_test(dataset, method=method, test_share=0.2, seed=5)
        keep_study(
            f"{family}-mine",
            family,
            params,
            dataset=replace(dataset.facts(), options={"catalogue": ["titles.csv"]}),
            split=split.facts,
            state=state,
            settings=settings,
        )
        return dataset, split

    return put


@pytest.fixture
def explain():
    """Run the command in this process."""
    runner = CliRunner()

    def run(study, *more, user="u3", item="AMZ_7"):
        words = ("explain", study, "--user", user, "--item", item, *more)
        return runner.invoke(app, words)

    return run


@pytest.fixture(params=FAMILIES)
def family(request):
    """One of the families."""
    return request.param


def test_the_json_is_the_model_of_the_final_evaluation(explain, store, family):
    params = FAMILIES[family]
    dataset, split = store(family, params)
    result = explain(f"{family}-mine", "--format", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    recommender = load_family(family)
    seeded = {"seed": 5} if "seed" in recommender.__dataclass_fields__ else {}
    model = recommender(**params, **seeded)
    model.fit(split.train, dataset.catalogue)
    user = np.flatnonzero(dataset.ratings.user_ids == "u3")
    item = np.flatnonzero(dataset.ratings.item_ids == "AMZ_7")
    assert told["prediction"] == pytest.approx(float(model.predict(user, item)[0]))
    total = sum(part["stars"] for part in told["parts"])
    assert told["before_clipping"] == pytest.approx(total)
    assert np.clip(total, 1, 5) == pytest.approx(told["prediction"], abs=1e-4)
    assert told["n_train"] == 480
    assert told["title"]["name"] == "Title 7"


def predicted(explain, study):
    result = explain(study, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["prediction"]


def test_what_a_study_left_to_the_family_stays_what_it_was(explain, store):
    # Half of one epoch's learning rate, whatever the default of today is.
    params = {"n_factors": 7, "n_epochs": 1}
    dataset, split = store("svd", params, defaults={"learning_rate": 0.0025})
    model = load_family("svd")(**params, learning_rate=0.0025, seed=5)
    model.fit(split.train, dataset.catalogue)
    pair = (dataset.ratings.user_ids == "u3", dataset.ratings.item_ids == "AMZ_7")
    expected = float(model.predict(*map(np.flatnonzero, pair))[0])
    assert predicted(explain, "svd-mine") == pytest.approx(expected)


def test_the_table_shows_parts_that_add_up_to_what_it_predicts(explain, store, family):
    store(family, FAMILIES[family])
    result = explain(f"{family}-mine")
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "fitted again on the 480 training ratings" in text
    assert "title Title 7 [AMZ_7]" in text
    first_table = text.split("└")[0]
    stars = [float(s) for s in re.findall(r"│ +([+-]\d+\.\d{3}) │", first_table)]
    assert sum(stars[:-1]) == pytest.approx(stars[-1], abs=0.0006 * len(stars))
    predicted = float(re.search(r"Prediction: (\d\.\d\d) stars", text).group(1))
    assert np.clip(stars[-1], 1, 5) == pytest.approx(predicted, abs=0.006)


def test_svd_names_the_titles_at_the_ends_of_its_factors(explain, store):
    store("svd", FAMILIES["svd"])
    text = explain("svd-mine").stdout
    assert len(re.findall(r"(?m)^factor \d: goes with ", text)) == 5
    assert len(re.findall(r"(?m)^  [+-] \S.* \[AMZ_\d+\]", text)) == 10
    assert "2 more factors" in text


def test_cf_names_the_neighbours_and_what_they_were_rated(explain, store):
    _, split = store("cf", FAMILIES["cf"])
    told = json.loads(explain("cf-mine", "--format", "json").stdout)
    assert told["neighbors_are"] == "titles"
    train = split.train
    mine = train.users == train.user_ids.tolist().index("u3")
    ratings = dict(
        zip(train.item_ids[train.items[mine]], train.values[mine], strict=True)
    )
    assert told["neighbors"]
    for neighbor in told["neighbors"]:
        assert neighbor["rating"] == ratings[neighbor["who"]["id"]]
    text = explain("cf-mine").stdout
    assert "most similar titles the user has rated" in text


def test_a_rating_of_the_test_set_stays_sealed(explain, store):
    dataset, split = store("baseline", {})
    whole, train = dataset.ratings, split.train
    pairs = set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    shown = {"train": 0, "test": 0}
    for k in range(0, len(whole), 60):
        user, item = int(whole.users[k]), int(whole.items[k])
        told = explain(
            "baseline-mine",
            "--format",
            "json",
            user=whole.user_ids[user],
            item=whole.item_ids[item],
        )
        rated = json.loads(told.stdout)["rated"]
        seen = (user, item) in pairs
        assert rated == (whole.values[k] if seen else None)
        shown["train" if seen else "test"] += 1
    assert all(shown.values())


def test_foreign_text_cannot_break_the_output(explain, store):
    store("svd", FAMILIES["svd"])
    result = explain("svd-mine", item="AMZ_0")
    assert result.exit_code == 0, result.output
    assert "[bold red]Red[/]" in result.stdout
    assert ":smile:" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    as_json = explain("svd-mine", "--format", "json", item="AMZ_0").stdout
    assert "\x1b" not in as_json
    assert json.loads(as_json)["title"]["name"] == HOSTILE


@pytest.mark.parametrize(
    ("study", "pair", "sentence"),
    [
        (
            "svd-mini",
            {},
            "named 'svd-mini'. Did you mean 'svd-mine'?",
        ),
        ("svd-mine", {"user": "u333"}, "mine has no user 'u333'. Did you mean 'u33'?"),
        (
            "svd-mine",
            {"item": "AMZ7"},
            "mine has no item 'AMZ7'. Did you mean 'AMZ_7'?",
        ),
        (
            "svd-mine",
            {"item": "\x1b[2J"},
            "mine has no item '\\x1b[2J'. Its ids are like",
        ),
        ("svd-mine", {"user": "z" * 10**5}, "z…'. Its ids are like"),
    ],
)
def test_what_is_not_there_is_one_sentence(explain, store, study, pair, sentence):
    store("svd", {"n_factors": 2})
    result = explain(study, **pair)
    assert result.exit_code == 2
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1
    assert len(result.output) < 250


def test_data_that_has_changed_since_is_refused(explain, store):
    store("baseline", {})
    with Path("mine.csv").open("a") as ratings:
        ratings.write("u99,AMZ_1,3\n")
    result = explain("baseline-mine")
    assert result.exit_code == 2
    assert re.search(r"but it has changed since \([0-9a-f]{16}\)", result.output)


def test_a_study_without_a_complete_trial_has_nothing_to_explain(explain, store):
    store("baseline", {}, state=TrialState.FAIL)
    result = explain("baseline-mine")
    assert result.exit_code == 2
    assert "'baseline-mine' has no complete trial yet" in result.output


def test_where_all_titles_count_alike_the_most_influential_are_named(explain, store):
    store("slope_one", {})
    text = explain("slope_one-mine").stdout
    assert "most influential titles the user has rated" in text
    assert "similarity" not in text


def test_a_family_that_cannot_explain_itself_says_so(explain, store, monkeypatch):
    monkeypatch.setattr(load_family("baseline"), "explain", Recommender.explain)
    store("baseline", {})
    result = explain("baseline-mine")
    assert result.exit_code == 2
    assert "The family 'baseline' cannot explain its predictions" in result.output
