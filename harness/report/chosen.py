"""The model that the rule has chosen, and what the models have learnt."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.experiment.measures import BLOCK
from harness.experiment.results import ExperimentRecord
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.formatting import interval, metric, stars
from harness.report.claims import published_rmse
from harness.report.context import (
    Draft,
    Model,
    label,
    paragraphs,
    tuned_models,
    write_published,
)
from harness.report.context import quantity_label as metric_label
from harness.report.figures import draw_residuals
from harness.report.figures.results import draw_blocks, statistics_weight
from harness.report.markdown import escape, table
from harness.search.importance import has_importance

__all__ = ["chosen_model", "explainability"]


_LENT = (
    "Published: what the publication does not say of this family stands there of the one "
    "with its lowest RMSE, named in brackets."
)


def chosen_model(draft: Draft) -> str:
    """Describe the tuned model of the winner."""
    record, decision = draft.record, draft.decision
    tuned = record.model(decision.winner) if decision is not None else None
    if decision is None or tuned is None:
        return ""
    return paragraphs(
        f"## The chosen model: {label(record, decision.winner)}",
        _metric_table(draft, decision.winner, tuned),
        _about_seeds(record, tuned),
        _residuals(draft, tuned),
    )


def _metric_table(draft: Draft, winner: str, tuned: Model) -> str:
    initial = draft.record.model(winner, "initial")
    published = {name: _published(draft, name, winner) for name in tuned["metrics"]}
    rows = [
        [
            metric_label(name),
            *([published[name] or "-"] if any(published.values()) else []),
            *([metric(name, initial["metrics"][name]["value"])] if initial else []),
            interval(name, estimate),
            _meaning(draft.record, name, estimate["value"]),
        ]
        for name, estimate in tuned["metrics"].items()
    ]
    head = [
        "test set",
        *(["published"] if any(published.values()) else []),
        *(["initial"] if initial else []),
        "tuned [95 % interval]",
        "what it means",
    ]
    lent = any(" (of " in figure for figure in published.values())
    return paragraphs(
        table(head, rows, align="l" + "r" * (len(head) - 2) + "l"),
        _LENT if lent else "",
    )


def _published(draft: Draft, name: str, winner: str) -> str:
    """Write a published figure of the winner, else that of the publication's own choice.

    Publications describe the family that they choose more closely than the others; here
    that is taken to be the one with their lowest RMSE. Empty if there is neither figure.
    """
    for candidate in (winner, *list(published_rmse(draft))[:1]):
        value = draft.published(name, candidate)
        if isinstance(value, float | int):
            whose = label(draft.record, candidate)
            of = "" if candidate == winner else f" (of {whose})"
            return f"{write_published(name, value)}{of}"
    return ""


def _meaning(record: ExperimentRecord, name: str, value: float | None) -> str:
    """Put the value of a metric in words; numbers are rounded to be remembered."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return "not defined here"
    variance = (record.final or {}).get("test_variance")
    of = f" of {variance:.4g}" if variance else ""
    meanings = {
        "rmse": "typical error in stars; large ones count most",
        "user_rmse": "RMSE of each user, averaged over users",
        "mae": f"a prediction is {value:.2f} stars off on average",
        "r2": f"explains {value:.0%} of the variance{of} of the test ratings"
        if value >= 0
        else "worse than predicting the mean of the test ratings",
        "within_half_star": f"{100 * value:.0f} of 100 are at most half a star off",
        "within_one_star": f"{100 * value:.0f} of 100 are at most a star off",
    }
    return meanings.get(name, "").replace("%", " %")


def _about_seeds(record: ExperimentRecord, tuned: Model) -> str:
    seeds, errors = (record.final or {}).get("seeds", ()), tuned["rmse_by_seed"]
    if len(errors) < 2 or len(errors) != len(seeds):
        return ""
    listed = ", ".join(
        f"{stars(error)} (seed {seed})"
        for seed, error in zip(seeds, errors, strict=True)
    )
    return f"The metrics are means over refits; the RMSE of each: {listed}."


def _residuals(draft: Draft, tuned: Model) -> str:
    by_star = tuned.get("residuals", {}).get("by_star", [])
    if not by_star:
        return ""
    rows = [
        [
            f"{group['star']:g}",
            f"{group['n']:,}",
            f"{group['mean_error']:+.3f}",
            stars(group["rmse"]),
        ]
        for group in by_star
    ]
    head = ["stars given", "test ratings", "prediction minus truth, mean", "RMSE"]
    return paragraphs(
        "### Errors by star, and calibration",
        draft.figure(
            draw_residuals,
            "residuals.png",
            "Errors by the stars given, and mean rating against prediction",
        ),
        table(head, rows, align="rrrr"),
        _about_ends(by_star),
        _about_calibration(tuned["residuals"].get("calibration", [])),
    )


