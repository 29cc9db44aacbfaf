"""The live bar, on terminals of several widths."""

import io
import re

import pytest
from rich.console import Console

from harness.experiment.run import RunSettings, prepare_study, study_spec
from harness.progress import ConsoleProgress, NotebookBar, fit_parts
from tests.experiment.records import make_study

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def lines(small_dataset, tmp_path):
    """Return a function that gives what a terminal of some width shows of a search."""

    def show(width):
        stream = io.StringIO()
        progress = ConsoleProgress(
            Console(file=stream, force_terminal=True, width=width, soft_wrap=True)
        )
        settings = RunSettings(storage=str(tmp_path / "o.log"))
        spec = study_spec("svd", n_trials=100, data={"source": "toy"})
        prepared = prepare_study(spec, settings, load=lambda _: small_dataset)
        study = make_study("svd")
        with progress:
            progress.begin(prepared, ["svd"])
            listener = progress.listener("svd")
            listener.on_study_start(make_study("svd", progress=()))
            for trial in study.trials:
                listener.on_trial_end(study, trial)
        return re.split(r"[\r\n]+", CODES.sub("", stream.getvalue()))

    return show


@pytest.mark.parametrize(
    ("width", "facts"),
    [
        (60, ("9 complete", "left")),
        (80, ("9 complete", "best 0.", "left")),
        (120, ("9 complete", "2 pruned", "1 failed", "best 0.", "s/trial", "left")),
    ],
)
def test_the_bar_keeps_the_time_left_and_cuts_no_number(lines, width, facts):
    bars = [line for line in lines(width) if "s left" in line]
    assert bars
    assert max(map(len, bars)) <= width
    assert "…" not in "".join(bars)
    for fact in facts:
        assert fact in bars[-1]


def test_workers_that_will_idle_are_told_of_before_the_search(small_dataset, tmp_path):
    def said(jobs):
        stream = io.StringIO()
        settings = RunSettings(storage=str(tmp_path / "o.log"), jobs=jobs)
        spec = study_spec("svd", search={"window": 2, "folds": 3})
        prepared = prepare_study(spec, settings, load=lambda _: small_dataset)
        ConsoleProgress(Console(file=stream)).begin(prepared, ["svd"])
        return " ".join(stream.getvalue().split())

    assert "--window" not in said(6)
    assert "1 of 7 workers" in said(7)
    assert "--window 3" in said(7)


def test_in_a_notebook_one_output_is_drawn_over_and_taken_away(monkeypatch):
    outputs = []

    class Handle:
        def update(self, forms, *, raw):
            assert raw
            outputs.append(forms)

    def display(forms, *, raw, display_id):
        assert raw
        assert display_id
        outputs.append(forms)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    bar = NotebookBar()
    bar.start(10)
    bar.update("3 complete · <svd>", 3)
    bar.stop()
    first, second, last = outputs
    assert 'value="0" max="10"' in first["text/html"]
    assert second["text/plain"] == "3/10 3 complete · <svd>"
    assert 'value="3"' in second["text/html"]
    assert "&lt;svd&gt;" in second["text/html"]
    assert set(last.values()) == {""}


def test_parts_give_way_by_rank_and_none_is_cut():
    parts = [(3, "svd"), (1, "9 complete"), (2, "8 s left"), (4, "")]
    assert fit_parts(parts, 40) == "svd · 9 complete · 8 s left"
    assert fit_parts(parts, 20) == "svd · 8 s left"
    assert fit_parts(parts, 5) == "svd"
    assert fit_parts(parts, 1) == "svd"
