"""Section: what a change of the initial settings is worth, measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.experiment.measured import measured
from harness.experiment.spec import Variant
from harness.report.comparison import Comparison
from harness.report.digits import setting, stars
from harness.report.experiment.differences import published_rmse
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import compare, label
from harness.report.markdown import code, escape, table

__all__ = ["variants"]


@dataclass(frozen=True, slots=True)
class _Scored:
    """A variant, its model, that of the initial settings, and how they differ."""

    variant: Variant
    model: Mapping[str, Any]
    initial: Mapping[str, Any]
    difference: Comparison


def variants(draft: Draft) -> str:
    """Compare each variant with the initial settings of its candidate.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty without variants, or before the test set was opened.
    """
    found = _scored(draft)
    if not found:
        return ""
    head = ["variant", "of", "changed", "RMSE, initial", "RMSE, variant"]
    head += ["difference in stars", "p (Holm)"]
    lines = [_worth(each) + _share_of_gap(draft, each) for each in found]
    return paragraphs(
        table(head, [_row(draft, each) for each in found], align="lllrrrr"),
        "\n".join(f"- {line}" for line in lines),
    )


def _scored(draft: Draft) -> list[_Scored]:
    record = draft.record
    models = {m["name"]: m for m in record.models if m["role"] == "variant"}
    found = []
    for variant in record.spec.variants:
        model = models.get(variant.name)
        initial = record.model(variant.candidate, "initial")
        difference = compare(record, model, initial)
        if model is not None and initial is not None and difference is not None:
            found.append(_Scored(variant, model, initial, difference))
    return found


def _row(draft: Draft, scored: _Scored) -> list[str]:
    changes = (f"{k} = {setting(v)}" for k, v in scored.variant.params.items())
    found = scored.difference
    return [
        escape(scored.variant.name),
        label(draft.record, scored.variant.candidate),
        code(", ".join(changes)),
        stars(scored.initial["metrics"]["rmse"]["value"]),
        stars(scored.model["metrics"]["rmse"]["value"]),
        f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]",
        found.p_text.removeprefix("= "),
    ]


def _worth(scored: _Scored) -> str:
    found = scored.difference
    about = (
        f"{escape(scored.variant.name)} shows what {escape(scored.variant.shows)} does"
    )
    if found.outcome == "tied":
        return f"{about}: {found.size} stars, which may be chance (p {found.p_text})."
    verb = "lowers" if found.outcome == "better" else "raises"
    return f"{about}: it {verb} the RMSE by {found.size} stars (p {found.p_text})."


def _share_of_gap(draft: Draft, scored: _Scored) -> str:
    """Hold the gain against the gap to the family with the lowest published RMSE."""
    record, candidate = draft.record, scored.variant.candidate
    published = published_rmse(draft)
    if scored.difference.outcome != "better" or candidate not in published:
        return ""
    best = next(iter(published))
    level = measured(record, "rmse", best, "initial")
    if best == candidate or level is None:
        return ""
    gap = scored.initial["metrics"]["rmse"]["value"] - level
    if gap <= 0:
        return ""
    share = -scored.difference.value / gap
    # As it is printed: 99.8 % are not "most of it (100 %)".
    share = round(share, 2)
    most = "all" if share >= 1 else "most" if share >= 0.5 else "less than half"
    return (
        f" The published gap between {label(record, candidate)} ({published[candidate]:g}) "
        f"and {label(record, best)} ({published[best]:g}) is "
        f"{published[candidate] - published[best]:.4f} stars, that between their initial "
        f"settings here {stars(gap)}: this one change closes {most} of it "
        f"({share:.0%}).".replace("%", " %")
    )