def _about_ends(by_star: list[Model]) -> str:
    low, high = by_star[0], by_star[-1]
    if not (low["mean_error"] > 0 > high["mean_error"]):
        return ""
    return (
        "Predictions lean towards the middle, as they must where they are unsure: ratings "
        f"of {low['star']:g} are predicted {low['mean_error']:.2f} stars too high on "
        f"average, those of {high['star']:g} {-high['mean_error']:.2f} too low."
    )


def _about_calibration(groups: list[Model]) -> str:
    if not groups:
        return ""
    worst = max(groups, key=lambda group: abs(group["actual"] - group["predicted"]))
    gap = worst["actual"] - worst["predicted"]
    way = "below" if gap < 0 else "above"
    return (
        f"Calibration: of {len(groups)} groups by prediction, none has a mean rating "
        f"further from its mean prediction than {abs(gap):.2f} stars (mean rating "
        f"{way} the prediction, near {worst['predicted']:.2f})."
    )


N_FACTORS = 6
N_TITLES = 3
BLOCKS = tuple(PUBLISHED_WEIGHTS)
STATISTICS = (
    " Statistics (mean rating and popularity of a title, from the ratings of others) is "
    "not of that sum, but relative to it."
)


def explainability(draft: Draft) -> str:
    """Show the strongest latent factors, and the weights of content."""
    body = paragraphs(*_factors(draft), _weights(draft))
    return paragraphs("## Explainability", body) if body else ""


def _factors(draft: Draft) -> list[str]:
    parts: list[str] = []
    for candidate, factors in draft.record.factors.items():
        if not factors:
            continue
        head = ["", "share", "goes with", "titles at one end", "titles at the other"]
        parts += [
            f"### Latent factors: {label(draft.record, candidate)}",
            table(head, map(_factor_row, factors[:N_FACTORS]), align="lrlll"),
        ]
    if parts:
        parts.append(
            "The strongest factors of the tuned model. Share: of the variance of what all "
            "factors add to a prediction. A factor goes with a genre or decade if the "
            "correlation (in brackets) is beyond chance; the sign only says which end."
        )
    return parts


def _factor_row(factor: Mapping[str, Any]) -> list[str]:
    trait = factor.get("trait")
    goes_with = f"{escape(trait)} ({factor['correlation']:+.2f})" if trait else "-"
    ends = [
        "; ".join(escape(title) for title in factor[end][:N_TITLES])
        for end in ("positive", "negative")
    ]
    return [escape(factor["label"]), f"{100 * factor['share']:.1f} %", goes_with, *ends]


def _weights(draft: Draft) -> str:
    tuned = [m for m in tuned_models(draft.record) if block_weights(m["params"])]
    if not tuned:
        return ""
    beside = {m["candidate"]: statistics_weight(m["params"]) for m in tuned}
    used = any(beside.values())
    rows = [[*_published_row(draft, list(beside)), *(["-"] if used else [])]]
    for model in tuned:
        candidate, weights = model["candidate"], block_weights(model["params"])
        shares = [f"{weights[block]:.2f}" for block in BLOCKS]
        more = [f"{beside[candidate]:.2f}" if beside[candidate] else "-"]
        name = f"{label(draft.record, candidate)}, tuned"
        rows.append([name, *shares, *(more if used else [])])
    head = ["", *BLOCKS, *(["statistics"] if used else [])]
    return paragraphs(
        "### Weights of the content blocks",
        draft.figure(
            draw_blocks, "blocks.png", "Weights of the content blocks, each family"
        ),
        table(head, rows, align="l" + "r" * (len(head) - 1)),
        _how(draft) + (STATISTICS if used else ""),
        _blocks_off(tuned),
    )


def _published_row(draft: Draft, candidates: Sequence[str]) -> list[str]:
    claimed = {b: _claimed(draft, b, candidates) for b in BLOCKS}
    known = {b: v for b, v in claimed.items() if v is not None}
    weights = {**PUBLISHED_WEIGHTS, **known}
    name = "published study" if known else "published study, the defaults"
    return [name, *(f"{weights[block]:.2f}" for block in BLOCKS)]


def _claimed(draft: Draft, block: str, candidates: Sequence[str]) -> float | None:
    values = (draft.published(f"{BLOCK}{block}", each) for each in candidates)
    return next((float(v) for v in values if isinstance(v, float | int)), None)


def _how(draft: Draft) -> str:
    drawn = any(has_importance(study) for study in draft.record.studies.values())
    see = " (see importance)" if drawn else ""
    return (
        f"The weights of {_join(BLOCKS)} are normalised to a sum of 1. Tuned weights are "
        f"those of the best trial; where the search found that they hardly matter{see}, "
        "they are little more than where it happened to be."
    )


def _blocks_off(tuned: Sequence[Model]) -> str:
    """Say which weights count for nothing, because the catalogue has nothing for them."""
    notes = dict.fromkeys(note for m in tuned for note in m.get("notes", ()))
    if not notes:
        return ""
    listed = "\n".join(f"- {escape(note)}" for note in notes)
    return paragraphs(
        "What the catalogue has nothing for counts for nothing, whatever its weight:",
        listed,
    )


def _join(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
