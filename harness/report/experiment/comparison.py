"""Section: the RMSE of all families, published, initial and tuned."""

from collections.abc import Mapping
from typing import Any

from harness.experiment.decision import beats_bias_of
from harness.experiment.record import ExperimentRecord
from harness.report.digits import interval, stars
from harness.report.experiment.draft import LONGEST, Draft, paragraphs
from harness.report.experiment.models import (
    Model,
    baselines,
    compare,
    label,
    name_of,
    tuned_models,
)
from harness.report.experiment.quantities import write_published
from harness.report.experiment.reasons import reasons
from harness.report.experiment_figures import draw_rmse
from harness.report.markdown import escape, table

__all__ = ["comparison"]


def comparison(draft: Draft) -> str:
    """Lay the RMSE of all models side by side, and say what speaks for each family.

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
    if decision is None:
        return ""
    return paragraphs(
        "## RMSE of all families",
        _table(draft),
        _how(record),
        _about_bias(record),
        _about_tuning(record),
        draft.figure(
            draw_rmse,
            "rmse.png",
            "Test RMSE: published, initial and tuned, all families",
        ),
        _notes(record),
    )


def _table(draft: Draft) -> str:
    record = draft.record
    models = [*tuned_models(record), *baselines(record)]
    models.sort(key=lambda model: model["metrics"]["rmse"]["value"])
    ranks = {m["name"]: k for k, m in enumerate(tuned_models(record), 1)}
    rows = [_row(draft, model, ranks.get(model["name"])) for model in models]
    judged = {model["candidate"] for model in models}
    rows += [
        [label(record, c), _published(draft, c), "-", "not judged", "-", "-", "-"]
        for c in record.spec.families
        if c not in judged
    ]
    head = ["family", "published", "initial", "tuned [95 % interval]", "rank"]
    head += ["p, against the best", "for and against"]
    return table(head, rows, align="lrrrrrl")


def _row(draft: Draft, model: Model, rank: int | None) -> list[str]:
    record = draft.record
    decision, candidate = draft.decision, model["candidate"]
    assert decision is not None
    chosen = candidate is not None and candidate == decision.winner
    name = name_of(record, model)
    rmse = interval("rmse", model["metrics"]["rmse"])
    if candidate is None:
        return [f"*baseline:* {name}", "-", "-", rmse, "-", _p(draft, model), "-"]
    initial = record.model(candidate, "initial")
    is_tied = bool(decision.tied) and candidate in decision.contenders
    return [
        f"**{name}** (chosen)" if chosen else name,
        _published(draft, candidate),
        stars(initial["metrics"]["rmse"]["value"]) if initial else "-",
        f"**{rmse}**" if chosen else rmse,
        f"{rank} (tied)" if is_tied else str(rank),
        _p(draft, model),
        reasons(record, candidate),
    ]


def _published(draft: Draft, candidate: str) -> str:
    return write_published("rmse", draft.published("rmse", candidate))


def _p(draft: Draft, model: Model) -> str:
    assert draft.decision is not None
    best = draft.record.model(draft.decision.best)
    found = compare(draft.record, model, best)
    return "-" if found is None else found.p_text.removeprefix("= ")


def _how(record: ExperimentRecord) -> str:
    final = record.final or {}
    n_seeds = len(final.get("seeds", ()))
    users = f" of {final['n_test_users']:,} users" if "n_test_users" in final else ""
    return (
        f"RMSE in stars on the sealed test set, {final.get('n_test', 0):,} ratings{users}, "
        f"after training on the whole training part, with {n_seeds} seeds where models "
        "draw random numbers (means over them). Intervals: bootstrap over users "
        f"({final.get('n_resamples', 0):,} resamples), because the ratings of one user "
        "are not independent. They are wide because users differ; models are compared on "
        "the same draws of users, so their differences are known better. p: of no "
        "difference to the lowest RMSE, corrected for all pairs (Holm); it decides who is "
        "tied. Intervals of differences are not corrected, so that one may exclude zero "
        "where p does not."
        + (
            " Cold users and titles have at most 5 training ratings."
            if _speaks_of_cold(record)
            else ""
        )
    )


def _speaks_of_cold(record: ExperimentRecord) -> bool:
    return any(
        " cold " in reasons(record, model["candidate"])
        for model in tuned_models(record)
    )


def _about_bias(record: ExperimentRecord) -> str:
    """Name the families that are not worth their cost."""
    bias = record.baseline()
    lines = []
    for model in tuned_models(record):
        found = compare(record, model, bias)
        if bias is None or found is None or beats_bias_of(record, model["candidate"]):
            continue
        how = (
            f"the difference of {found.size} stars may be chance (p {found.p_text})"
            if found.outcome == "tied"
            else f"it is worse by {found.size} stars (p {found.p_text})"
        )
        lines.append(
            f"- {name_of(record, model)} **does not beat the {escape(bias['name'])} "
            f"baseline**: {how}."
        )
    return "\n".join(lines)


def _about_tuning(record: ExperimentRecord) -> str:
    """Say what tuning is worth for each family."""
    lines = []
    for model in tuned_models(record):
        initial = record.model(model["candidate"], "initial")
        found = compare(record, model, initial)
        if found is None:
            continue
        if initial is not None and _is_part(model["params"], initial["params"]):
            name = name_of(record, model)
            lines.append(f"- {name}: the same, for the search has found none better")
            continue
        if found.low == found.high == 0:
            lines.append(f"- {name_of(record, model)}: the same predictions")
            continue
        verb = {"better": "lower by", "worse": "**higher** by"}.get(
            found.outcome, "indistinguishable, they differ by"
        )
        lines.append(
            f"- {name_of(record, model)}: {verb} {found.size} stars (p {found.p_text})"
        )
    head = "The RMSE of the tuned settings, compared with that of the initial ones:"
    return paragraphs(head, "\n".join(lines)) if lines else ""


def _is_part(params: Mapping[str, Any], initial: Mapping[str, Any]) -> bool:
    """Tell whether settings are the initial ones; these also have what is not active."""
    return initial.items() >= params.items()


def _notes(record: ExperimentRecord) -> str:
    lines = [
        f"- {label(record, candidate)}: {escape(family.note, longest=LONGEST)}"
        for candidate, family in record.spec.families.items()
        if family.note
    ]
    return (
        paragraphs("What the initial settings are:", "\n".join(lines)) if lines else ""
    )
