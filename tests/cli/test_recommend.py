"""``harness recommend``: titles for one user, by name, and why."""

import csv
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.evaluation.splits import split_off_test
from harness.models.base import Recommender
from harness.models.families import load_family
from harness.serving.package import save_model
from tests.serving.promotion_workspace import keep_study

HOSTILE = "[bold red]Red[/] \x1b[2J\u202e :smile:"


@pytest.fixture
def recommend(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *args: CliRunner().invoke(app, ["recommend", *args])


@pytest.fixture
def model_of(package_toy, tmp_path):
    """Return a function that saves a model of a family, and says what is in it."""

    def make(family, **params):
        packaged = package_toy(family, **params)
        save_model(packaged, tmp_path / family)
        return packaged.model

    return make


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of one trial on ratings in a file, as `harness study` would leave it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pairs = rng.choice(20 * 15, size=200, replace=False)
    stars = rng.integers(1, 6, size=200)
    rows = [
        f"u{pair // 15},t{pair % 15},{star}\n"
        for pair, star in zip(pairs, stars, strict=True)
    ]
    (tmp_path / "mine.csv").write_text("user,item,rating\n" + "".join(rows))
    dataset = load_dataset(str(tmp_path / "mine.csv"), ReadOptions())
    split = split_off_test(dataset, method="random", test_share=0.2, seed=5)
    params = {"n_factors": 2, "n_epochs": 3}
    facts = {"dataset": dataset.facts(), "split": split.facts}
    keep_study("svd-mine", "svd", params, **facts)
    keep_study("toy-svd", "svd", params, experiment="toy", **facts)
    model = load_family("svd")(**params, seed=5)
    return model.fit(split.train, dataset.catalogue)


def test_the_best_of_a_study_is_fitted_again_as_it_was_judged(recommend, study):
    result = recommend("u3", "--study", "svd-mine", "--top", "4", "--format", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    items, scores = study.recommend(study.user_ids_.tolist().index("u3"), 4)
    assert [t["item"] for t in told["titles"]] == study.item_ids_[items].tolist()
    assert [np.float32(t["score"]) for t in told["titles"]] == scores.tolist()
    assert told["cold_start"] is False
    assert told["model"] == "svd-mine, settings of trial 0 fitted again"


@pytest.mark.usefixtures("study")
def test_an_experiment_can_be_asked_for_the_model_it_has_chosen(recommend):
    of_study, of_experiment = (
        json.loads(recommend("u3", "--study", name, "--format", "json").stdout)
        for name in ("svd-mine", "toy")
    )
    assert of_experiment["titles"] == of_study["titles"]
    assert of_experiment["model"].startswith("toy, ")


def test_the_champion_is_asked_where_there_is_one(
    recommend, toy_model, champion_store, tmp_path
):
    champion_store(tmp_path / "mlflow.db", {"toy": toy_model})
    result = recommend("u3", "--top", "3")
    assert result.exit_code == 0, result.output
    assert "models:/toy@champion, version 1: svd on toy" in result.stdout
    assert "The ratings are simulated." in result.stdout
    assert re.search(r"User u3 \(\d+ training ratings\)", result.stdout)
    assert len(re.findall(r"(?m)^│ +[123] │ Title \d+ \[i\d+\]", result.stdout)) == 3


def test_without_a_champion_it_says_what_to_name(recommend, tmp_path):
    result = recommend("u3")
    assert result.exit_code == 2
    assert "There is no champion in sqlite:///mlflow.db yet" in result.output
    assert "name one with --model or --study." in result.output
    assert not list(tmp_path.iterdir())


def test_titles_are_ranked_as_of_a_time(recommend, model_of):
    model = model_of("bfm", n_factors=2, n_iterations=10)
    user = model.user_ids_[3]
    told = {}
    for when, seconds in (("1999-12-31", 946_598_400.0), (None, None)):
        asked = ["--when", when] if when else []
        result = recommend(user, "--model", "bfm", *asked, "--format", "json")
        assert result.exit_code == 0, result.output
        told[when] = json.loads(result.stdout)["titles"]
        items, scores = model.recommend(3, when=seconds)
        assert [t["item"] for t in told[when]] == model.item_ids_[items].tolist()
        assert [np.float32(t["score"]) for t in told[when]] == scores.tolist()
    assert told[None] != told["1999-12-31"]


def test_csv_has_a_row_a_title(recommend, model_of):
    model = model_of("baseline")
    result = recommend("u3", "--model", "baseline", "--top", "5", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == ["rank", "item", "title", "stars", "score", "why"]
    items, scores = model.recommend(model.user_ids_.tolist().index("u3"), 5)
    assert [row["item"] for row in rows] == model.item_ids_[items].tolist()
    assert [np.float32(row["score"]) for row in rows] == scores.tolist()


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_stranger_is_told_that_this_is_the_cold_start(recommend, model_of, output):
    model = model_of("baseline")
    result = recommend(
        "nobody", "--model", "baseline", "--top", "2", "--format", output
    )
    assert result.exit_code == 0, result.output
    first = model.item_ids_[model.recommend(-1, 1)[0][0]]
    assert first in result.stdout
    if output == "json":
        assert json.loads(result.stdout)["cold_start"] is True
    else:
        assert "User nobody has no training ratings" in result.stdout
        assert "(cold start)" in result.stdout


@pytest.mark.parametrize("name", ["top.csv", "top.parquet"])
def test_all_users_get_what_each_would_get_alone(recommend, model_of, tmp_path, name):
    model = model_of("svd", n_factors=2, n_epochs=3)
    result = recommend("--all", "--model", "svd", "--top", "3", "--out", name)
    assert result.exit_code == 0, result.output
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    frame = read(tmp_path / name)
    assert frame["user"].unique().tolist() == model.user_ids_.tolist()
    asked = ("--model", "svd", "--top", "3", "--format", "json")
    for user in ("u3", "u44"):
        alone = json.loads(recommend(user, *asked).stdout)["titles"]
        rows = frame[frame["user"] == user]
        for column in ("rank", "item", "title"):
            there = rows[column].where(rows[column].notna(), None).tolist()
            assert there == [each[column] for each in alone]
        for column in ("stars", "score"):
            there = rows[column].astype(np.float32).tolist()
            assert there == [np.float32(each[column]) for each in alone]
    assert [p.name for p in tmp_path.iterdir() if "top" in p.name] == [name]


def reasons(result):
    return [title["why"] for title in json.loads(result.stdout)["titles"]]


def test_neighbours_are_named_with_what_the_user_gave_them(recommend, model_of):
    model = model_of("cf", n_neighbors=5)
    result = recommend("u3", "--model", "cf", "--format", "json")
    user = model.user_ids_.tolist().index("u3")
    seen = {f"Title {item}" for item in model.seen(user).tolist()}
    named = [
        re.fullmatch(r"like (Title \d+), rated ([\d.]+)", r) for r in reasons(result)
    ]
    assert any(named)
    assert {match.group(1) for match in named if match} <= seen


def test_what_speaks_for_a_title_is_what_adds_most(recommend, model_of):
    model = model_of("svd", n_factors=3, n_epochs=20, learning_rate=0.02)
    result = recommend("u3", "--model", "svd", "--format", "json")
    user = model.user_ids_.tolist().index("u3")
    for title in json.loads(result.stdout)["titles"]:
        item = model.item_ids_.tolist().index(title["item"])
        parts = {p.label: p.stars for p in model.explain(user, item).parts}
        told = re.findall(r"(bias of the title|factor \d) (\+\d\.\d\d)", title["why"])
        assert "+0.00" not in title["why"]
        del parts["mean"], parts["bias of the user"]
        best = sorted(parts.items(), key=lambda part: -part[1])[: len(told)]
        assert told == [(label, f"{stars:+.2f}") for label, stars in best]


def test_a_family_that_cannot_explain_itself_shows_no_reasons(
    recommend, model_of, monkeypatch
):
    model_of("nmf", n_epochs=2)
    monkeypatch.setattr(load_family("nmf"), "explain", Recommender.explain)
    result = recommend("u3", "--model", "nmf", "--top", "2")
    assert result.exit_code == 0, result.output
    assert "why" not in result.stdout
    result = recommend("u3", "--model", "nmf", "--top", "2", "--format", "json")
    assert reasons(result) == [None, None]


def test_foreign_text_cannot_break_the_table(recommend, model_of):
    model_of("baseline")
    result = recommend(HOSTILE, "--model", "baseline", "--top", "1")
    assert result.exit_code == 0, result.output
    assert "[bold red]Red[/]" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--study", "a", "--model", "b"), "give --study or --model, not both"),
        (("--all", "--out", "top.csv"), "Give USER or --all, not both"),
        (("--out", "top.csv"), "add --all"),
        (("--study", "svd-mine"), "There is no study storage 'optuna.log' here"),
        (("--model", ""), "--model must name a model, but is empty: leave it out"),
        (("--model", "nowhere"), "nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(recommend, words, sentence):
    result = recommend("u3", *words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "give --all and --out"),
        (("--all",), "add --out"),
        (("--all", "--out", "top.xlsx"), "must end in .parquet or .csv"),
        (("--all", "--out", "top.csv", "--format", "csv"), "leave --format out"),
        (("--all", "--out", "top.csv", "--model", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_written_for_all_is_one_sentence(
    recommend, tmp_path, words, sentence
):
    result = recommend(*words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_user_without_an_id_is_one_sentence(recommend, model_of):
    model_of("baseline")
    result = recommend("", "--model", "baseline")
    assert result.exit_code == 2
    assert result.output == "Error: USER must be the id of a user, but is empty.\n"
