"""What a study has found, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.evaluation.final import BIAS_BASELINE
from harness.evaluation.holm import holm
from harness.report.comparison import Comparison
from harness.report.digits import stars
from harness.report.markdown import code, escape
from harness.report.search_range import edges
from harness.search.records import StudyRecord

__all__ = [
    "comparisons",
    "optimism",
    "title",
    "verdict",
]


def comparisons(study: StudyRecord) -> list[Comparison]:
    """Compare the tuned model with each of the others.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    list of Comparison
        In the order of the final evaluation; none without one.
    """
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
    """Say what was found.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    list of str
        Sentences in markdown.
    """
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
    """Lay the search score beside what the same settings reach without selection.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    rows : list of (str, float, str)
        What was scored, RMSE in stars, and what it means; empty if it is not known.
    sentence : str
        What they say together.
    """
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
    """Name the study, and say if its ratings are simulated.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    str
        Markdown for a heading.
    """
    text = f"Study {escape(study.name)}: {escape(study.family)} on "
    text += escape(study.dataset.get("name", "unnamed data"))
    return text + (" (SIMULATED ratings)" if study.dataset.get("simulated") else "")
