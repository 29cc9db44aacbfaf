"""Weights of the content blocks: published and tuned."""

from collections.abc import Mapping, Sequence
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

__all__ = ["draw_blocks"]


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
    tuned = {c: block_weights(_tuned(record, c)) for c in record.spec.families}
    tuned = {candidate: weights for candidate, weights in tuned.items() if weights}
    if not tuned:
        return False
    with figure_style():
        figure, panels = make_panels([2.5] * len(tuned), n_columns=2)
        for axes, (candidate, weights) in zip(panels, tuned.items(), strict=True):
            published = _published(record, candidate)
            _draw_weights(axes, [published, weights])
            axes.set_title(display_name(record, candidate, width=34), fontsize=10)
            axes.set_xlabel("share of the weight")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
        save_figure(figure, path)
    return True


def _tuned(record: ExperimentRecord, candidate: str) -> Mapping[str, Any]:
    model, study = record.model(candidate), record.studies.get(candidate)
    if model is None:
        return study.best.params if study is not None and study.best is not None else {}
    params: Mapping[str, Any] = model["params"]
    return params


def _published(record: ExperimentRecord, candidate: str) -> Mapping[str, float]:
    """Take the weights that the file claims, else those the blocks are known by."""
    claimed = {
        claim.metric.removeprefix(BLOCK): float(claim.value)
        for claim in record.spec.claims
        if claim.candidate == candidate
        and claim.metric.startswith(BLOCK)
        and not isinstance(claim.value, str)
    }
    return claimed if claimed.keys() == PUBLISHED_WEIGHTS.keys() else PUBLISHED_WEIGHTS


def _draw_weights(axes: "Axes", weights: Sequence[Mapping[str, float]]) -> None:
    for shares, shift, color, label in zip(
        weights, (-0.2, 0.2), (LIGHT, DARK), ("published", "tuned"), strict=True
    ):
        places = [place + shift for place in range(len(shares))]
        bars = axes.barh(
            places,
            list(shares.values()),
            height=0.38,
            color=color,
            edgecolor=DARK,
            linewidth=0.6,
            label=label,
        )
        labels = [f"{share:.0%}" for share in shares.values()]
        axes.bar_label(bars, labels, padding=3, fontsize=8.5)
    axes.set_yticks(range(len(PUBLISHED_WEIGHTS)), list(PUBLISHED_WEIGHTS))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.12 * max(max(shares.values()) for shares in weights))
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
