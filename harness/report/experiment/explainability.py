"""Section: what the models have learnt, in words and titles."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.experiment.measures import BLOCK
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import Model, label, tuned_models
from harness.report.experiment_figures.blocks import draw_blocks, statistics_weight
from harness.report.markdown import escape, table
from harness.search.importance import has_importance

__all__ = ["explainability"]

N_FACTORS = 6
N_TITLES = 3
BLOCKS = tuple(PUBLISHED_WEIGHTS)
STATISTICS = (
    " Statistics (mean rating and popularity of a title, from the ratings of others) is "
    "not of that sum, but relative to it."
)


def explainability(draft: Draft) -> str:
    """Show the strongest latent factors, and the weights of content.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty if no family has either.
    """
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
