import re
from dataclasses import replace

import pytest

from harness.errors import StudyError
from harness.report import write as experiment_report
from harness.report.write import write_experiment_report
from tests.experiment.records import DATASET, RUNS, make_record, make_spec
from tests.experiment.scores import TUNED

HOSTILE = "a|b <img src=x> `c` *d*\n\n# Owned"
SECTIONS = (
    "RMSE of all families",
    "The chosen model: SVD",
    "Data and split",
    "Cold start",
    "Beyond accuracy",
    "Efficiency",
    "Explainability",
    "Search",
    "Optimism",
    "Published claims",
    "Acceptance criteria",
    "How to reproduce",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_experiment_report(make_record(), tmp_path_factory.mktemp("r") / "full")


@pytest.fixture
def without_figures(monkeypatch):
    """Figures take seconds, and have tests of their own."""
    monkeypatch.setattr("harness.report.context.Draft.figure", lambda *_: "")


def headings(text):
    return re.findall(r"^## (.*)", text, re.MULTILINE)


def test_a_report_has_every_section_in_order_and_the_figures_it_shows(written):
    text = written.read_text()
    assert headings(text) == list(SECTIONS)
    shown = set(re.findall(r"\]\((\w+\.png)\)", text))
    assert shown == {path.name for path in written.parent.glob("*.png")}
    # Twelve trials are too few for importance.
    assert shown == set(experiment_report.FIGURES) - {"importance.png"}


def test_the_page_beside_it_shows_the_same(written):
    page = written.with_name("report.html").read_text()
    assert page.count("data:image/png;base64,") == len(
        list(written.parent.glob("*.png"))
    )
    assert "0.5720 [0.5640, 0.5800]" in page.replace("\N{NO-BREAK SPACE}", " ")


def test_no_table_is_wider_than_a_page(written):
    rows = re.findall(r"^\|.*\|$", written.read_text(), re.MULTILINE)
    assert max(row.replace("\\|", "").count("|") for row in rows) <= 8 + 1


TOO_FEW = {key: {} for key in ("fresh_folds", "efficiency", "factors", "profile")}
VARIANTS = {
    "full": {},
    "hybrid wins": {"final": {"tuned": TUNED | {"hybrid": 0.5}}},
    "all tied": {"final": {"tuned": dict.fromkeys(TUNED, 0.6)}},
    "worse than the baseline": {"final": {"tuned": dict.fromkeys(TUNED, 0.9)}},
    "one family": {"final": {"tuned": {"svd": 0.5}}},
    "nothing compared": {
        "final": {"changes": {"differences": [], "depth_differences": []}}
    },
    "nothing published": {"spec": make_spec(claims=[], criteria=[], variants=[])},
    "not opened": TOO_FEW | {"opened": False},
    "only begun": TOO_FEW | {"opened": False, "studies": {}},
    "runs known": {"runs": RUNS},
}


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_row_of_every_table_has_as_many_cells_as_its_head(changes, tmp_path):
    text = write_experiment_report(make_record(**changes), tmp_path / "r").read_text()
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert tables
    for found in tables:
        rows = found.splitlines()
        cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
        assert set(cells) == {cells[0]}, found
        assert cells[0] <= 8 + 1, found


def test_the_same_experiment_gives_the_same_files(written, tmp_path):
    again = write_experiment_report(make_record(), tmp_path / "again")
    for path in written.parent.iterdir():
        assert path.read_bytes() == (again.parent / path.name).read_bytes()


def test_figures_that_a_new_report_does_not_have_go_and_other_files_stay(tmp_path):
    folder = tmp_path / "r"
    write_experiment_report(make_record(), folder)
    (folder / "notes.txt").write_text("mine")
    write_experiment_report(make_record(studies={}, opened=False), folder)
    left = {path.name for path in folder.iterdir()}
    assert left == {"report.md", "report.html", "data.png", "notes.txt"}


@pytest.mark.usefixtures("without_figures")
class TestText:
    def test_a_partial_experiment_says_so_and_shows_its_searches(self, tmp_path):
        record = make_record(
            opened=False, fresh_folds={}, efficiency={}, factors={}, profile={}
        )
        two = {c: record.studies[c] for c in ("svd", "cf")}
        text = write_experiment_report(
            replace(record, studies=two), tmp_path / "r"
        ).read_text()
        assert "**The test set is still sealed**, so nothing is decided: 2 of 4" in text
        assert "0: it is still sealed" in text
        assert "| collaborative filtering | 9 | 2 | 1 | #7 |" in text
        gone = {"RMSE of all families", "Cold start", "Optimism", "Efficiency"}
        assert not gone & set(headings(text))

    def test_an_experiment_that_has_only_begun_has_a_report(self, tmp_path):
        record = make_record(
            spec=make_spec(claims=[], criteria=[], variants=[]),
            opened=False,
            studies={},
            fresh_folds={},
            efficiency={},
            factors={},
            profile={},
        )
        text = write_experiment_report(record, tmp_path / "r").read_text()
        assert headings(text) == ["Data and split", "How to reproduce"]

    def test_foreign_text_cannot_break_the_report(self, tmp_path):
        families = {
            c: {"label": f"{c} {HOSTILE}", "note": HOSTILE}
            for c in ("cf", "content", "hybrid", "svd")
        }
        claims = [
            {
                "metric": "rmse",
                "value": HOSTILE,
                "quotation": HOSTILE,
                "candidate": "cf",
            },
            {"metric": "data.peak_hours", "value": HOSTILE, "quotation": HOSTILE},
            {
                "metric": "mae",
                "value": 9,
                "quotation": "x",
                "candidate": "cf",
                "label": HOSTILE,
            },
        ]
        factor = {
            "label": HOSTILE,
            "share": 0.5,
            "trait": HOSTILE,
            "correlation": 0.5,
            "positive": [HOSTILE],
            "negative": [HOSTILE],
        }
        spec = make_spec(
            title=HOSTILE,
            about=HOSTILE,
            publication=HOSTILE,
            families=families,
            claims=claims,
        )
        record = make_record(
            spec=spec,
            dataset=DATASET | {"name": HOSTILE, "notes": [HOSTILE]},
            factors={"svd": [factor]},
            settings={"file": HOSTILE, "jobs": 2, "environment": {"python": HOSTILE}},
        )
        text = write_experiment_report(record, tmp_path / "r").read_text()
        prose = re.sub(r"```sh\n.*?\n```", "", text, flags=re.DOTALL)
        assert "<img" not in re.sub(r"(?<!\\)(`+) ?[^\n]*?\1", "", prose)
        assert not re.search(r"^#+ Owned", prose, re.MULTILINE)
        assert text.count("```") == 4
        for block in prose.split("\n\n"):
            rows = [line for line in block.splitlines() if line.startswith("|")]
            cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
            assert len(cells) <= 1, block

    def test_simulated_ratings_are_announced_in_the_title(self, tmp_path):
        text = write_experiment_report(make_record(), tmp_path / "r").read_text()
        assert text.splitlines()[0].endswith("(SIMULATED ratings)")
        real = make_record(dataset=DATASET | {"simulated": False})
        text = write_experiment_report(real, tmp_path / "r").read_text()
        assert "SIMULATED" not in text
        assert "simulated." not in text.split("## Published")[0]

    def test_each_tuned_model_is_traced_to_study_trial_and_run(self, tmp_path):
        from harness.tracking.experiment_projection import experiment_identity

        from harness.tracking.projection import study_identity

        record = make_record()
        text = write_experiment_report(record, tmp_path / "r").read_text()
        run = study_identity(record.studies["svd"])
        assert f"| SVD | `published-svd` | `{run}` | #7 |" in text
        assert (
            f"tags.\"harness.experiment_id\" = '{experiment_identity(record)}'" in text
        )

    def test_the_command_names_what_the_file_may_not_say(self, tmp_path):
        text = write_experiment_report(make_record(), tmp_path / "r").read_text()
        command = re.search(r"```sh\n(.*?)\n```", text, re.DOTALL)[1]
        assert command.startswith("harness run experiments/published.toml \\\n")
        options = dict(re.findall(r"^  (--\w+) (\S+)", command, re.MULTILINE))
        assert options["--trials"] == "12"
        assert options["--seed"] == "7"
        assert options["--data"] == "ott"

    def test_no_folder_of_this_machine_is_told(self, tmp_path):
        record = make_record(
            storage=str(tmp_path / "optuna.log"),
            settings={"file": str(tmp_path / "mine.toml"), "jobs": 2},
        )
        text = write_experiment_report(record, tmp_path / "r").read_text()
        assert str(tmp_path) not in text
        assert "harness run mine.toml" in text

    def test_a_failure_leaves_the_report_before_it_untouched(
        self, tmp_path, monkeypatch
    ):
        folder = tmp_path / "r"
        before = write_experiment_report(make_record(), folder).read_text()

        def fail(*_):
            raise RuntimeError("in the middle")

        monkeypatch.setattr(experiment_report, "write_html", fail)
        with pytest.raises(RuntimeError, match="middle"):
            write_experiment_report(make_record(opened=False), folder)
        assert (folder / "report.md").read_text() == before
        assert [path.name for path in tmp_path.iterdir()] == ["r"]

    def test_a_folder_that_cannot_be_made_is_one_sentence(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(StudyError, match=r"cannot be written to .*choose another"):
            write_experiment_report(make_record(), tmp_path / "file")
