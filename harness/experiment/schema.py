"""JSON schemas of the files that users write, made from the models that check them."""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from harness.data.options import sidecar_file
from harness.evaluation.measures import MEASURES
from harness.evaluation.requirements import MOST_OBJECTIVES
from harness.evaluation.splits import SPLIT_METHODS
from harness.experiment.file import EXTENDS
from harness.experiment.measured import DATA_NAMES, PARAM
from harness.experiment.spec import ExperimentSpec
from harness.search.pruners import PRUNERS
from harness.search.samplers import SAMPLERS
from harness.search.space import StudyFile

__all__ = ["SCHEMAS", "schema_text"]

# What the editors' plug-ins for TOML understand.
_DRAFT = "http://json-schema.org/draft-07/schema#"


class _WithTexts(GenerateJsonSchema):
    """Describes keys as the docstring of their table does."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        summary, texts = _documented(schema["cls"])
        made["description"] = summary
        for key, found in made.get("properties", {}).items():
            found.pop("title", None)
            if key in texts:
                found.setdefault("description", texts[key])
        return made


def _documented(model: type[Any]) -> tuple[str, dict[str, str]]:
    """Take a numpydoc docstring apart: its summary, and the text of each parameter."""
    doc = re.sub(r"`+([^`]*)`+", r"\1", inspect.getdoc(model) or "")
    summary, _, rest = doc.partition("\n\n")
    _, _, parameters = rest.partition("Parameters\n----------\n")
    found = re.findall(r"^(\w[\w, ]*) :.*\n((?: {4}.*\n?)+)", parameters, re.MULTILINE)
    texts = {
        name: " ".join(text.split())
        for names, text in found
        for name in names.split(", ")
    }
    return " ".join(summary.split()), texts


def _study() -> JsonSchemaValue:
    return _made(StudyFile)


def _experiment() -> JsonSchemaValue:
    schema = _made(ExperimentSpec)
    tables = schema["$defs"]
    search, split = tables["SearchSpec"], tables["SplitSpec"]
    search["properties"]["sampler"]["enum"] = list(SAMPLERS)
    several = {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1}
    search["properties"]["metric"] |= several | {"maxItems": MOST_OBJECTIVES}
    search["properties"]["pruner"]["enum"] = list(PRUNERS)
    # Without a test set there would be no verdict.
    methods = [method for method in SPLIT_METHODS if method != "none"]
    split["properties"]["method"]["enum"] = methods
    ranked = [m.name for m in MEASURES.values() if m.direction is not None]
    tables["DecisionSpec"]["properties"]["prefer"]["items"]["enum"] = ranked
    # Which hyperparameters there are depends on the family.
    setting = {"pattern": f"^{re.escape(PARAM)}."}
    metric = [{"enum": [*MEASURES, *DATA_NAMES]}, setting]
    for table in ("Criterion", "Claim"):
        tables[table]["properties"]["metric"]["anyOf"] = metric
    schema["properties"][EXTENDS] = {
        "type": "string",
        "description": "Another experiment, whose tables and keys are taken over.",
    }
    required = schema.pop("required")
    schema["anyOf"] = [{"required": required}, {"required": [EXTENDS]}]
    return schema


def _data() -> JsonSchemaValue:
    return _made(sidecar_file())


def _made(model: type[BaseModel]) -> JsonSchemaValue:
    schema = model.model_json_schema(schema_generator=_WithTexts)
    # Editors fetch schemas of the web by themselves, for which they need this key.
    return {"$schema": _DRAFT, **schema}


SCHEMAS: Mapping[str, Callable[[], JsonSchemaValue]] = MappingProxyType(
    {"study": _study, "experiment": _experiment, "data": _data}
)
"""Kind of file to what makes its schema."""


def schema_text(kind: str) -> str:
    """Write the schema of a kind of file."""
    return json.dumps(SCHEMAS[kind](), indent=2) + "\n"
