import json
import re
import tomllib
from dataclasses import replace

import pytest

from harness.errors import StudyError
from harness.evaluation.results import Factor
from harness.plain import from_json
from harness.report import write as report_writer
from harness.report.write import write_report
from harness.search.distributions import Distribution
from harness.search.records import Environment
from tests.experiment.records import (
    DATASET,
    RUNS,
    make_record,
    make_spec,
    make_study,
    make_study_record,
)
from tests.experiment.scores import TUNED
from tests.facts import no_test

HOSTILE = "a|b <img src=x> `c` *d*\n\n# Owned"
SECTIONS = (
    "RMSE of all families",
    "The chosen model: SVD",
    "Acceptance criteria",
    "Data and split",
    "Cold start",
    "Quality of the lists",
    "Costs",
    "What the models have learnt",
    "Search",
    "Optimism of the search",
    "Published claims",
    "How to reproduce",
    "Appendix",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_report(make_record(), tmp_path_factory.mktemp("r") / "full")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_report(make_study_record(), tmp_path_factory.mktemp("r") / "study")


@pytest.fixture
def without_figures(monkeypatch):
    """Figures take seconds, and have tests of their own."""
    monkeypatch.setattr("harness.report.context.Context.figure", lambda *_: "")


def headings(text):
    return re.findall(r"^## (.*)", text, re.MULTILINE)


def test_a_report_has_every_section_in_order_and_the_figures_it_shows(written):
    text = written.read_text()
    assert headings(text) == list(SECTIONS)
    shown = set(re.findall(r"\]\(([\w-]+\.png)\)", text))
    assert shown == {path.name for path in written.parent.glob("*.png")}
    # Twelve trials are too few for importance; scores that are RMSE are in rmse.png, and
    # of one objective there is no front.
    panels = {f"{what}-{c}.png" for what in ("slices", "folds") for c in TUNED}
    left_out = {"importance.png", "scores.png", "fronts.png"}
    assert shown == {*report_writer.FIGURES, *panels} - left_out


def test_a_study_has_the_sections_that_say_something_about_one_family(study):
    text = study.read_text()
    assert headings(text) == [
        "Result on the sealed test set",
        "Data and split",
        "Cold start",
        "Quality of the lists",
        "Costs",
        "Search",
        "Optimism of the search",
        "How to reproduce",
        "Appendix",
    ]
    assert {path.name for path in study.parent.iterdir()} == {
        "report.md",
        "report.html",
        "report.json",
        "space.toml",
        "residuals.png",
        "depth.png",
        "histories.png",
        "slices-svd.png",
        "folds-svd.png",
    }


def test_the_space_file_of_a_study_reads_as_the_space_that_was_searched(study):
    content = tomllib.loads(study.with_name("space.toml").read_text())
    settings = make_study_record().studies["svd"].settings
    assert from_json(dict[str, Distribution], content["parameters"]) == settings.space
    assert content["initial"] == settings.initial


def test_the_results_are_there_as_data_with_null_for_what_is_not_a_number(written):
    def refuse(name):
        raise AssertionError(name)

    text = written.with_name("report.json").read_text()
    found = json.loads(text, parse_constant=refuse)
    assert found["decision"]["winner"] == "svd"
    models = {model["name"]: model for model in found["judging"]["models"]}
    assert models["svd, tuned"]["measures"]["rmse"]["value"] == 0.572
    coverage = models["svd, tuned"]["measures"]["coverage"]
    assert coverage == {"value": 0.987, "low": None, "high": None}
    use = found["verdict"]["lines"][0]
    assert (use["kind"], use["facts"]["candidate"]) == ("use", "svd")


def test_what_few_readers_need_is_folded(written):
    text = written.read_text()
    folded = "".join(re.findall(r"<details>.*?</details>", text, re.DOTALL))
    open_ = unfolded(text)
    for words in (
        "| packages |",
        "### Best settings",
        "### Trials:",
        "its id in MLflow",
    ):
        assert words in folded
        assert words not in open_
    page = written.with_name("report.html").read_text()
    assert (
        page.count("<details>") == page.count("</details>") == text.count("<details>")
    )
    assert "&lt;details" not in page


def test_the_page_beside_it_shows_the_same(written):
    page = written.with_name("report.html").read_text()
    assert page.count("data:image/png;base64,") == len(
        list(written.parent.glob("*.png"))
    )
    assert "0.5720 [0.5640, 0.5800]" in page.replace("\N{NO-BREAK SPACE}", " ")


def unfolded(text):
    return re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)


