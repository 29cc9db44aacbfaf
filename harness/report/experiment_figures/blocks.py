"""Weights of the content blocks: published and tuned."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.experiment.measures import BLOCK
from harness.experiment.record import ExperimentRecord
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.report.experiment_figures.looks import display_name
from harness.report.experiment_figures.panels import make_panels
from harness.report.style import DARK, LIGHT, figure_style, save_figure

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_blocks", "statistics_weight"]

STATISTICS = "statistics,\nbeside these"


def draw_blocks(record: ExperimentRecord, path: Path) -> bool:
    """Draw the weights of the content blocks of every family that has them.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    path : Path
        PNG to write.

    Returns
    -------
    bool
        False, and no file, if no tuned family has content blocks.
    """
    tuned = {c: _shares(_tuned(record, c)) for c in record.spec.families}
    tuned = {candidate: weights for candidate, weights in tuned.items() if weights}
    if not tuned:
        return False
    with figure_style():
        figure, panels = make_panels([2.5] * len(tuned), n_columns=2)
        for axes, (candidate, weights) in zip(panels, tuned.items(), strict=True):
            published, whose = _published(record, candidate)
            _draw_weights(axes, {whose: published, "tuned": weights})
            axes.set_title(display_name(record, candidate, width=34), fontsize=10)
            axes.set_xlabel("share of the weight")
        found = [axes.get_legend_handles_labels() for axes in panels]
        unique = {
            label: bars for each in found for bars, label in zip(*each, strict=True)
        }
        figure.legend(
            unique.values(), unique.keys(), loc="outside upper center", ncols=3
        )
        save_figure(figure, path)
    return True


def statistics_weight(params: Mapping[str, Any]) -> float:
    """Find the weight of the statistics of ratings, which stands beside the four blocks.

    Parameters
    ----------
    params : mapping
        Hyperparameters of a family with content blocks.

    Returns
    -------
    float
        Relative to the sum of the four; 0 where they are off, as in the plain regression.
    """
    if params.get("predictor") == "regression":
        return 0.0
    return float(params.get("statistics_weight") or 0.0)


def _shares(params: Mapping[str, Any]) -> dict[str, float]:
    weights, beside = block_weights(params), statistics_weight(params)
    return weights | ({STATISTICS: beside} if weights and beside else {})


def _tuned(record: ExperimentRecord, candidate: str) -> Mapping[str, Any]:
    model, study = record.model(candidate), record.studies.get(candidate)
    if model is None:
        return study.best.params if study is not None and study.best is not None else {}
    params: Mapping[str, Any] = model["params"]
    return params


def _published(
    record: ExperimentRecord, candidate: str
) -> tuple[Mapping[str, float], str]:
    """Take the weights that the file claims, else those the blocks are known by."""
    claimed = {
        claim.metric.removeprefix(BLOCK): float(claim.value)
        for claim in record.spec.claims
        if claim.candidate == candidate
        and claim.metric.startswith(BLOCK)
        and not isinstance(claim.value, str)
    }
    if claimed.keys() == PUBLISHED_WEIGHTS.keys():
        return claimed, "published"
    return PUBLISHED_WEIGHTS, "published study, the defaults"


def _draw_weights(axes: "Axes", weights: Mapping[str, Mapping[str, float]]) -> None:
    names = list(weights["tuned"])
    for (label, shares), shift, color in zip(
        weights.items(), (-0.2, 0.2), (LIGHT, DARK), strict=True
    ):
        known = [name for name in names if name in shares]
        places = [names.index(name) + shift for name in known]
        values = [shares[name] for name in known]
        bars = axes.barh(
            places,
            values,
            height=0.38,
            color=color,
            edgecolor=DARK,
            linewidth=0.6,
            label=label,
        )
        axes.bar_label(bars, [f"{v:.0%}" for v in values], padding=3, fontsize=8.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    most = max(max(shares.values()) for shares in weights.values())
    axes.set_xlim(0, 1.12 * most)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
