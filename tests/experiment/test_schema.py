"""JSON schemas: as the models are, and as the shipped files need them."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.data.options import ReadOptions, sidecar_file
from harness.experiment.schema import SCHEMAS, schema_text
from harness.experiment.spec import ExperimentSpec

PACKAGE = Path(harness.__file__).parent
ROOT = PACKAGE.parent
SHIPPED = {
    "study": ROOT / "studies" / "schema.json",
    "experiment": ROOT / "experiments" / "schema.json",
    "data": PACKAGE / "data" / "schema.json",
}
FILES = [
    (kind, path)
    for kind in ("study", "experiment")
    for path in sorted(SHIPPED[kind].parent.glob("*.toml"))
]


def complaints(kind, text):
    validator = jsonschema.Draft7Validator(SCHEMAS[kind]())
    found = validator.iter_errors(tomllib.loads(text))
    return [error.json_path.removeprefix("$.") for error in found]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_shipped_schemas_are_those_of_the_code(kind):
    text = SHIPPED[kind].read_text()
    assert text == schema_text(kind), f"run: harness schema {kind} > {SHIPPED[kind]}"
    assert CliRunner().invoke(app, ["schema", kind]).stdout == text
    jsonschema.Draft7Validator.check_schema(json.loads(text))


@pytest.mark.parametrize(
    ("kind", "path"), FILES, ids=lambda each: getattr(each, "name", each)
)
def test_shipped_files_name_their_schema_and_follow_it(kind, path):
    text = path.read_text()
    named = text.splitlines()[0].removeprefix("#:schema ")
    assert (path.parent / named).resolve() == SHIPPED[kind]
    assert complaints(kind, text) == []


STUDY = 'family = "svd"\n[parameters]\n'
EXPERIMENT = 'title = "x"\n[families]\nsvd = {}\n'


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        ("study", f'{STUDY}n = {{ type = "int", low = 1, hihg = 2 }}', "parameters.n"),
        ("study", f'{STUDY}n = {{ type = "integer", low = 1 }}', "parameters.n"),
        ("study", "[parameters]", "$"),
        ("experiment", '[families]\nsvd = {}\n[data]\nsource = "ott"', "$"),
        ("experiment", f'{EXPERIMENT}[split]\nmethod = "none"', "split.method"),
        ("experiment", f"{EXPERIMENT}[budget]\ntrials = 0", "budget.trials"),
        (
            "experiment",
            f'{EXPERIMENT}[decision]\nprefer = ["latency"]',
            "decision.prefer[0]",
        ),
        ("data", "scale = [1, 2, 3]", "scale"),
        ("data", 'rating_colum = "stars"', "$"),
    ],
)
def test_what_the_code_refuses_an_editor_marks(kind, text, place):
    [found] = complaints(kind, text)
    assert found == place


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("experiment", 'extends = "quick"\nseed = 3'),
        ("experiment", f'{EXPERIMENT}[[criteria]]\nmetric = "param.n_factors"'),
        ("data", 'scale = "1:5"\nmissing = ["0"]\nnotes = ["a note"]'),
        ("data", "scale = [1, 5]\nsimulated = true"),
    ],
)
def test_what_the_code_takes_an_editor_takes(kind, text):
    assert complaints(kind, text) == []


def test_keys_are_described_as_in_the_command_line_and_the_code():
    data = SCHEMAS["data"]()["properties"]
    for name in sidecar_file().model_fields:
        assert data[name]["description"]
    options = ReadOptions.__dataclass_fields__
    told = options["rating_column"].metadata["option"].help
    assert data["rating_column"]["description"] == told
    experiment = SCHEMAS["experiment"]()
    for name in set(ExperimentSpec.model_fields) - {
        "data",
        "split",
        "search",
        "budget",
    }:
        assert experiment["properties"][name]["description"], name