def test_no_table_is_wider_than_a_page(written):
    rows = re.findall(r"^\|.*\|$", unfolded(written.read_text()), re.MULTILINE)
    assert max(row.replace("\\|", "").count("|") for row in rows) <= WIDEST + 1


WIDEST = 8
TOO_FEW = {key: {} for key in ("fresh_folds", "costs", "factors", "profile")}
VARIANTS = {
    "full": {},
    "hybrid wins": {"judged": {"tuned": TUNED | {"hybrid": 0.5}}},
    "all tied": {"judged": {"tuned": dict.fromkeys(TUNED, 0.6)}},
    "worse than the baseline": {"judged": {"tuned": dict.fromkeys(TUNED, 0.9)}},
    "one family": {"judged": {"tuned": {"svd": 0.5}}},
    "nothing compared": {
        "judged": {"changes": {"differences": (), "depth_differences": ()}}
    },
    "nothing published": {"spec": make_spec(claims=[], criteria=[], variants=[])},
    "not opened": TOO_FEW | {"opened": False},
    "only begun": TOO_FEW | {"opened": False, "studies": {}},
    "runs known": {"runs": RUNS},
}


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_row_of_every_table_has_as_many_cells_as_its_head(changes, tmp_path):
    text = write_report(make_record(**changes), tmp_path / "r").read_text()
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert tables
    for found in tables:
        rows = found.splitlines()
        cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
        assert set(cells) == {cells[0]}, found
        assert cells[0] <= WIDEST + 1 or found not in unfolded(text), found


def test_the_same_experiment_gives_the_same_files(written, tmp_path):
    again = write_report(make_record(), tmp_path / "again")
    for path in written.parent.iterdir():
        assert path.read_bytes() == (again.parent / path.name).read_bytes()


def test_figures_that_a_new_report_does_not_have_go_and_other_files_stay(tmp_path):
    folder = tmp_path / "r"
    write_report(make_record(), folder)
    for name in ("notes.txt", "mine.png"):
        (folder / name).write_text("mine")
    write_report(make_record(studies={}, opened=False), folder)
    left = {path.name for path in folder.iterdir()}
    kept = {"report.md", "report.html", "report.json", "notes.txt", "mine.png"}
    assert left == {*kept, "data.png"}


