"""What a study has found, in sentences."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import HarnessError, ParameterError
from harness.evaluation.final import BIAS_BASELINE
from harness.evaluation.statistics import holm
from harness.formatting import Comparison, setting, stars
from harness.models.families import load_family
from harness.report.markdown import code, escape
from harness.search.records import StudyRecord

__all__ = [
    "comparisons",
    "describe_range",
    "edge_of",
    "edges",
    "gauge",
    "optimism",
    "position",
    "title",
    "verdict",
]


EDGE_SHARE = 0.05
_GAUGE_WIDTH = 11


def _ends(distribution: Mapping[str, Any]) -> tuple[float, float] | None:
    # A number of epochs found on the way starts at one.
    low = 1 if distribution["type"] == "epochs" else distribution.get("low")
    high = distribution.get("high")
    return None if low is None or high is None or low >= high else (low, high)


def position(distribution: Mapping[str, Any], value: object) -> float | None:
    """Say how far along its range a value is.

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
    """Say at which end of its range a value lies."""
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
    """Find the best values that lie at an end of their range which could be wider."""
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
    """Draw where in its range a value lies."""
    where = position(distribution, value)
    if where is None:
        return ""
    left = round(where * (_GAUGE_WIDTH - 1))
    return f"├{'─' * left}●{'─' * (_GAUGE_WIDTH - 1 - left)}┤"


