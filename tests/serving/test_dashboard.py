import json

import optuna
import pytest

from harness.search.storage import open_storage
from harness.serving.processes import DIRECT
from harness.serving.web import serve_dashboard


@pytest.fixture
def journal(tmp_path):
    path = str(tmp_path / "optuna.log")
    optuna.create_study(study_name="svd-toy", storage=open_storage(path))
    return path


def test_shows_the_studies_of_the_storage(journal):
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    with (
        serve_dashboard(journal) as address,
        DIRECT.open(f"{address}/api/studies", timeout=10) as answer,
    ):
        found = json.load(answer)["study_summaries"]
    assert [study["study_name"] for study in found] == ["svd-toy"]


def test_there_is_none_where_it_is_not_installed(journal, monkeypatch):
    monkeypatch.setattr("harness.serving.web.dashboard_is_installed", bool)
    with serve_dashboard(journal) as address:
        assert address is None


def test_a_storage_that_does_not_exist_is_not_made(tmp_path):
    with serve_dashboard(str(tmp_path / "typo.log")) as address:
        assert address is None
    assert not list(tmp_path.iterdir())
