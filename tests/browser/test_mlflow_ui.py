"""What a person sees: MLflow's pages in a real browser, as far as they are text.

Each page takes a browser some three seconds; HARNESS_SLOW=1 opens all of them.
"""

import os
import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from harness.serving.promotion import PromotionSettings, promote
from harness.serving.web import serve
from harness.tracking.location import locate
from harness.tracking.runs import attach_report, log_experiment
from tests.experiment.records import make_record
from tests.serving.promotion_workspace import copy

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--no-proxy-server"),
    # Columns that are off the window are not in the page.
    "--window-size=2600,1400",
    # Of its own clock, which stands still while it waits for the server.
    "--virtual-time-budget=30000",
    "--dump-dom",
)
FINALS = (
    "published-svd final, test rmse 0.5720",
    "published-hybrid final, test rmse 0.5900",
    "published-cf final, test rmse 0.6000",
    "published-content final, test rmse 0.6800",
)

SLOW = pytest.mark.skipif(
    not os.environ.get("HARNESS_SLOW"), reason="slow: set HARNESS_SLOW=1"
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed"
)


class _Text(HTMLParser):
    """Collects what a page shows, piece by piece."""

    def __init__(self):
        super().__init__()
        self.pieces = []
        self._hidden = 0

    def handle_starttag(self, tag, _attributes):
        self._hidden += tag in {"script", "style"}

    def handle_endtag(self, tag):
        self._hidden -= tag in {"script", "style"}

    def handle_data(self, data):
        if not self._hidden and data.strip():
            self.pieces.append(data.strip())


def look(address, path, profile):
    """Open a page, and return what it shows."""
    command = [BROWSER, *OPTIONS, f"--user-data-dir={profile}", f"{address}/#{path}"]
    # Of warnings it says much on its standard error.
    text = _Text()
    text.feed(subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True))
    return text.pieces


def runs_by_name():
    client = MlflowClient(locate().tracking_uri)
    experiment = client.get_experiment_by_name("harness").experiment_id
    runs = client.search_runs([experiment], filter_string="tags.dataset = 'ott'")
    return experiment, {run.info.run_name: run.info.run_id for run in runs}


def paths():
    """Name the pages: what a link of `harness ui`, and a click from there, opens."""
    number, runs = runs_by_name()
    views = (
        f"/experiments/{number}/runs?workflowType=machine_learning&viewStateShareKey="
    )
    finals = quote(str([runs[name] for name in FINALS]).replace("'", '"'))
    top = runs["published: svd chosen, test rmse 0.5720"]
    return {
        "finals": f"{views}harness-finals-ott",
        "nested": f"{views}harness-nested",
        "trials": f"{views}harness-trials-ott",
        "run": f"/experiments/{number}/runs/{runs[FINALS[0]]}",
        "artifacts": f"/experiments/{number}/runs/{top}/artifacts/report",
        "comparison": f'/compare-runs?runs={finals}&experiments=["{number}"]',
        "registry": "/models/ratings",
        "version": "/models/ratings/versions/1",
    }


@pytest.fixture(scope="module")
def page(judged_template, tmp_path_factory):
    """Return a function that opens a page of a store with four families and a champion."""
    folder = tmp_path_factory.mktemp("store")
    copy(judged_template, folder)
    report = folder / "report"
    report.mkdir()
    (report / "report.md").write_text("# Verdict\n")
    (report / "rmse.png").write_bytes(b"png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        runs = log_experiment(make_record(), locate())
        attach_report(runs.experiment, report, locate())
        settings = PromotionSettings(
            name="good", storage="optuna.log", location=locate()
        )
        promote(settings, on_step=lambda _: None)
        with serve(locate()) as interface:
            profiles, of = tmp_path_factory.mktemp("profiles"), paths()

            @cache
            def open_page(name):
                return look(interface.address, of[name], profiles / name)

            yield open_page


def test_the_final_models_are_listed_with_what_decides(page):
    shown = page("finals")
    # The page is drawn in any order, and moved into place.
    assert sorted(piece for piece in shown if " final, " in piece) == sorted(FINALS)
    assert {
        "experiment",
        "verdict",
        "test_rmse",
        "fit_seconds",
        "latency_p95_ms",
    } <= set(shown)
    assert "4" in shown[shown.index("matching runs") - 1]


@SLOW
def test_an_experiment_is_one_row_that_its_studies_and_models_are_folded_into(page):
    shown = page("nested")
    assert "published: svd chosen, test rmse 0.5720" in shown
    assert not {piece for piece in shown if piece.startswith(("published-", "svd #"))}


@SLOW
def test_trials_are_listed_with_family_state_rmse_spread_and_seconds(page):
    shown = page("trials")
    assert {"family", "state", "rmse", "rmse_fold_sd", "fit_seconds"} <= set(shown)
    assert {"published-svd #0 rmse 0.5820", "content", "complete"} <= set(shown)


@SLOW
def test_the_run_of_a_final_model_shows_settings_figures_and_data(page):
    shown = page("run")
    assert FINALS[0] in shown
    assert {"n_factors", "46", "test_rmse", "0.572"} <= set(shown)
    assert any("ott" in piece and "0123456789abcdef" in piece for piece in shown)


@SLOW
def test_the_report_and_its_pictures_are_among_the_artifacts(page):
    assert {"report.md", "rmse.png"} <= set(page("artifacts"))


@SLOW
def test_the_final_models_can_be_compared(page):
    shown = page("comparison")
    assert "Comparing 4 Runs from 1 Experiment" in shown
    assert {*FINALS, "n_factors", "test_rmse"} <= set(shown)
    assert {"Parallel Coordinates Plot", "Scatter Plot"} <= set(shown)


def test_the_registry_shows_who_is_champion_and_how_good(page):
    shown = page("registry")
    assert "@\xa0champion" in shown
    assert any(piece.startswith("RMSE 0.") for piece in shown)


def test_the_facts_that_are_for_machines_are_not_shown(page):
    assert not any("mlflow.harness.facts" in piece for piece in page("registry"))


@SLOW
def test_a_version_shows_its_signature(page):
    shown = page("version")
    assert {"Inputs (2)", "Outputs (7)"} <= set(shown)
    assert not any("mlflow.harness.facts" in piece for piece in shown)