def describe_range(distribution: Mapping[str, Any]) -> str:
    """Put a distribution in words.

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


def comparisons(study: StudyRecord) -> list[Comparison]:
    """Compare the tuned model with each of the others."""
    final = study.final or {}
    found = final.get("differences", [])
    adjusted = holm([difference["p_value"] for difference in found])
    return [
        Comparison(
            other=d["other"],
            value=d["value"],
            low=d["low"],
            high=d["high"],
            p_value=p_value,
        )
        for d, p_value in zip(found, adjusted, strict=True)
    ]


def verdict(study: StudyRecord) -> list[str]:
    """Say what was found."""
    if study.best is None:
        return ["**No trial was completed**, so there is no result (yet)."]
    final = study.final or {}
    if not final.get("models"):
        return [*_without_test(study), *_warnings(study)]
    rmse = {m["name"]: m["metrics"]["rmse"]["value"] for m in final["models"]}
    found = {comparison.other: comparison for comparison in comparisons(study)}
    sentences = []
    if "initial" in found:
        initial = study.settings.get("initial", {})
        if initial.items() >= study.best.params.items():
            sentences.append(_about_initial(rmse))
        else:
            sentences.append(_about_tuning(found["initial"], rmse))
    if BIAS_BASELINE in found:
        sentences.append(_about_bias(study.family, found[BIAS_BASELINE], rmse))
    return [*sentences, *_warnings(study)]


def _without_test(study: StudyRecord) -> Iterator[str]:
    assert study.best is not None
    assert study.best.value is not None
    if study.split.get("method") == "none":
        yield (
            "**There is no test set** (split `none`): the search has used all ratings, so "
            "every score in this report belongs to settings that were chosen for it, and "
            "is optimistic."
        )
    else:
        yield (
            "**The test set is still sealed**: the search has not come to its end. The "
            "same command continues it, and judges the best trial."
        )
    sentence = (
        f"The best trial, #{study.best.number}, has a mean RMSE over the folds of "
        f"**{stars(study.best.value)}** stars"
    )
    initial = study.trials[0]
    if initial.number == 0 and initial.value is not None and initial != study.best:
        sentence += (
            f"; the initial settings have {stars(initial.value)} on the same folds"
        )
    yield sentence + "."


def _about_initial(rmse: dict[str, float]) -> str:
    return (
        "The search has found **nothing better than the initial settings**, whose RMSE on "
        f"the sealed test set is **{stars(rmse['tuned'])}** stars."
    )


def _about_tuning(found: Comparison, rmse: dict[str, float]) -> str:
    before, after = stars(rmse["initial"]), stars(rmse["tuned"])
    if found.outcome == "tied":
        return (
            f"On the sealed test set the tuned settings (RMSE **{after}**) and the initial "
            f"ones ({before}) **cannot be told apart**: they differ by {found.size} stars, "
            f"which may be chance (p {found.p_text})."
        )
    verb = "lowered" if found.outcome == "better" else "**raised**"
    return (
        f"Tuning {verb} the RMSE on the sealed test set from {before} to **{after}** "
        f"stars: by {found.size}, which is beyond chance (p {found.p_text})."
    )


def _about_bias(family: str, found: Comparison, rmse: dict[str, float]) -> str:
    name = code(family)
    level = stars(rmse[BIAS_BASELINE])
    if found.outcome == "better":
        return (
            f"The tuned {name} **beats the {BIAS_BASELINE} baseline** ({level}) by "
            f"{found.size} stars (p {found.p_text})."
        )
    if found.outcome == "worse":
        return (
            f"The tuned {name} **does not beat the {BIAS_BASELINE} baseline** ({level}): "
            f"it is worse by {found.size} stars (p {found.p_text})."
        )
    return (
        f"The tuned {name} **does not beat the {BIAS_BASELINE} baseline** ({level}): the "
        f"difference of {found.size} stars may be chance (p {found.p_text})."
    )


def _warnings(study: StudyRecord) -> Iterator[str]:
    """Yield what limits the verdict."""
    assert study.best is not None
    final = study.final or {}
    if final.get("models") and final.get("best_trial", -1) != study.best.number:
        yield (
            f"**Out of date:** the test set has judged trial #{final.get('best_trial')}, "
            f"and the search has since found a better one, #{study.best.number}; the "
            "command of the study judges it."
        )
    if final.get("looks", 1) > 1:
        yield (
            f"The test set has been opened **{final['looks']} times**, by this study and "
            "others on the same split: whoever has seen an earlier test score knew "
            "something of this one, so that it is a little optimistic."
        )
    found = edges(study)
    wider = [f"{code(name)} ({end} end)" for name, end in found.items()]
    if wider:
        yield (
            f"**Widen the range** of {', '.join(wider)}: the best value lies at its edge, "
            "and a better one may lie beyond."
        )


def optimism(study: StudyRecord) -> tuple[list[tuple[str, float, str]], str]:
    """Lay the search score beside what the same settings reach without selection."""
    scores: dict[str, Any] = (study.final or {}).get("optimism", {})
    if "search" not in scores:
        return [], ""
    n_judged = sum(t.state in {"complete", "pruned"} for t in study.trials)
    rows = [
        (
            "search",
            scores["search"],
            f"the best of {n_judged} trials, on the folds it was chosen by",
        ),
    ]
    sentence = _price_of_choosing(scores)
    if "fresh_folds" in scores:
        rows.append(
            (
                "fresh folds",
                scores["fresh_folds"],
                "the same settings on the same ratings, dealt into new folds",
            )
        )
    if "test" in scores:
        rows.append(("test set", scores["test"], "refitted on the whole training part"))
        sentence += (
            " The test score is on other ratings, after training on more of them, so it "
            "may lie on either side."
        )
    return rows, sentence


def _price_of_choosing(scores: Mapping[str, float]) -> str:
    if "fresh_folds" not in scores:
        return (
            "The folds follow each other in time, as the test set follows them; they "
            "cannot be dealt anew, so what choosing the best of many by its score adds "
            "to it is not known."
        )
    gap = scores["fresh_folds"] - scores["search"]
    if gap > 0:
        return (
            f"The search score flatters the settings by {stars(gap)} stars: the price of "
            "choosing the best of many by their score, give or take the luck of the deal."
        )
    return (
        f"On fresh folds the settings score no worse (by {stars(-gap)} stars better): "
        "choosing them by their score has not flattered them."
    )


def title(study: StudyRecord) -> str:
    """Name the study, and say if its ratings are simulated."""
    text = f"Study {escape(study.name)}: {escape(study.family)} on "
    text += escape(study.dataset.get("name", "unnamed data"))
    return text + (" (SIMULATED ratings)" if study.dataset.get("simulated") else "")
