"""The comparison in one picture: published, initial and tuned RMSE of each family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.experiment.decision import decide
from harness.experiment.record import MEAN_BASELINE, ExperimentRecord
from harness.report.digits import stars
from harness.report.experiment_figures.looks import display_name
from harness.report.experiment_figures.right_labels import label_right
from harness.report.style import ACCENT, DARK, LIGHT, MEDIUM, figure_style, save_figure

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_rmse"]

# Where the three lie in a row: reproduced figures would hide each other.
_PUBLISHED, _INITIAL, _TUNED = -0.24, 0.0, 0.24


def draw_rmse(record: ExperimentRecord, path: Path) -> bool:
    """Draw the test RMSE of every family, the best on top, beside what was published.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    path : Path
        PNG to write.

    Returns
    -------
    bool
        False, and no file, before the test set was opened.
    """
    decision = decide(record)
    if decision is None:
        return False
    from matplotlib.figure import Figure

    ranked = sorted(
        (c for c in record.spec.families if record.model(c)),
        key=lambda c: _estimate(record, c, "tuned")["value"],
    )
    with figure_style():
        size = (8, 1.5 + 0.62 * len(ranked))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        _draw_published(axes, record, ranked)
        _draw_measured(axes, record, ranked)
        _draw_baselines(axes, record)
        names = [display_name(record, c) for c in ranked]
        axes.set_yticks(range(len(ranked)), names)
        axes.get_yticklabels()[ranked.index(decision.winner)].set_fontweight("bold")
        _write_values(axes, record, ranked)
        axes.set_ylim(len(ranked) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("RMSE on the test set, in stars (bold: the family chosen)")
        figure.legend(loc="outside upper center", ncols=3)
        save_figure(figure, path)
    return True


def _estimate(record: ExperimentRecord, candidate: str, role: str) -> Mapping[str, Any]:
    model = record.model(candidate, role)
    return model["metrics"]["rmse"] if model else {}


def _draw_baselines(axes: "Axes", record: ExperimentRecord) -> None:
    low, high = axes.get_xlim()
    for model in record.models:
        if model["role"] != "baseline":
            continue
        value = model["metrics"]["rmse"]["value"]
        label = f"{model['name']} ({stars(value)})"
        style = ":" if model["name"] == MEAN_BASELINE else "--"
        if low - (high - low) <= value <= high + (high - low):
            axes.axvline(value, color=MEDIUM, linestyle=style, label=label)
        else:
            # It would press all families together in a corner.
            label += ",\nbeyond the figure"
            axes.plot([], [], color=MEDIUM, linestyle=style, label=label)


def _draw_published(
    axes: "Axes", record: ExperimentRecord, ranked: Sequence[str]
) -> None:
    places = [
        (claim.value, ranked.index(claim.candidate) + _PUBLISHED)
        for claim in record.spec.claims
        if claim.metric == "rmse"
        and claim.candidate in ranked
        and not isinstance(claim.value, str)
    ]
    if places:
        axes.scatter(
            [value for value, _ in places],
            [row for _, row in places],
            marker="D",
            s=44,
            facecolors="white",
            edgecolors=ACCENT,
            linewidths=1.5,
            label="published",
            zorder=3,
        )


def _draw_measured(
    axes: "Axes", record: ExperimentRecord, ranked: Sequence[str]
) -> None:
    confidence = record.final["confidence"] if record.final else 0
    for role, offset, face, color in (
        ("initial", _INITIAL, "white", MEDIUM),
        ("tuned", _TUNED, DARK, DARK),
    ):
        rows = [row for row, c in enumerate(ranked) if record.model(c, role)]
        found = [_estimate(record, ranked[row], role) for row in rows]
        if not rows:
            continue
        axes.errorbar(
            [e["value"] for e in found],
            [row + offset for row in rows],
            xerr=[
                [e["value"] - e["low"] for e in found],
                [e["high"] - e["value"] for e in found],
            ],
            linestyle="none",
            marker="o",
            markersize=6.5,
            markerfacecolor=face,
            color=color,
            elinewidth=1.6,
            capsize=3,
            label=f"{role}, with {confidence:.0%} interval",
            zorder=4,
        )
    for row in range(1, len(ranked)):
        axes.axhline(row - 0.5, color=LIGHT, linewidth=0.6)


def _write_values(
    axes: "Axes", record: ExperimentRecord, ranked: Sequence[str]
) -> None:
    values = [stars(_estimate(record, c, "tuned")["value"]) for c in ranked]
    places = [row + _TUNED for row in range(len(ranked))]
    label_right(axes, places, values, head="tuned")
