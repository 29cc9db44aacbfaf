"""The front door, as a data scientist uses it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import harness
from harness.data.load import load_frame
from harness.data.options import ReadOptions
from harness.errors import DataError, HarnessError, StudyError, UnknownNameError
from harness.experiment import judge
from harness.experiment.convergence import unfinished
from harness.models.families import load_family
from tests.costs import MEASURED


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    pairs = rng.choice(60 * 40, size=1200, replace=False)
    stars = 3 + rng.normal(size=60)[pairs // 40] + 0.5 * rng.normal(size=1200)
    return pd.DataFrame(
        {
            "user": [f"u{pair // 40}" for pair in pairs],
            "item": [f"i{pair % 40}" for pair in pairs],
            "rating": np.clip(np.round(stars), 1, 5),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def study(frame, folder):
    """One study of the module, from a table; kept below one folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return harness.tune(
            "svd", frame, trials=3, folds=3, jobs=1, scale="1:5", progress=False
        )


def test_the_best_settings_make_the_model_that_was_judged(study, folder):
    assert isinstance(study, harness.Study)
    best = study.best
    assert best.params.keys() >= {"n_factors", "n_epochs", "genre_interaction"}
    assert load_family(best.family)(**best.params)
    values = study.trials["value"].dropna()
    assert best.score == values.min()
    assert (folder / "reports" / study.name / "report.json").is_file()


def test_patience_ends_a_study_and_the_same_call_does_not_go_on(frame, folder, capsys):
    def again():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(judge, "measure_efficiency", lambda *_, **__: MEASURED)
            return harness.tune(
                *("baseline", frame),
                name="patient",
                trials=50,
                patience=3,
                folds=2,
                jobs=1,
                scale="1:5",
            )

    done = again()
    n_trials = len(done.trials)
    assert 3 < n_trials < 50
    assert unfinished(done.results) == []
    said = f"stopped after {n_trials} of 50 trials"
    assert said in capsys.readouterr().err
    assert said in (folder / done.report_path).read_text()
    assert len(again().trials) == n_trials


def test_trials_are_a_table(study):
    assert study.trials["number"].tolist() == [0, 1, 2]
    assert {"param_n_factors", "mae", "state"} <= set(study.trials.columns)


def test_the_model_is_ready_to_predict(study):
    stars = study.model.predict(np.array([0, 1]), np.array([0, 1]))
    assert stars.shape == (2,)
    assert ((stars >= 1) & (stars <= 5)).all()


def test_results_are_typed_and_the_verdict_can_be_printed(study):
    tuned = study.results.model("svd")
    assert tuned.rmse.low < tuned.rmse.value < tuned.rmse.high
    assert "svd" in str(study)


def test_what_is_exported_gives_the_figures_of_the_report(
    study, folder, tmp_path, monkeypatch
):
    # Its storage is named from there, and the opening is recorded in it.
    monkeypatch.chdir(folder)
    study.export(tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "predictions.csv")
    errors = pd.read_csv(tmp_path / "out" / "user_errors.csv")
    columns = [name for name in found.columns if name.startswith("svd:")]
    assert len(columns) == len(study.results.judging.seeds) > 1
    off = found[columns].astype("float32").sub(found["rating"], axis=0)
    by_seed = np.sqrt(np.square(off.astype("float64")).mean())
    told = study.results.model("svd")
    assert by_seed.tolist() == pytest.approx(told.rmse_by_seed, abs=1e-12)
    assert by_seed.mean() == pytest.approx(told.rmse.value, abs=1e-12)
    of_users = errors.loc[errors["model"] == "svd", "rmse"].mean()
    assert of_users == pytest.approx(told.measures["user_rmse"].value, abs=1e-12)
    for name in ("user and item bias", "global mean"):
        off = found[name].astype("float32").astype("float64") - found["rating"]
        known = study.results.baseline(name).rmse.value
        assert np.sqrt(np.square(off).mean()) == pytest.approx(known, abs=1e-12)


@pytest.mark.usefixtures("drawn")
def test_figures_show_themselves_in_a_notebook(study):
    figures = study.figures()
    assert "histories" in figures
    assert figures["histories"]._repr_png_().startswith(b"\x89PNG")


def test_a_study_is_loaded_again_by_its_name(study, folder):
    storage = str(folder / "optuna.log")
    again = harness.load(study.name, storage)
    assert again.results.judging == study.results.judging
    assert again.best == study.best
    table = harness.compare(study.name, storage=storage).to_frame()
    assert table["rmse"].is_monotonic_increasing
    with pytest.raises(StudyError, match="data frame"):
        _ = again.model
    with pytest.raises(UnknownNameError, match=study.name):
        harness.load("frame", storage)


@pytest.mark.usefixtures("working_folder")
def test_a_data_set_is_taken_as_it_is(small_dataset):
    done = harness.tune(
        "baseline", small_dataset, trials=2, folds=2, jobs=1, progress=False
    )
    assert done.results.dataset.fingerprint == small_dataset.fingerprint


@pytest.mark.usefixtures("working_folder")
def test_the_same_call_continues_a_study(frame):
    options = {"folds": 2, "jobs": 1, "scale": "1:5", "progress": False}
    harness.tune("baseline", frame, trials=2, **options)
    done = harness.tune("baseline", frame, trials=4, **options)
    [columns] = [n for n in done.results.dataset.notes if n.startswith("Columns taken")]
    assert columns.endswith("(data frame).")
    assert done.trials["state"].isin(["complete", "pruned"]).sum() == 4


