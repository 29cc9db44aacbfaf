"""Section: the model that the rule has chosen, metric by metric."""

from harness.experiment.record import ExperimentRecord
from harness.report.digits import interval, metric, stars
from harness.report.experiment.differences import published_rmse
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import Model, label
from harness.report.experiment.quantities import label as metric_label
from harness.report.experiment.quantities import write_published
from harness.report.experiment_figures import draw_residuals
from harness.report.markdown import table

__all__ = ["chosen_model"]


_LENT = (
    "Published: what the publication does not say of this family stands there of the one "
    "with its lowest RMSE, named in brackets."
)


def chosen_model(draft: Draft) -> str:
    """Describe the tuned model of the winner.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty before the test set was opened.
    """
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
