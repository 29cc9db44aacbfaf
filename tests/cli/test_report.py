from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from harness.cli import app
from harness.experiment.run import study_spec
from harness.plain import to_json
from harness.search.storage import (
    create_experiment,
    open_storage,
    save_experiment_facts,
)
from tests.facts import dataset_facts, no_test


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *args: runner.invoke(app, ["report", *args])


@pytest.fixture
def store():
    """Put a study of two trials into a storage."""

    def put(name, storage="optuna.log"):
        dataset = to_json(dataset_facts())
        split = to_json(no_test(seed=0))
        create_experiment(
            storage,
            name,
            {
                "dataset": dataset,
                "split": split,
                "file": None,
                "seed": 0,
                "jobs": 1,
                "n_folds": 2,
                "environment": {},
                "code_version": "0",
                "studies": {"toy": name},
            },
        )
        spec = study_spec("toy", n_trials=2, split={"method": "none"}).as_json()
        save_experiment_facts(storage, name, "spec", spec)
        study = optuna.load_study(study_name=name, storage=open_storage(storage))
        space = {"shift": {"type": "float", "low": -1.0, "high": 1.0}}
        study.set_user_attr(
            "harness",
            {
                "family": "toy",
                "settings": {
                    "sampler": {"name": "tpe"},
                    "pruner": {"name": "none"},
                    "n_folds": 2,
                    "seed": 0,
                    "jobs": 1,
                    "space": space,
                    "initial": {"shift": 0.5},
                    "defaults": {},
                },
                "dataset": dataset,
                "split": split,
                "identity": name,
                "code_version": "0",
            },
        )
        for shift in (0.5, 0.25):
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.COMPLETE,
                    value=1 + shift,
                    params={"shift": shift},
                    distributions={
                        "shift": optuna.distributions.FloatDistribution(-1, 1)
                    },
                    user_attrs={"fold_values": [1 + shift] * 2, "metrics": {}},
                )
            )

    return put


def test_the_only_study_of_a_storage_needs_no_name(invoke, store):
    store("toy")
    result = invoke()
    assert result.exit_code == 0, result.output
    path = Path(result.output.strip())
    assert path == Path("reports/toy/report.md")
    assert "1.2500" in path.read_text()


def test_among_several_studies_one_has_to_be_named(invoke, store):
    store("one")
    store("two")
    result = invoke()
    assert result.exit_code == 2
    assert "name one of one, two." in result.output
    assert invoke("two").output.strip() == "reports/two/report.md"


@pytest.mark.usefixtures("drawn")
def test_a_report_goes_where_it_is_wanted(invoke, store):
    store("toy", "elsewhere.log")
    result = invoke("toy", "--storage", "elsewhere.log", "--out", "here")
    assert result.output.strip() == "here/report.md"
    assert Path("here/histories.png").is_file()


def test_a_report_changes_nothing_in_the_storage(invoke, store):
    store("toy")
    before = Path("optuna.log").read_bytes()
    assert invoke().exit_code == 0
    assert Path("optuna.log").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tpy"], "Did you mean 'toy'?"),
        (["--storage", "none.log"], "There is no study storage 'none.log' here"),
        (["--out", "optuna.log"], "The report cannot be written to optuna.log"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(invoke, store, arguments, sentence):
    store("toy")
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert not Path("none.log").exists()


def test_help_tells_the_defaults(invoke):
    text = " ".join(invoke("--help").output.replace("│", " ").split())
    assert "[default: (the only one in the storage)]" in text
    assert "[default: (reports/NAME)]" in text


def test_a_storage_without_studies_of_harness_says_so(invoke):
    optuna.create_study(study_name="foreign", storage=open_storage("optuna.log"))
    result = invoke()
    assert result.exit_code == 2
    assert "There is no study or experiment in optuna.log" in result.output


def test_the_space_goes_with_the_report(invoke, store):
    import tomllib

    store("toy")
    space = Path(invoke().output.strip()).with_name("space.toml")
    parameters = tomllib.loads(space.read_text())["parameters"]
    assert parameters["shift"] == {
        "type": "float",
        "low": -1.0,
        "high": 1.0,
        "log": False,
    }
