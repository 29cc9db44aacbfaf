import re
from dataclasses import replace

import pytest

from harness.errors import StudyError
from harness.report import study_report
from harness.report.study_report import write_study_report

FIGURES = {"history.png", "folds.png", "importance.png", "slices.png"}


@pytest.fixture(scope="module")
def full(make_study, make_trial, make_final):
    """A study with everything: 30 trials, three pruned, two failed, and a result."""
    states = {3: "pruned", 4: "pruned", 5: "pruned", 6: "failed", 7: "failed"}
    trials = [make_trial(n, states.get(n, "complete")) for n in range(30)]
    rmse = {"tuned": 0.9, "initial": 0.94, "user and item bias": 0.95}
    return make_study(trials, final=make_final(29, rmse, [0.001, 0.001]))


@pytest.fixture(scope="module")
def small(full):
    """The same without the trials that importance needs: quick to report."""
    best = replace(full.trials[5], number=29, state="complete", value=0.921)
    return replace(full, trials=(*full.trials[:5], *full.trials[6:8], best))


@pytest.fixture(scope="module")
def written(full, tmp_path_factory):
    return write_study_report(full, tmp_path_factory.mktemp("reports") / "svd-toy")


def section(text, heading):
    found = re.search(
        rf"^## {heading}.*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found[1]


def test_a_report_has_every_section_and_the_figures_it_shows(written):
    text = written.read_text()
    for heading in (
        "Data and split",
        "Result on the sealed test set",
        "Optimism",
        "Best settings",
        "Search",
        "Trials",
        "Time",
        "How to reproduce",
    ):
        assert section(text, heading).strip()
    assert set(re.findall(r"\]\((\w+\.png)\)", text)) == FIGURES
    for figure in FIGURES:
        assert (written.parent / figure).read_bytes().startswith(b"\x89PNG")


def test_initial_tuned_and_baseline_stand_side_by_side_with_intervals(written):
    text = section(written.read_text(), "Result")
    assert "| test set | initial | tuned | user and item bias |" in text
    assert "0.9400 [0.9200, 0.9600] | 0.9000 [0.8800, 0.9200] |" in text
    assert "| 75.0 % [73.0 %, 77.0 %] |" in text
    nominal = "95\N{NO-BREAK SPACE}%"
    assert f"{nominal} confidence intervals" in text


def test_the_best_setting_is_marked_in_its_range(written):
    # Trial 29: 10 + 7 * 29 factors; of a range from 10 to 1000, log: 0.665.
    text = section(written.read_text(), "Best")
    assert "| `n_factors` | 100 | **213** | 10 to 1000, log | `├───────●───┤` |" in text


def test_a_best_setting_at_an_edge_is_flagged_in_its_row(small, tmp_path):
    best = replace(
        small.trials[-1], params=small.trials[-1].params | {"n_factors": 980}
    )
    study = replace(small, trials=(*small.trials[:-1], best))
    text = section(write_study_report(study, tmp_path / "r").read_text(), "Best")
    assert re.search(r"`n_factors`.*\*\*widen the range\*\* \(high end\)", text)
    assert text.count("widen the range") == 1


def test_trials_are_ranked_and_failures_explained(written):
    text = section(written.read_text(), "Trials")
    assert "30 trials: 25 complete, 3 pruned, 2 failed." in text
    ranked = re.findall(r"^\| #(\d+)", text, re.MULTILINE)
    assert ranked == [str(29 - k) for k in range(10)]
    assert "| `ValueError: too much` | #6, #7 |" in text


def test_the_space_file_reads_as_the_space_that_was_searched(full, written):
    import tomllib

    content = tomllib.loads(written.with_name("space.toml").read_text())
    assert content["parameters"] == full.settings["space"]
    assert content["initial"] == full.settings["initial"]


def test_the_same_study_gives_the_same_files(full, tmp_path):
    one, two = (write_study_report(full, tmp_path / name).parent for name in "ab")
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


def test_no_folder_of_this_machine_is_told(small, tmp_path):
    study = replace(small, storage=str(tmp_path / "optuna.log"))
    assert str(tmp_path) not in write_study_report(study, tmp_path / "r").read_text()


def test_without_test_set_the_report_says_so(small, tmp_path):
    study = replace(
        small,
        split={"method": "none", "seed": 7, "fingerprint": "f"},
        final={"best_trial": 29, "optimism": {"search": 0.921, "fresh_folds": 0.923}},
    )
    text = write_study_report(study, tmp_path / "r").read_text()
    assert "**There is no test set**" in text
    assert "Result on the sealed test set" not in text
    assert "flatters the settings by 0.0020 stars" in section(text, "Optimism")


def test_what_a_dominating_choice_hides_is_listed(full, tmp_path, monkeypatch):
    def shares(_study, given=None):
        return {"n_factors": 1.0} if given else {"kind": 0.8, "n_factors": 0.2}

    monkeypatch.setattr("harness.search.importance.param_importance", shares)
    text = write_study_report(full, tmp_path / "r").read_text()
    assert (
        "Among the trials with `kind = a`, as the best one has it: `n_factors` 100 %."
        in text
    )


def test_too_few_trials_have_no_importance(full, tmp_path):
    folder = tmp_path / "r"
    write_study_report(full, folder)
    text = write_study_report(replace(full, trials=full.trials[:5]), folder).read_text()
    assert "No parameter importance: it takes at least 20" in text
    assert not (folder / "importance.png").exists()


@pytest.mark.parametrize("states", [(), ("failed",), ("complete",), ("pruned",) * 2])
def test_the_smallest_studies_have_a_report(make_study, make_trial, states, tmp_path):
    study = make_study([make_trial(n, state) for n, state in enumerate(states)])
    assert write_study_report(study, tmp_path / "r").read_text().startswith("# Study")


def test_a_trial_that_still_runs_is_counted(small, tmp_path):
    running = replace(small.trials[0], number=30, state="running", ended=None)
    study = replace(small, trials=(*small.trials, running))
    assert "1 running" in write_study_report(study, tmp_path / "r").read_text()


def test_foreign_text_cannot_break_the_report(small, make_trial, tmp_path):
    dataset = small.dataset | {
        "name": "<img src=x>|\n# Owned",
        "notes": ["*a*\n\n## Owned"],
    }
    failed = make_trial(6, "failed", error="ValueError: `|<b>\x07")
    trials = (*small.trials[:5], failed, small.trials[-1])
    study = replace(small, name="a|b\n# Owned", dataset=dataset, trials=trials)
    text = write_study_report(study, tmp_path / "r").read_text()
    prose = re.sub(r"```.*?```|(`+) ?.*?\1", "", text, flags=re.DOTALL)
    assert "<img" not in prose
    assert "<b>" not in prose
    assert not re.search(r"^#+ Owned", prose, re.MULTILINE)


def test_simulated_ratings_are_announced(small, tmp_path):
    study = replace(small, dataset=small.dataset | {"simulated": True})
    text = write_study_report(study, tmp_path / "r").read_text()
    assert text.splitlines()[0].endswith("(SIMULATED ratings)")
    assert "> **These ratings are simulated.**" in text


def test_a_failure_leaves_the_report_before_it_untouched(small, tmp_path, monkeypatch):
    folder = tmp_path / "r"
    before = write_study_report(small, folder).read_text()

    def fail(*_):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(study_report, "time_table", fail)
    with pytest.raises(RuntimeError, match="middle"):
        write_study_report(replace(small, name="other"), folder)
    assert (folder / "report.md").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_other_files_in_the_folder_stay(small, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    write_study_report(small, folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_one_sentence(small, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"cannot be written to .*choose another"):
        write_study_report(small, tmp_path / "file")


def test_drawing_leaves_no_trace_in_matplotlib(small, tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    write_study_report(small, tmp_path / "r")
    assert dict(mpl.rcParams) == before
