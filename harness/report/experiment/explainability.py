"""Section: what the models have learnt, in words and titles."""

from collections.abc import Mapping
from typing import Any

from harness.experiment.measures import BLOCK
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import label, tuned_models
from harness.report.experiment_figures.blocks import draw_blocks
from harness.report.markdown import escape, table

__all__ = ["explainability"]

N_FACTORS = 6
N_TITLES = 3
BLOCKS = tuple(PUBLISHED_WEIGHTS)


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
    found = {
        model["candidate"]: weights
        for model in tuned_models(draft.record)
        if (weights := block_weights(model["params"]))
    }
    if not found:
        return ""
    rows = [["published study", *(_published_weight(draft, b, found) for b in BLOCKS)]]
    rows += [
        [f"{label(draft.record, c)}, tuned", *(f"{weights[b]:.2f}" for b in BLOCKS)]
        for c, weights in found.items()
    ]
    return paragraphs(
        "### Weights of the content blocks",
        draft.figure(
            draw_blocks, "blocks.png", "Weights of the content blocks, each family"
        ),
        table(["", *BLOCKS], rows, align="lrrrr"),
        "Normalised to a sum of 1. Tuned weights are those of the best trial; where the "
        "search found that they hardly matter (see importance), they are little more than "
        "where it happened to be.",
    )


def _published_weight(draft: Draft, block: str, candidates: Mapping[str, Any]) -> str:
    metric = f"{BLOCK}{block}"
    for candidate in candidates:
        value = draft.published(metric, candidate)
        if isinstance(value, float | int):
            return f"{value:.2f}"
    return f"{PUBLISHED_WEIGHTS[block]:.2f}"
