import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from harness import __version__
from harness.errors import DataError, HarnessError, MissingExtraError, TrackingError
from harness.evaluation.results import without_interval
from harness.evaluation.statistics import Estimate
from harness.models.families import family_names
from harness.serving.folder import FORMAT, ModelFacts, read_model, write_model
from harness.serving.package import log_model, requirements, save_model, write_card
from harness.serving.wheel import WHEEL
from harness.tracking.location import locate
from harness.tracking.store import open_store

KEPT = Path(__file__).parent / "artifacts"
QUICK = {
    "bfm": {"n_factors": 2, "n_iterations": 5},
    "blend": {
        "members": '{"cf": {"family": "cf"}, "svd": {"family": "svd", "n_epochs": 3}}'
    },
    "hybrid": {"n_epochs": 2},
    "nmf": {"n_epochs": 3},
    "svd": {"n_epochs": 3},
    "svdpp": {"n_epochs": 2},
}
ASKED = pd.DataFrame(
    {
        "user": ["u1", "u1", "nobody", "u7", "nobody"],
        "item": ["i3", "nothing", "i3", "i39", "nothing"],
    }
)


@pytest.fixture(params=family_names())
def packaged(request, package_toy):
    try:
        return package_toy(request.param, **QUICK.get(request.param, {}))
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture
def without_pickle(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickle is not safe to load")

    def start():
        for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
            monkeypatch.setattr(pickle, name, refuse)

    return start


@pytest.fixture(scope="module")
def served(toy_model):
    return mlflow.pyfunc.load_model(str(toy_model))


@pytest.fixture
def folder(package_toy, tmp_path):
    """A packaged model on disk."""
    write_model(package_toy("svd", **QUICK["svd"]), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def run(store_uri):
    """A run that has ended, with a metric."""
    experiment = open_store(locate(store_uri)).experiment_id
    client = MlflowClient(store_uri)
    run_id = client.create_run(experiment, run_name="final").info.run_id
    client.log_metric(run_id, "test_rmse", 0.5)
    client.set_terminated(run_id)
    return client.get_run(run_id)


# Packaging


def test_what_is_loaded_without_pickle_predicts_the_same_bit_for_bit(
    packaged, tmp_path, without_pickle
):
    model = packaged.model
    code_of = {id_: code for code, id_ in enumerate(model.user_ids_)}
    item_of = {id_: code for code, id_ in enumerate(model.item_ids_)}
    users = np.array([code_of.get(user, -1) for user in ASKED["user"]])
    items = np.array([item_of.get(item, -1) for item in ASKED["item"]])
    stars = model.predict(users, items)
    best, scores = model.recommend(code_of["u1"], 5)
    save_model(packaged, tmp_path / "model")
    # Numba reads compiled kernels from its cache with pickle: let it do so before.
    mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(ASKED)
    without_pickle()
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    told = loaded.predict(ASKED)["stars"].to_numpy()
    np.testing.assert_array_equal(told.astype(np.float32), stars)
    told = loaded.predict(pd.DataFrame({"user": ["u1"]}), {"n": 5})
    assert told["item"].tolist() == model.item_ids_[best].tolist()
    np.testing.assert_array_equal(told["score"].to_numpy().astype(np.float32), scores)
    assert not list((tmp_path / "model").rglob("*.pkl"))


def test_equal_models_have_equal_fingerprints(package_toy, tmp_path):
    written = [
        write_model(package_toy("svd", n_epochs=2, seed=seed), tmp_path / str(place))
        for place, seed in enumerate((1, 1, 2))
    ]
    same, again, other = (each.fingerprint for each in written)
    assert same == again != other
    size = sum(
        path.stat().st_size
        for path in (tmp_path / "0").iterdir()
        if path.name != "facts.json"
    )
    assert written[0].size_bytes == size


def test_titles_and_facts_come_with_it(folder):
    packaged = read_model(folder)
    assert packaged.titles[0] == "Title 0"
    assert packaged.titles[-1] is None
    facts = packaged.facts
    assert (facts.family, facts.study, facts.trial) == ("svd", "svd-toy", 7)
    assert (facts.simulated, facts.dataset.scale) == (True, (1, 5))
    assert (facts.n_train, facts.trained_on) == (675, "training part")
    assert facts.harness_version == __version__
    assert facts.measures == {"rmse": Estimate(value=0.5, low=0.4, high=0.6)}


def test_a_measure_without_interval_has_none_when_it_is_read(folder):
    facts = read_model(folder).facts
    facts = replace(facts, measures={"coverage": without_interval(0.9)})
    kept = json.loads(json.dumps(facts.as_json(), allow_nan=False))
    [found] = ModelFacts.from_json(kept).measures.values()
    assert (found.value, math.isnan(found.low), math.isnan(found.high)) == (
        0.9,
        True,
        True,
    )


def test_requirements_are_pinned_to_what_is_installed():
    pinned = requirements("svd")
    assert pinned[0] == f"wheels/{WHEEL}"
    assert f"numpy=={version('numpy')}" in pinned
    assert f"mlflow=={version('mlflow')}" in pinned
    assert not [line for line in pinned if line.startswith(("pytest", "cmaes"))]


def pip(*arguments, cwd):
    command = [sys.executable, "-m", "pip", "--isolated", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pip_resolves_the_requirements_of_a_model_without_an_index(toy_model):
    """As MLflow installs them: from within the folder of the model."""
    told = pip(
        *("install", "--dry-run", "--no-index", "--find-links", "wheels"),
        *("--ignore-installed", "--no-deps", "-r", "own.txt"),
        cwd=own_requirement(toy_model),
    )
    assert f"Would install recommender-harness-{__version__}" in told
    # All else is installed here, each in the version that is asked for.
    others = toy_model / "requirements.txt"
    pip("install", "--dry-run", "--no-index", "-r", str(others), cwd=toy_model)


def own_requirement(folder):
    """Write the requirement of harness alone beside the others."""
    [line] = [
        line
        for line in (folder / "requirements.txt").read_text().splitlines()
        if "harness" in line
    ]
    (folder / "own.txt").write_text(line)
    return folder


def test_the_wheel_in_a_model_is_the_whole_package(toy_model, tmp_path):
    target = tmp_path / "site"
    wheel = toy_model / "wheels" / WHEEL
    pip("install", "--no-index", "--no-deps", "--target", str(target), wheel, cwd=".")
    script = (
        "import harness; print(harness.__file__)\n"
        "from importlib.metadata import distribution\n"
        "print(distribution('recommender-harness').version)\n"
        "from harness.search.space import find_space\n"
        "print(find_space('svd'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, number, space = done.stdout.split()
    assert Path(where) == target / "harness" / "__init__.py"
    assert number == __version__
    assert Path(space) == target / "harness/shipped/studies/svd.toml"


def test_nothing_in_it_says_where_this_machine_keeps_its_files(toy_model):
    for path in toy_model.rglob("*"):
        if path.suffix not in {".npz", ".whl"} and path.is_file():
            assert str(Path.cwd()) not in path.read_text(), path
            assert "/tmp" not in path.read_text(), path


def test_the_card_says_what_it_is_and_how_to_call_it(toy_model):
    card = (toy_model / "card.md").read_text()
    assert "# svd on toy" in card
    assert "**The ratings are simulated.**" in card
    assert "Trained on 675 of 900 ratings (1 to 5 stars)" in card
    assert "| `n_factors` | 2 |" in card
    assert re.search(r"\| RMSE.* \| 0\.5000 \| 0\.4000 to 0\.6000 \|", card)
    assert '{"dataframe_records": [{"user": "USER"}], "params": {"n": 10}}' in card


# Faults of what is on disk


@pytest.mark.parametrize("name", ["model.npz", "model.json", "titles.json"])
def test_a_file_that_has_changed_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: has changed since"):
        read_model(folder)


@pytest.mark.parametrize("name", ["model.npz", "titles.json"])
def test_a_file_that_is_missing_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name}: is missing from the packaged model"):
        read_model(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"family": "svd"}'])
def test_facts_that_cannot_be_read_are_one_sentence(folder, text):
    (folder / "facts.json").write_text(text)
    with pytest.raises(
        DataError, match=r"facts\.json: (is not the JSON file|must hold)"
    ):
        read_model(folder)


def rewrite(folder, **changes):
    path = folder / "facts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("number", [FORMAT + 1, 0, "1", None])
def test_a_format_that_is_not_known_is_refused(folder, number):
    rewrite(folder, format=number, harness_version="9.0.0")
    with pytest.raises(DataError, match=r"format .* written by harness 9\.0\.0; use"):
        read_model(folder)


def test_another_version_of_harness_with_a_known_format_is_welcome(folder):
    rewrite(folder, harness_version="7.3.0")
    assert read_model(folder).facts.harness_version == "7.3.0"


def test_a_family_that_restores_something_else_now_says_so(folder):
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"n_factors"', '"n_of_old"'))
    files = json.loads((folder / "facts.json").read_text())["files"]
    import hashlib

    files["model.json"] = {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    rewrite(folder, files=files)
    with pytest.raises(DataError, match=r"cannot be read by this version: .*n_of_old"):
        read_model(folder)


def test_a_card_of_a_model_fitted_to_all_ratings_says_whose_figures_it_shows(folder):
    facts = replace(read_model(folder).facts, trained_on="all ratings", n_train=900)
    card = write_card(facts, {}, has_report=False)
    assert "Trained on all 900 ratings" in card
    assert "figures are not of this model" in card
    assert "training part, 675 ratings" in card


def test_mlflow_passes_the_sentence_on(toy_model, tmp_path):
    shutil.copytree(toy_model, tmp_path / "model")
    (tmp_path / "model/artifacts/model/model.npz").unlink()
    with pytest.raises(HarnessError, match=r"model\.npz: is missing"):
        mlflow.pyfunc.load_model(str(tmp_path / "model"))


# One folder a minor version: what `save_model` of that version wrote, and what the model
# then predicted, in expected.json. They are kept as they are, and never made anew.
@pytest.mark.parametrize(
    "folder", [pytest.param(path, id=path.name) for path in sorted(KEPT.glob("*"))]
)
def test_models_that_earlier_versions_logged_still_load(folder, without_pickle):
    expected = json.loads((folder / "expected.json").read_text())
    asked = pd.DataFrame({"user": expected["user"], "item": expected["item"]})
    loaded = mlflow.pyfunc.load_model(str(folder))
    dated = loaded.predict(asked, {"when": 1e9})["stars"]
    np.testing.assert_array_equal(dated, loaded.predict(asked)["stars"])
    without_pickle()
    stars = mlflow.pyfunc.load_model(str(folder)).predict(asked)["stars"]
    np.testing.assert_allclose(stars, expected["stars"], rtol=0, atol=1e-5)


# Questions and answers


def test_a_user_gets_ten_titles_it_has_not_rated_best_first(served, package_toy):
    told = served.predict(pd.DataFrame({"user": ["u3"]}))
    columns = ["user", "rank", "item", "title", "stars", "score", "known"]
    assert list(told) == columns
    assert told["rank"].tolist() == list(range(1, 11))
    assert told["score"].is_monotonic_decreasing
    assert told["stars"].between(1, 5).all()
    model = package_toy("svd", n_factors=2, n_epochs=5).model
    seen = model.item_ids_[model.seen(model.user_ids_.tolist().index("u3"))]
    assert not set(told["item"]) & set(seen)


def test_every_user_of_a_batch_gets_its_own(served):
    batch = served.predict(pd.DataFrame({"user": ["u3", "nobody", "u5"]}), {"n": 4})
    assert batch["user"].tolist() == ["u3"] * 4 + ["nobody"] * 4 + ["u5"] * 4
    for user, rows in batch.groupby("user"):
        alone = served.predict(pd.DataFrame({"user": [user]}), {"n": 4})
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), alone)


def test_the_same_pair_gets_the_same_stars_however_it_is_asked(served):
    told = served.predict(pd.DataFrame({"user": ["u3"]}), {"n": 30})
    again = served.predict(told[["user", "item"]])
    assert list(again) == ["user", "item", "title", "stars", "known"]
    pd.testing.assert_frame_equal(again, told[list(again)])


def test_strangers_get_the_cold_start(served, package_toy):
    model = package_toy("svd", n_factors=2, n_epochs=5).model
    pairs = pd.DataFrame({"user": ["nobody", ""], "item": ["nothing", "\x1b"]})
    stars = served.predict(pairs)["stars"].to_numpy().astype(np.float32)
    of_strangers = model.predict(np.array([-1]), np.array([-1]))
    assert (stars == of_strangers).all()
    assert len(served.predict(pd.DataFrame({"user": ["nobody"]}))) == 10


def test_known_is_who_and_what_has_training_ratings(package_toy, tmp_path):
    packaged = package_toy("baseline")
    model = packaged.model
    # A user and a title of the data all of whose ratings are test ratings.
    untrained = {code for code in range(60) if len(model.seen(code)) == 0}
    rated = {item for code in range(60) for item in model.seen(code).tolist()}
    model.user_ids_ = np.append(model.user_ids_, "untrained")
    model._seen_offsets_ = np.append(model._seen_offsets_, model._seen_offsets_[-1])
    save_model(packaged, tmp_path / "model")
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    pairs = [(user, item) for user in model.user_ids_ for item in model.item_ids_]
    told = served.predict(pd.DataFrame(pairs, columns=["user", "item"]))
    expected = [
        user != "untrained" and code not in untrained and item in rated
        for code, user in enumerate(model.user_ids_)
        for item in range(len(model.item_ids_))
    ]
    assert told["known"].tolist() == expected
    pairs = pd.DataFrame({"user": ["u1", "nobody"], "item": ["nothing", "i3"]})
    assert served.predict(pairs)["known"].tolist() == [False, False]
    users = pd.DataFrame({"user": ["untrained", "u1", "nobody"]})
    told = served.predict(users, {"n": 1})
    assert told["known"].tolist() == [False, True, False]


def test_titles_that_nobody_has_rated_are_recommended_only_when_asked_for(
    package_toy, tmp_path
):
    packaged = package_toy("baseline")
    model = packaged.model
    # A title of the catalogue that the model predicts, but that nobody has rated.
    seen = model._seen_items_ != 3
    kept = np.concatenate([[0], np.cumsum(seen)])[model._seen_offsets_]
    model._seen_items_, model._seen_offsets_ = model._seen_items_[seen], kept
    save_model(packaged, tmp_path / "model")
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    users = pd.DataFrame({"user": [*model.user_ids_, "nobody"]})
    unrated = str(model.item_ids_[3])
    assert unrated not in set(served.predict(users, {"n": 99})["item"])
    told = served.predict(users, {"n": 99, "unrated": True})
    assert (told["item"] == unrated).sum() == len(users)


def test_a_question_is_answered_as_of_a_time(package_toy, tmp_path):
    packaged = package_toy("svd", time=True, n_factors=2, n_epochs=3)
    save_model(packaged, tmp_path / "model")
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    model, pair = packaged.model, pd.DataFrame({"user": ["u1"], "item": ["i2"]})
    codes = [np.array([list(model.user_ids_).index("u1")])]
    codes.append(np.array([list(model.item_ids_).index("i2")]))
    for when in (1_000.0, 900_000.0):
        told = served.predict(pair, {"when": when})["stars"]
        assert told.to_numpy(np.float32) == model.predict(*codes, when)
    assert served.predict(pair)["stars"].to_numpy(np.float32) == model.predict(*codes)
    with pytest.raises(MlflowException, match="when must be"):
        served.predict(pair, {"when": float("nan")})


def test_one_question_gets_at_most_100_000_titles(served, package_toy):
    n_items = len(package_toy("baseline").model.item_ids_)
    most = 100_000 // n_items
    ask = served.unwrap_python_model()
    frame = pd.DataFrame({"user": ["nobody"] * most})
    # All titles are as many as there are, however many are asked for.
    assert len(ask.predict(None, frame, {"n": 10**9})) == most * n_items
    more = pd.DataFrame({"user": ["nobody"] * (most + 1)})
    with pytest.raises(
        MlflowException, match=r"at most 100,000 titles, but 2,501 users"
    ):
        ask.predict(None, more, {"n": 10**9})


def test_no_user_gets_no_title(served):
    told = served.unwrap_python_model().predict(None, pd.DataFrame({"user": []}))
    assert told.empty


def test_stars_have_the_digits_of_a_prediction(served):
    stars = served.predict(pd.DataFrame({"user": ["u3"]}))["stars"]
    assert all(len(str(value)) <= 10 for value in stars)


def test_numbers_are_taken_as_text(package_toy, tmp_path):
    packaged = package_toy("baseline")
    packaged.model.user_ids_ = np.array([str(k) for k in range(60)], dtype=object)
    save_model(packaged, tmp_path / "model")
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    text, number, gap = (
        served.predict(pd.DataFrame({"user": pd.Series(users, dtype=object)}), {"n": 3})
        for users in (["7"], [7], [7.0])
    )
    pd.testing.assert_frame_equal(text, number)
    pd.testing.assert_frame_equal(text, gap)


@pytest.mark.parametrize(
    ("rows", "params", "sentence"),
    [
        ({"user": ["u1", None]}, {}, r"Row 1: user is missing: every row needs one"),
        (
            {"user": ["u1", "u2"], "item": ["i1", None]},
            {},
            r"Row 1: item is missing: name one in every row",
        ),
        ({"user": [1.5]}, {}, r"Row 0: user must be an id, .* but got '1\.5'"),
        ({"user": [True]}, {}, r"Row 0: user must be an id, .* but got 'True'"),
        ({"user": [["a"]]}, {}, r"Row 0: user must be an id"),
        ({"user": ["u1"]}, {"n": 0}, r"n, .*, must be at least 1, but is 0\."),
        ({"user": ["u1"]}, {"n": None}, r"n, .*, must be at least 1, but is null\."),
        ({"user": ["u1"]}, {"n": "x"}, r"Invalid parameters"),
        ({"person": ["u1"]}, {}, r"missing inputs \['user'\]"),
    ],
)
def test_a_question_that_makes_no_sense_is_one_sentence(served, rows, params, sentence):
    frame = pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in rows.items()})
    with pytest.raises(MlflowException, match=sentence) as caught:
        served.predict(frame, params)
    assert caught.value.get_http_status_code() == 400


