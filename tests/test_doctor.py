"""``harness doctor``: what is broken is a problem with a remedy, and nothing else is."""

import json
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from harness import doctor
from harness.cli import app
from harness.version import installed_version
from tests.serving.promotion_workspace import copy

SECRET = "op3n-sesame"


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Return a function that gives the exit code and the checks by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*words):
        result = CliRunner().invoke(app, ["doctor", "--format", "json", *words])
        assert SECRET not in result.output
        checks = {check["name"]: check for check in json.loads(result.stdout)}
        for check in checks.values():
            assert (check["remedy"] is None) == (check["state"] == "ok"), check
        return result.exit_code, checks

    return run


def test_a_new_folder_is_fine_and_stays_empty(ask, tmp_path):
    code, checks = ask()
    assert code == 0
    assert {checks[name]["state"] for name in ("storage", "MLflow")} == {"ok"}
    for package in ("numba", "optuna", "mlflow"):
        assert checks[package]["found"] == version(package)
    assert {"cores", "compiled kernels", "dashboard"} <= checks.keys()
    assert "pytest" not in checks
    assert not list(tmp_path.iterdir())


def test_stores_in_use_are_read(ask, tmp_path, judged_template):
    copy(judged_template, tmp_path)
    code, checks = ask()
    assert code == 0
    assert checks["storage"]["found"].startswith("optuna.log, 3 ")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--storage", f"postgresql://ann:{SECRET}@127.0.0.1:9/studies"), "storage"),
        (("--storage", "nowhere/optuna.log"), "storage"),
        (("--storage", "sqlite:///nowhere/study.db"), "storage"),
        (("--storage", f"mysqll://ann:{SECRET}@h/studies"), "storage"),
        (("--tracking-uri", f"postgres://ann:{SECRET}@h/runs"), "MLflow"),
        (("--tracking-uri", f"http://ann:{SECRET}@127.0.0.1:9"), "MLflow"),
        (("--tracking-uri", "sqlite:///nowhere/mlflow.db"), "MLflow"),
    ],
)
def test_a_store_out_of_reach_is_a_problem(ask, words, name):
    code, checks = ask(*words)
    assert code == 1
    assert [n for n, check in checks.items() if check["state"] == "problem"] == [name]


def test_what_is_wrong_is_not_said_again_as_the_remedy(ask):
    _, checks = ask("--tracking-uri", "http://127.0.0.1:9")
    assert "Connection refused" in checks["MLflow"]["found"]
    assert "--tracking-uri" not in checks["MLflow"]["found"]
    _, checks = ask("--storage", "sqlite:///nowhere/study.db")
    assert "nowhere does not exist" in checks["storage"]["found"]


def test_a_package_that_is_too_old_is_a_problem(ask, monkeypatch):
    monkeypatch.setattr(
        doctor,
        "installed_version",
        lambda name: "4.1" if name == "optuna" else installed_version(name),
    )
    code, checks = ask()
    assert (code, checks["optuna"]["state"]) == (1, "problem")
    assert checks["optuna"]["remedy"] == "pip install 'optuna>=5.0'"
    assert [c["name"] for c in checks.values() if c["state"] == "problem"] == ["optuna"]


def test_a_cache_folder_that_cannot_be_made_is_noted(ask, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    code, checks = ask()
    assert (code, checks["large data"]["state"]) == (0, "note")


def test_a_missing_package_is_a_problem_and_a_missing_extra_is_not(ask, monkeypatch):
    def without(package):
        return None if package in {"numba", "cmaes"} else installed_version(package)

    monkeypatch.setattr(doctor, "installed_version", without)
    code, checks = ask()
    assert code == 1
    assert checks["numba"]["state"] == "problem"
    assert checks["cmaes"]["state"] == "note"


def test_kernels_without_a_cache_are_noted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(doctor, "folder_for_kernels", lambda: None)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "NUMBA_CACHE_DIR" in result.stdout
    assert result.stdout.splitlines()[-1] == "No problems."
