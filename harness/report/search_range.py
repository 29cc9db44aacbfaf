"""Where in its range a value lies, and whether the range should be wider."""

import math
from collections.abc import Mapping
from typing import Any

from harness.errors import HarnessError, ParameterError
from harness.models.families import load_family
from harness.report.digits import setting
from harness.search.records import StudyRecord

__all__ = ["describe_range", "edge_of", "edges", "gauge", "position"]

EDGE_SHARE = 0.05
_GAUGE_WIDTH = 11


def _ends(distribution: Mapping[str, Any]) -> tuple[float, float] | None:
    # A number of epochs found on the way starts at one.
    low = 1 if distribution["type"] == "epochs" else distribution.get("low")
    high = distribution.get("high")
    return None if low is None or high is None or low >= high else (low, high)


def position(distribution: Mapping[str, Any], value: object) -> float | None:
    """Say how far along its range a value is.

    Parameters
    ----------
    distribution : mapping
        As `SearchSpace.describe` gives it.
    value : object
        Value of the hyperparameter.

    Returns
    -------
    float or None
        0 at the low end, 1 at the high end, on the log scale where the range is
        sampled so; None where there is no range, or the value is not a number in it.

    Examples
    --------
    >>> position({"type": "float", "low": 0.01, "high": 1.0, "log": True}, 0.1)
    0.5
    """
    ends = _ends(distribution)
    if ends is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not ends[0] <= value <= ends[1]:
        return None
    low, high, here = (
        (math.log(x) for x in (*ends, value))
        if distribution.get("log")
        else (*ends, value)
    )
    return (here - low) / (high - low)


def edge_of(distribution: Mapping[str, Any], value: object) -> str | None:
    """Say at which end of its range a value lies.

    Parameters
    ----------
    distribution : mapping
        As `SearchSpace.describe` gives it.
    value : object
        Value of the hyperparameter.

    Returns
    -------
    {"low", "high"} or None
        The end, if it is within 5 % of the range: the optimum may lie beyond. Epochs
        found on the way have no low end.
    """
    where = position(distribution, value)
    if where is None:
        return None
    # Rounding must not decide: 0.95 of a range is not always 0.95.
    if where >= 1 - EDGE_SHARE - 1e-9:
        return "high"
    if where <= EDGE_SHARE + 1e-9 and distribution["type"] != "epochs":
        return "low"
    return None


def edges(study: StudyRecord) -> dict[str, str]:
    """Find the best values that lie at an end of their range which could be wider.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    dict of str to str
        Hyperparameter to ``"low"`` or ``"high"``, see `edge_of`. Without those at the
        limit of what the family allows: no weight is below zero.
    """
    if study.best is None:
        return {}
    space, params = study.settings.get("space", {}), study.best.params
    ends = {name: edge_of(facts, params.get(name)) for name, facts in space.items()}
    return {
        name: end
        for name, end in ends.items()
        if end is not None and _can_be_wider(study.family, name, space[name], end)
    }


def _can_be_wider(
    family: str, name: str, distribution: Mapping[str, Any], end: str
) -> bool:
    try:
        make = load_family(family)
    except (HarnessError, ImportError):  # of a package that is not installed here
        return True
    try:
        make(**{name: _beyond(distribution, end)})
    except ParameterError:
        return False
    except TypeError:  # the installed family has no such parameter
        return True
    return True


def _beyond(distribution: Mapping[str, Any], end: str) -> float:
    """Take a value that is just outside the range."""
    low, high = distribution.get("low", 1), distribution["high"]
    if distribution["type"] != "float":
        return int(low) - 1 if end == "low" else int(high) + 1
    # By so little that nothing which is allowed is jumped over.
    step = 1e-6 * (high - low)
    if end == "low":
        return float(low * 0.999999 if low > 0 else low - step)
    return float(high + step)


def gauge(distribution: Mapping[str, Any], value: object) -> str:
    """Draw where in its range a value lies.

    Parameters
    ----------
    distribution : mapping
        As `SearchSpace.describe` gives it.
    value : object
        Value of the hyperparameter.

    Returns
    -------
    str
        Such as ``├─────●─────┤``; empty where there is no range.
    """
    where = position(distribution, value)
    if where is None:
        return ""
    left = round(where * (_GAUGE_WIDTH - 1))
    return f"├{'─' * left}●{'─' * (_GAUGE_WIDTH - 1 - left)}┤"


def describe_range(distribution: Mapping[str, Any]) -> str:
    """Put a distribution in words.

    Parameters
    ----------
    distribution : mapping
        As `SearchSpace.describe` gives it.

    Returns
    -------
    str
        Foreign text in it is not escaped.

    Examples
    --------
    >>> describe_range({"type": "int", "low": 10, "high": 250, "log": True})
    '10 to 250, log'
    """
    match distribution["type"]:
        case "fixed":
            return "fixed"
        case "categorical":
            return " or ".join(setting(choice) for choice in distribution["choices"])
        case "epochs":
            return f"up to {distribution['high']}, found on the way"
    text = f"{setting(distribution['low'])} to {setting(distribution['high'])}"
    step = distribution.get("step")
    text += f" in steps of {setting(step)}" if step and step != 1 else ""
    return text + (", log" if distribution.get("log") else "")