def test_no_items_anywhere_is_a_question_for_recommendations(served):
    rows = {"user": ["u1"], "item": pd.Series([None], dtype=object)}
    told = served.predict(pd.DataFrame(rows), {"n": 2})
    assert told["rank"].tolist() == [1, 2]


# Logging


def test_it_is_logged_to_the_run_with_all_that_is_known(
    package_toy, run, store_uri, tmp_path
):
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.md").write_text("# Report")
    packaged = package_toy("svd", report=report, **QUICK["svd"])
    uri = log_model(packaged, run_id=run.info.run_id, location=locate(store_uri))
    client = MlflowClient(store_uri)
    logged = client.get_logged_model(uri.removeprefix("models:/"))
    assert logged.status == "READY"
    assert logged.name == "svd-toy"
    assert logged.source_run_id == run.info.run_id
    assert logged.params["n_epochs"] == "3"
    assert {(m.key, m.value) for m in logged.metrics} == {("test_rmse", 0.5)}
    manifest = write_model(packaged, tmp_path / "again")
    assert logged.tags["fingerprint"] == manifest.fingerprint
    assert logged.tags["size_bytes"] == str(manifest.size_bytes)
    assert logged.tags["dataset"] == "toy"
    assert "# svd on toy" in logged.tags["mlflow.note.content"]
    now = client.get_run(run.info.run_id)
    assert now.info.end_time == run.info.end_time
    assert now.info.status == "FINISHED"
    (used,) = now.inputs.dataset_inputs
    assert used.dataset.digest == packaged.facts.dataset.fingerprint
    (made,) = now.outputs.model_outputs
    assert made.model_id == logged.model_id
    names = {file.path for file in client.list_logged_model_artifacts(logged.model_id)}
    assert {"card.md", "report", "MLmodel", "model_script.py", "wheels"} <= names
    assert "report.html" not in names
    where = logged.artifact_location.removeprefix("file://")
    metadata = mlflow.models.Model.load(where).metadata
    assert metadata["fingerprint"] == manifest.fingerprint


def test_a_run_that_is_not_there_is_one_sentence(package_toy, store_uri):
    packaged = package_toy("baseline")
    with pytest.raises(TrackingError, match=r"Run with id=nowhere not found"):
        log_model(packaged, run_id="nowhere", location=locate(store_uri))


def test_a_model_that_could_not_be_logged_is_marked_as_failed(
    package_toy, run, store_uri, tmp_path
):
    packaged = package_toy("baseline", report=tmp_path / "gone")
    with pytest.raises(TrackingError, match=r"gone"):
        log_model(packaged, run_id=run.info.run_id, location=locate(store_uri))
    client = MlflowClient(store_uri)
    (logged,) = client.search_logged_models([run.info.experiment_id])
    assert logged.status == "FAILED"
