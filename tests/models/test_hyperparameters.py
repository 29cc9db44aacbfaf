"""Domains of hyperparameters, as the annotations of fields declare them."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Le

from harness.models.hyperparameters import Count, NonNegative, Positive, domains


@dataclass(kw_only=True)
class Toy:
    n: Count = 1
    weight: NonNegative = 0.0
    rate: Positive | None = None
    share: Annotated[float, Ge(0.01), Le(0.5)] = 0.1
    kind: Literal["mean", "median"] = "mean"
    flag: bool = False
    label: str = ""
    seed: int = 0
    other: "tuple[int, ...] | None" = None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("n", np.int64(3)),
        ("weight", 0),
        ("weight", np.float32(0.5)),
        ("rate", None),
        ("rate", 1e-9),
        ("share", 0.5),
        ("kind", "median"),
        ("flag", True),
        ("label", "any"),
        ("seed", -1),
        ("other", "anything: of this type nothing is known"),
    ],
)
def test_a_value_within_breaks_no_rule(name, value):
    assert domains(Toy)[name].broken_rule(value) is None


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("n", 0, "must be at least 1"),
        ("n", 2.5, "must be an integer"),
        ("n", True, "must be an integer"),
        ("n", None, "must be an integer"),
        ("weight", -0.1, "must be at least 0"),
        ("weight", float("nan"), "must be at least 0"),
        ("weight", float("inf"), "must be finite"),
        ("weight", "0.5", "must be a number"),
        ("rate", 0.0, "must be greater than 0"),
        ("share", 0.6, "must be at least 0.01 and be at most 0.5"),
        ("kind", "mode", "must be one of 'mean', 'median'"),
        ("flag", "yes", "must be true or false"),
        ("flag", 1, "must be true or false"),
        ("label", 3, "must be a text"),
    ],
)
def test_a_value_outside_breaks_the_rule_that_is_named(name, value, rule):
    assert domains(Toy)[name].broken_rule(value) == rule
