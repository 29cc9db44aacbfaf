"""Figures of results: error, costs, residuals, cold start, block weights."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.experiment.decision import decide
from harness.experiment.measures import BLOCK, measured
from harness.experiment.results import BIAS_BASELINE, MEAN_BASELINE, ExperimentRecord
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.formatting import stars
from harness.report.figures.candidates import display_name, looks
from harness.report.figures.style import (
    ACCENT,
    DARK,
    LIGHT,
    MEDIUM,
    Line,
    any_script,
    figure_style,
    label_logarithmic,
    label_right,
    make_panels,
    place_labels,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "FEWEST_PAIRS",
    "draw_blocks",
    "draw_depth",
    "draw_pareto",
    "draw_residuals",
    "draw_rmse",
    "pareto_front",
    "statistics_weight",
]


# Where the three lie in a row: reproduced figures would hide each other.
_PUBLISHED, _INITIAL, _TUNED = -0.24, 0.0, 0.24


def draw_rmse(record: ExperimentRecord, path: Path) -> bool:
    """Draw the test RMSE of every family, the best on top, beside what was published."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    name: str
    latency: float
    rmse: Mapping[str, Any]
    is_winner: bool

    @property
    def place(self) -> tuple[float, float]:
        return self.latency, self.rmse["value"]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other is as good as in both respects, and better in one.

    Examples
    --------
    >>> pareto_front([(1, 5), (2, 6), (3, 2), (3, 4)])
    [0, 2]
    """
    return sorted(
        (
            place
            for place, (x, y) in enumerate(points)
            if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
        ),
        key=lambda place: points[place],
    )


def draw_pareto(record: ExperimentRecord, path: Path) -> bool:
    """Draw the test RMSE of the tuned families against their latency."""
    points = _points(record)
    if len(points) < 2:
        return False
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.add_subplot()
        front = _draw_points(axes, points)
        _set_limits(axes, points)
        axes.set_xlabel("p95 latency of one user's top 10, in ms (log)")
        axes.set_ylabel("RMSE on the test set, in stars")
        figure.legend(loc="outside upper center", ncols=4)
        names = [(point.name, point.place) for point in points]
        with any_script():
            place_labels(axes, names, lines=[*front, *map(_bar, points)])
        save_figure(figure, path)
    return True


def _points(record: ExperimentRecord) -> list[_Point]:
    decision = decide(record)
    names = {c: display_name(record, c, width=22) for c in record.spec.families}
    models = {c: record.model(c) for c in names} | {BIAS_BASELINE: record.baseline()}
    latencies = {c: measured(record, "latency_p95_ms", c) for c in models}
    return [
        _Point(
            name=names.get(candidate, candidate),
            latency=latency,
            rmse=model["metrics"]["rmse"],
            is_winner=decision is not None and candidate == decision.winner,
        )
        for candidate, model in models.items()
        if model is not None and (latency := latencies[candidate])
    ]


def _bar(point: _Point) -> Line:
    low, high = point.rmse["low"], point.rmse["high"]
    return (point.latency, low), (point.latency, high)


def _draw_points(axes: "Axes", points: Sequence[_Point]) -> list[Line]:
    """Draw points, their intervals and the front; return the stairs of the front."""
    places = [point.place for point in points]
    front = pareto_front(places)
    # Up to the next better point the last one is the best for its latency.
    corners = [places[front[0]]]
    for k in front[1:]:
        corners += [(places[k][0], corners[-1][1]), places[k]]
    xs, ys = zip(*corners, strict=True)
    axes.plot(xs, ys, color=MEDIUM, linewidth=1.3, label="Pareto front")
    winner = {k for k, point in enumerate(points) if point.is_winner}
    others = set(range(len(points))) - winner
    for chosen, label, marker, size, face, edge in (
        (others & {*front}, "on the front", "o", 60, DARK, DARK),
        (others - {*front}, "off the front", "o", 60, "white", DARK),
        (winner, "the family chosen", "*", 230, ACCENT, "white"),
    ):
        if chosen:
            axes.scatter(
                [places[k][0] for k in chosen],
                [places[k][1] for k in chosen],
                s=size,
                marker=marker,
                facecolors=face,
                edgecolors=edge,
                linewidths=1.2,
                label=label,
                zorder=4,
            )
    for (x, low), (_, high) in map(_bar, points):
        axes.vlines(x, low, high, color=LIGHT, linewidth=2, zorder=1)
    return list(pairwise(corners))


def _set_limits(axes: "Axes", points: Sequence[_Point]) -> None:
    latencies = [point.latency for point in points]
    # Room for the names, on either side.
    room = max((max(latencies) / min(latencies)) ** 0.18, 1.3)
    axes.set_xlim(min(latencies) / room, max(latencies) * room)
    label_logarithmic(axes)
    axes.margins(y=0.12)
    axes.autoscale_view(scalex=False)


_MANY = 6


def draw_residuals(record: ExperimentRecord, path: Path) -> bool:
    """Draw the errors of the family chosen by star, and its calibration."""
    decision = decide(record)
    model = record.model(decision.winner) if decision else None
    residuals: Mapping[str, Any] = (model or {}).get("residuals") or {}
    if not residuals.get("by_star") or not residuals.get("calibration"):
        return False
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(8, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _draw_by_star(left, residuals["by_star"])
        _draw_calibration(right, residuals["calibration"])
        save_figure(figure, path)
    return True


def _draw_by_star(axes: "Axes", groups: Sequence[Mapping[str, Any]]) -> None:
    places = range(len(groups))
    errors = [g["mean_error"] for g in groups]
    axes.bar(places, errors, color=LIGHT, edgecolor=DARK, width=0.7, label="mean error")
    axes.plot(
        places,
        [g["rmse"] for g in groups],
        color=ACCENT,
        marker="D",
        markersize=5,
        linewidth=1,
        label="RMSE",
    )
    axes.axhline(0, color=DARK, linewidth=0.8)
    total = sum(g["n"] for g in groups)
    names = [f"{g['star']:g}\n{g['n'] / total:.0%}" for g in groups]
    axes.set_xticks(places, names)
    axes.set_xlabel("stars given (below: share of the test ratings)")
    if len(groups) > _MANY:
        axes.tick_params(axis="x", labelsize=8)
    axes.set_ylabel("prediction minus rating, in stars")
    axes.set_title("By star")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="best")


def _draw_calibration(axes: "Axes", groups: Sequence[Mapping[str, Any]]) -> None:
    predicted = [g["predicted"] for g in groups]
    actual = [g["actual"] for g in groups]
    ends = min(predicted + actual), max(predicted + actual)
    room = 0.06 * (ends[1] - ends[0]) or 0.1
    low, high = ends[0] - room, ends[1] + room
    axes.plot(
        (low, high),
        (low, high),
        color=MEDIUM,
        linestyle="--",
        linewidth=1.2,
        label="prediction = rating",
    )
    axes.plot(
        predicted,
        actual,
        color=DARK,
        marker="o",
        markersize=5.5,
        linewidth=1,
        label=f"groups of about {groups[0]['n']:,}",
    )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("mean prediction, in stars")
    axes.set_ylabel("mean rating, in stars")
    axes.set_title("Calibration")
    axes.legend(loc="upper left")


FEWEST_PAIRS = 30
"""Fewer test pairs have no interval worth showing, and nothing is said of them."""

Groups = Sequence[Mapping[str, Any]]

_SIDES = {"users": "user", "items": "title"}
# Share of the distance between two depths that the marks of one take up.
_WIDTH = 0.72


def draw_depth(record: ExperimentRecord, path: Path) -> bool:
    """Draw the RMSE of every tuned family by the training ratings of user and title."""
    scored = {c: m for c in record.spec.families if (m := record.model(c))}
    measured = {c: m["depth"] for c, m in scored.items() if m.get("depth")}
    if not measured:
        return False
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(8, 6.2), layout="constrained")
        panels = figure.subplots(2, 1, sharey=True)
        for side, axes in zip(_SIDES, panels, strict=True):
            _draw_bias(axes, ((record.baseline() or {}).get("depth") or {}).get(side))
            _draw_side(axes, record, {c: depth[side] for c, depth in measured.items()})
            axes.set_title(f"By training ratings of the {_SIDES[side]}")
            axes.set_ylabel("RMSE in stars")
        _limit(panels, [depth[side] for depth in measured.values() for side in _SIDES])
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=min(len(labels), 3)
        )
        save_figure(figure, path)
    return True


def _draw_side(
    axes: "Axes", record: ExperimentRecord, groups: Mapping[str, Groups]
) -> None:
    marks = looks(record)
    shifts = _WIDTH * (np.arange(len(groups)) + 0.5) / len(groups) - _WIDTH / 2
    for (candidate, found), shift in zip(groups.items(), shifts, strict=True):
        value, low, high = _intervals(found)
        look = marks[candidate]
        axes.errorbar(
            np.arange(len(found)) + shift,
            value,
            yerr=[value - low, high - value],
            linestyle="none",
            marker=look.marker,
            markersize=6.5,
            markerfacecolor=look.face,
            markeredgecolor=look.line,
            ecolor=look.line,
            elinewidth=1.3,
            label=display_name(record, candidate, width=34),
            zorder=3,
        )
    depths = next(iter(groups.values()))
    axes.set_xticks(range(len(depths)), [_depth_name(group) for group in depths])
    axes.set_xlim(-0.5, len(depths) - 0.5)
    axes.grid(visible=False, axis="x")
    for border in range(1, len(depths)):
        axes.axvline(border - 0.5, color=LIGHT, linewidth=0.6)


def _limit(panels: Iterable["Axes"], groups: Sequence[Groups]) -> None:
    """Keep all values and all intervals that are drawn in sight, in both panels."""
    drawn = np.concatenate([_intervals(found).ravel() for found in groups])
    if not np.isfinite(drawn).any():
        return
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    margin = max(0.06 * (high - low), 0.01)
    for axes in panels:
        axes.set_ylim(low - margin, high + margin)


def _intervals(groups: Groups) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Take values and the ends of their intervals, of those of pairs enough."""
    value, *ends = (_numbers(groups, key) for key in ("value", "low", "high"))
    enough = np.array([group["n_pairs"] >= FEWEST_PAIRS for group in groups])
    return np.stack([value, *(np.where(enough, end, np.nan) for end in ends)])


def _numbers(groups: Groups, key: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.array([np.nan if g[key] is None else g[key] for g in groups], float)


def _depth_name(group: Mapping[str, Any]) -> str:
    n_pairs = f"{group['n_pairs']:,} pairs" if group["n_pairs"] else "no pairs"
    return f"{group['depth']}\n{n_pairs}"


def _draw_bias(axes: "Axes", groups: Groups | None) -> None:
    if not groups:
        return
    places = np.arange(len(groups))
    axes.hlines(
        _numbers(groups, "value"),
        places - 0.46,
        places + 0.46,
        color=ACCENT,
        linestyle="--",
        linewidth=1.3,
        label=BIAS_BASELINE,
    )


STATISTICS = "statistics,\nbeside these"


def draw_blocks(record: ExperimentRecord, path: Path) -> bool:
    """Draw the weights of the content blocks of every family that has them."""
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
    """Find the weight of the statistics of ratings, which stands beside the four blocks."""
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