def test_a_stop_between_judging_and_logging_costs_no_model(
    small_dataset, tmp_path, monkeypatch
):
    from mlflow import MlflowClient

    def go():
        options = {"folds": 2, "jobs": 1, "progress": False}
        return harness.tune("baseline", small_dataset, trials=2, **options)

    def stop(*_, **__):
        raise KeyboardInterrupt

    def models():
        client = MlflowClient("sqlite:///mlflow.db")
        number = client.get_experiment_by_name("harness").experiment_id
        return client.search_logged_models([number])

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(judge, "measure_efficiency", lambda *_, **__: MEASURED)
    with monkeypatch.context() as patch:
        patch.setattr("harness.carry_out.log_report", stop)
        with pytest.raises(KeyboardInterrupt):
            go()
    assert not models()
    first = go()
    [model] = models()
    [final] = first.results.runs.candidates.values()
    assert model.source_run_id == final.final_run
    assert model.tags["trial"] == str(final.trial) == str(first.best.trial)
    assert str(model.status) == "READY"
    go()
    assert [each.model_id for each in models()] == [model.model_id]


def test_an_option_that_does_not_exist_is_an_error_before_anything_runs(
    frame, working_folder
):
    with pytest.raises((HarnessError, ValueError), match="user_colum"):
        harness.tune("svd", frame, user_colum="user", progress=False)
    assert not (working_folder / "optuna.log").exists()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("n_trials", "trials"),
        ("tracking_uri", "location"),
        ("user_colum", "user_column"),
    ],
)
def test_a_parameter_that_others_call_so_is_named(frame, theirs, ours):
    with pytest.raises(UnknownNameError, match=f"harness.tune.*mean '{ours}'"):
        harness.tune("svd", frame, progress=False, **{theirs: 5})


def test_a_data_frame_has_the_name_it_is_given(frame):
    named = frame.copy()
    named.attrs["name"] = "club"
    assert load_frame(named, ReadOptions()).name == "club"
    assert load_frame(frame, ReadOptions()).name == "frame"


HEAVY = [
    *("distributed", "lightfm", "matplotlib", "mlflow", "myfm", "pandas"),
    *("pyarrow", "scipy.linalg", "scipy.sparse", "scipy.stats", "sklearn"),
    *("sqlalchemy", "surprise"),
]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        # The command line sets the threads of BLAS, which NumPy reads when it is imported.
        ("harness", [*HEAVY, "numba", "numpy", "optuna", "rich", "scipy"]),
        ("harness.cli", [*HEAVY, "numba", "numpy", "optuna", "rich", "scipy"]),
        ("harness.api", HEAVY),
    ],
)
def test_importing_the_package_imports_nothing_heavy(module, heavy):
    code = (
        f"import sys, {module}; sys.exit(str(sorted(set(sys.modules) & set({heavy}))))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.stderr.strip() == "[]"


def test_a_table_is_read_by_the_options_of_the_experiment(frame, working_folder):
    (working_folder / "toy.toml").write_text(
        'title = "Toy"\n[data]\nuser_column = "who"\n[search]\nfolds = 2\n'
        "[budget]\ntrials = 1\n[families.baseline]\n[families.slope_one]\n"
    )
    renamed = frame.rename(columns={"user": "who"})
    done = harness.run("toy.toml", renamed, jobs=1, progress=False)
    assert done.results.dataset.source == "<data frame>"
    # The family that was not chosen is a study by itself, with a verdict of its own.
    for name in ("toy-baseline", "toy-slope_one"):
        study = harness.load(name)
        assert study.best.family == name.removeprefix("toy-")
        assert study.report().is_file()
        assert str(study)
    # A family that is added later takes part.
    more = (working_folder / "toy.toml").read_text() + "[families.nmf]\n"
    (working_folder / "toy.toml").write_text(more)
    again = harness.run("toy.toml", renamed, jobs=1, progress=False)
    assert again.results.model("nmf") is not None
    # So does another margin: the models are judged by it.
    (working_folder / "toy.toml").write_text(more + "[decision]\nmargin = 3.0\n")
    wide = harness.run("toy.toml", renamed, jobs=1, progress=False)
    assert wide.results.judging.margin == 3.0
    assert set(wide.results.decision.answers.values()) == {"equivalent"}


@pytest.mark.usefixtures("working_folder")
def test_data_that_cannot_be_read_are_one_error_that_names_no_file_of_ours(frame):
    twice = pd.concat([frame, frame["user"]], axis=1)
    mixed = frame.assign(user=[1, *frame["user"][1:]])
    for data in (frame.drop(columns="item"), twice, mixed, [1, 2, 3]):
        with pytest.raises(DataError) as error:
            harness.tune("svd", data, progress=False)
        assert "/tmp" not in str(error.value)


def test_options_for_reading_do_not_go_with_a_data_set(small_dataset):
    with pytest.raises(DataError, match="user_column"):
        harness.tune("svd", small_dataset, user_column="u", progress=False)


def test_a_study_shows_its_name_and_no_secret(study):
    assert repr(study) == f"Study({study.name!r})"