@pytest.mark.usefixtures("without_figures")
class TestText:
    def test_a_partial_experiment_says_so_and_shows_its_searches(self, tmp_path):
        record = make_record(
            opened=False, fresh_folds={}, costs={}, factors={}, profile={}
        )
        two = {c: record.studies[c] for c in ("svd", "cf")}
        text = write_report(replace(record, studies=two), tmp_path / "r").read_text()
        assert "the test set is still sealed; 2 of 4 searches have begun" in text
        assert "| still sealed for this experiment |" in text
        assert "| collaborative filtering | 9 | 2 | 1 | #7 |" in text
        gone = {"RMSE of all families", "Cold start", "Optimism of the search", "Costs"}
        assert not gone & set(headings(text))

    def test_an_experiment_that_has_only_begun_has_a_report(self, tmp_path):
        record = make_record(
            spec=make_spec(claims=[], criteria=[], variants=[]),
            opened=False,
            studies={},
            fresh_folds={},
            costs={},
            factors={},
            profile={},
        )
        text = write_report(record, tmp_path / "r").read_text()
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
        factor = Factor(
            label=HOSTILE,
            share=0.5,
            trait=HOSTILE,
            correlation=0.5,
            positive=(HOSTILE,),
            negative=(HOSTILE,),
        )
        spec = make_spec(
            title=HOSTILE,
            about=HOSTILE,
            publication=HOSTILE,
            families=families,
            claims=claims,
        )
        record = make_record(
            spec=spec,
            dataset=replace(DATASET, name=HOSTILE, notes=(HOSTILE,)),
            factors={"svd": (factor,)},
            file=HOSTILE,
            environment=Environment(python=HOSTILE),
        )
        text = write_report(record, tmp_path / "r").read_text()
        prose = re.sub(r"```\w+\n.*?\n```", "", text, flags=re.DOTALL)
        assert "<img" not in re.sub(r"(?<!\\)(`+) ?[^\n]*?\1", "", prose)
        assert not re.search(r"^#+ Owned", prose, re.MULTILINE)
        assert text.count("```") == 4
        for block in prose.split("\n\n"):
            rows = [line for line in block.splitlines() if line.startswith("|")]
            cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
            assert len(cells) <= 1, block

    def test_simulated_ratings_are_announced_in_the_title(self, tmp_path):
        text = write_report(make_record(), tmp_path / "r").read_text()
        assert text.splitlines()[0].endswith("(SIMULATED ratings)")
        real = make_record(dataset=replace(DATASET, simulated=False))
        text = write_report(real, tmp_path / "r").read_text()
        assert "SIMULATED" not in text
        assert "simulated." not in text.split("## Published")[0]

    def test_each_tuned_model_is_traced_to_study_trial_and_run(self, tmp_path):
        from harness.tracking.projection import experiment_identity, study_identity

        record = make_record()
        text = write_report(record, tmp_path / "r").read_text()
        run = study_identity(record.studies["svd"])
        assert f"| SVD | `published-svd` | `{run}` | #7 |" in text
        assert (
            f"tags.\"harness.experiment_id\" = '{experiment_identity(record)}'" in text
        )

    def test_the_command_names_what_the_file_may_not_say(self, tmp_path):
        text = write_report(make_record(), tmp_path / "r").read_text()
        command = re.search(r"```sh\n(.*?)\n```", text, re.DOTALL)[1]
        assert "\nharness run experiments/published.toml \\\n" in command
        options = dict(re.findall(r"^  (--[\w-]+) (\S+)", command, re.MULTILINE))
        assert options["--trials"] == "12"
        assert options["--seed"] == "7"
        assert options["--data"] == "ott"

    def test_the_repetition_writes_to_stores_of_its_own(self, tmp_path):
        for record in (make_record(), make_study_record()):
            text = write_report(record, tmp_path / "r").read_text()
            options = dict(re.findall(r"^  (--[\w-]+) (\S+)", text, re.MULTILINE))
            assert options["--storage"] == "reproduction/optuna.log"
            assert options["--tracking-uri"] == "sqlite:///reproduction/mlflow.db"
            assert options["--reports"] == "reproduction/reports"

    def test_no_folder_of_this_machine_is_told(self, tmp_path):
        record = make_record(
            storage=str(tmp_path / "optuna.log"),
            file=str(tmp_path / "mine.toml"),
        )
        text = write_report(record, tmp_path / "r").read_text()
        assert str(tmp_path) not in text
        assert "harness run mine.toml" in text

    def test_a_failure_leaves_the_report_before_it_untouched(
        self, tmp_path, monkeypatch
    ):
        folder = tmp_path / "r"
        before = write_report(make_record(), folder).read_text()

        def fail(*_):
            raise RuntimeError("in the middle")

        monkeypatch.setattr(report_writer, "write_html", fail)
        with pytest.raises(RuntimeError, match="middle"):
            write_report(make_record(opened=False), folder)
        assert (folder / "report.md").read_text() == before
        assert [path.name for path in tmp_path.iterdir()] == ["r"]

    def test_a_folder_that_cannot_be_made_is_one_sentence(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(StudyError, match=r"cannot be written to .*choose another"):
            write_report(make_record(), tmp_path / "file")

    @pytest.mark.parametrize(
        "progress", [(), ("failed",), (1.0,), (None, None), (0.0, 1.0)]
    )
    def test_the_smallest_studies_have_a_report(self, tmp_path, progress):
        search = make_study("svd", progress=progress)
        record = make_study_record(study=search, opened=False, fresh_folds={})
        text = write_report(record, tmp_path / "r").read_text()
        assert text.startswith("# published-svd: ott")

    def test_a_trial_that_still_runs_is_counted(self, tmp_path):
        search = make_study("svd")
        running = replace(search.trials[0], number=30, state="running", ended=None)
        search = replace(search, trials=(*search.trials, running))
        record = make_study_record(study=search, opened=False)
        assert "1 running" in write_report(record, tmp_path / "r").read_text()

    def test_without_test_set_the_report_says_so(self, tmp_path):
        record = make_study_record(opened=False, split=no_test())
        text = write_report(record, tmp_path / "r").read_text()
        assert "**No test set (split none)" in text
        assert "Result on the sealed test set" not in text
        # The fixture: search 0.575, fresh folds 0.577.
        assert "up to 0.0020 stars worse" in text


def test_a_report_may_have_any_scale(tmp_path):
    record = make_record(dataset=replace(DATASET, scale=(0.0, 100.0)))
    text = write_report(record, tmp_path / "r").read_text()
    assert "stars" not in text.split("## Published claims")[0]
    assert "| scale | 0 to 100 points |" in text


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    write_report(make_study_record(), tmp_path / "r")
    assert dict(mpl.rcParams) == before
