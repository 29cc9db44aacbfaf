"""Figures of results: error, costs, residuals, cold start, block weights."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.evaluation.measures import BLOCK
from harness.evaluation.results import (
    BIAS_BASELINE,
    MEAN_BASELINE,
    SIDES,
    CalibrationGroup,
    DepthError,
    ModelResult,
    Role,
    Side,
    StarGroup,
)
from harness.evaluation.statistics import Estimate
from harness.experiment.measured import measured
from harness.experiment.results import ExperimentRecord
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.formatting import percent
from harness.plain import Params
from harness.report.context import in_unit, level, objective, unit
from harness.report.figures.candidates import display_name, marks_of
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
    share_legend,
)
from harness.search.pareto import is_on_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "FEWEST_PAIRS",
    "draw_blocks",
    "draw_depth",
    "draw_pareto",
    "draw_residuals",
    "draw_scores",
    "effective_weights",
    "pareto_front",
    "star_names",
    "statistics_weight",
]


# Where the three lie in a row: reproduced figures would hide each other.
_PUBLISHED, _INITIAL, _TUNED = -0.24, 0.0, 0.24


def draw_scores(record: ExperimentRecord, path: Path) -> bool:
    """Draw the objective of every family, the best on top, beside what was published."""
    decision = record.decision
    if decision is None:
        return False
    from matplotlib.figure import Figure

    tuned = {c: m for c in record.spec.families if (m := record.model(c))}
    ranked = sorted(tuned, key=lambda c: record.loss_of(tuned[c]))
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
        chosen = "" if record.is_study else " (bold: the family chosen)"
        axes.set_xlabel(f"{_axis(record)}{chosen}")
        figure.legend(loc="outside upper center", ncols=3)
        save_figure(figure, path)
    return True


def _axis(record: ExperimentRecord) -> str:
    inside = in_unit(record)
    return f"{objective(record).label} on the test set{',' if inside else ''}{inside}"


def _draw_baselines(axes: "Axes", record: ExperimentRecord) -> None:
    low, high = axes.get_xlim()
    for model in record.models:
        if model.role != "baseline":
            continue
        value = model.measures[record.metric.name].value
        label = f"{model.name} ({objective(record).format(value)})"
        style = ":" if model.name == MEAN_BASELINE else "--"
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
        if claim.metric == record.metric.name
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
    roles: tuple[tuple[Role, float, str, str], ...] = (
        ("initial", _INITIAL, "white", MEDIUM),
        ("tuned", _TUNED, DARK, DARK),
    )
    for role, offset, face, color in roles:
        models = {row: record.model(c, role) for row, c in enumerate(ranked)}
        found = {
            row: model.measures[record.metric.name]
            for row, model in models.items()
            if model
        }
        if not found:
            continue
        axes.errorbar(
            [e.value for e in found.values()],
            [row + offset for row in found],
            xerr=[
                [e.value - e.low for e in found.values()],
                [e.high - e.value for e in found.values()],
            ],
            linestyle="none",
            marker="o",
            markersize=6.5,
            markerfacecolor=face,
            color=color,
            elinewidth=1.6,
            capsize=3,
            label=f"{role}, with 95 % interval",
            zorder=4,
        )
    for row in range(1, len(ranked)):
        axes.axhline(row - 0.5, color=LIGHT, linewidth=0.6)


def _write_values(
    axes: "Axes", record: ExperimentRecord, ranked: Sequence[str]
) -> None:
    models = [record.model(c) for c in ranked]
    values = [level(record, m) if m else "-" for m in models]
    places = [row + _TUNED for row in range(len(ranked))]
    label_right(axes, places, values, head="tuned")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    name: str
    latency: float
    score: Estimate
    # 1 where less is better, else -1.
    sign: float
    is_winner: bool

    @property
    def place(self) -> tuple[float, float]:
        return self.latency, self.score.value


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other is as good as in both respects, and better in one.

    Examples
    --------
    >>> pareto_front([(1, 5), (2, 6), (3, 2), (3, 4)])
    [0, 2]
    """
    on_front = [place for place, is_on in enumerate(is_on_front(points)) if is_on]
    return sorted(on_front, key=lambda place: points[place])


def draw_pareto(record: ExperimentRecord, path: Path) -> bool:
    """Draw the objective of the tuned families against their latency."""
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
        axes.set_ylabel(_axis(record))
        figure.legend(loc="outside upper center", ncols=4)
        names = [(point.name, point.place) for point in points]
        with any_script():
            place_labels(axes, names, lines=[*front, *map(_bar, points)])
        save_figure(figure, path)
    return True


def _points(record: ExperimentRecord) -> list[_Point]:
    decision = record.decision
    names = {c: display_name(record, c, width=22) for c in record.spec.families}
    models = {c: record.model(c) for c in names} | {BIAS_BASELINE: record.baseline()}
    latencies = {c: measured(record, "latency_p95_ms", c) for c in models}
    return [
        _Point(
            name=names.get(candidate, candidate),
            latency=latency,
            score=model.measures[record.metric.name],
            sign=record.metric.sign,
            is_winner=decision is not None and candidate == decision.winner,
        )
        for candidate, model in models.items()
        if model is not None and (latency := latencies[candidate])
    ]


def _bar(point: _Point) -> Line:
    low, high = point.score.low, point.score.high
    return (point.latency, low), (point.latency, high)


def _draw_points(axes: "Axes", points: Sequence[_Point]) -> list[Line]:
    """Draw points, their intervals and the front; return the stairs of the front."""
    places = [point.place for point in points]
    front = pareto_front([(x, points[0].sign * y) for x, y in places])
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
    """Draw the errors of the family chosen by the rating given, and its calibration."""
    decision = record.decision
    model = record.model(decision.winner) if decision else None
    if model is None:
        return False
    residuals = model.residuals
    if not residuals.by_star or not residuals.calibration:
        return False
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(8, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _draw_by_star(left, residuals.by_star, unit(record))
        _draw_calibration(right, residuals.calibration, unit(record))
        save_figure(figure, path)
    return True


def star_names(groups: Sequence[StarGroup]) -> list[str]:
    """Name ratings, or the middles of ranges of them, with the digits that tell them apart.

    Examples
    --------
    >>> def groups(*values):
    ...     return [StarGroup(star=v, n=1, mean_error=0, rmse=1) for v in values]
    >>> star_names(groups(0.5, 1, 5)), star_names(groups(587.795, 1234.56))
    (['0.5', '1', '5'], ['588', '1,235'])
    """
    values = [group.star for group in groups]
    gaps = [high - low for low, high in pairwise(values)]
    smallest = min(gaps, default=1.0)
    digits = 0 if smallest >= 5 else 2 if smallest >= 0.05 else 4
    return [_short(value, digits) for value in values]


def _short(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _draw_by_star(axes: "Axes", groups: Sequence[StarGroup], unit: str) -> None:
    places = range(len(groups))
    errors = [g.mean_error for g in groups]
    axes.bar(places, errors, color=LIGHT, edgecolor=DARK, width=0.7, label="mean error")
    axes.plot(
        places,
        [g.rmse for g in groups],
        color=ACCENT,
        marker="D",
        markersize=5,
        linewidth=1,
        label="RMSE",
    )
    axes.axhline(0, color=DARK, linewidth=0.8)
    total = sum(g.n for g in groups)
    names = [
        f"{name}\n{percent(g.n / total)}"
        for name, g in zip(star_names(groups), groups, strict=True)
    ]
    many = len(groups) > _MANY
    axes.set_xticks(places, names, fontsize=7 if many else 9.5)
    axes.set_xlabel("rating given (below: share of the test ratings)")
    axes.set_ylabel(f"prediction minus rating, in {unit}")
    axes.set_title("By rating")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="best")


def _draw_calibration(
    axes: "Axes", groups: Sequence[CalibrationGroup], unit: str
) -> None:
    predicted = [g.predicted for g in groups]
    actual = [g.actual for g in groups]
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
        label=_group_sizes(groups),
    )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel(f"mean prediction, in {unit}")
    axes.set_ylabel(f"mean rating, in {unit}")
    axes.set_title("Calibration")
    axes.legend(loc="upper left")


def _group_sizes(groups: Sequence[CalibrationGroup]) -> str:
    """Say how many ratings a group has: ties can make one far larger than the others."""
    low, high = min(g.n for g in groups), max(g.n for g in groups)
    if high <= 1.1 * low:
        return f"groups of about {low:,}"
    return f"groups of {low:,} to {high:,}"


FEWEST_PAIRS = 30
"""Fewer test pairs have no interval worth showing, and nothing is said of them."""

Groups = Sequence[DepthError]

# Share of the distance between two depths that the marks of one take up.
_WIDTH = 0.72


def draw_depth(record: ExperimentRecord, path: Path) -> bool:
    """Draw the RMSE of every tuned family by the training ratings of user and title.

    Depths without test pairs are left out, and sides with one depth only: all test pairs
    are of it, and its RMSE is the one that stands everywhere else.
    """
    models = {c: m for c in record.spec.families if (m := record.model(c)) and m.depth}
    sides = [side for side in SIDES if _n_depths(models.values(), side) > 1]
    if not sides:
        return False
    from matplotlib.figure import Figure

    bias = record.baseline()
    drawn = {
        side: {c: _with_pairs(m, side) for c, m in models.items()} for side in sides
    }
    with figure_style():
        figure = Figure(figsize=(8, 0.8 + 2.7 * len(sides)), layout="constrained")
        panels = figure.subplots(len(sides), 1, sharey=True, squeeze=False)[:, 0]
        for side, axes in zip(sides, panels, strict=True):
            _draw_bias(axes, [] if bias is None else _with_pairs(bias, side))
            _draw_side(axes, record, drawn[side])
            axes.set_title(f"By training ratings of the {SIDES[side]}")
            axes.set_ylabel(f"RMSE in {unit(record)}")
        _limit(panels, [groups for side in sides for groups in drawn[side].values()])
        share_legend(figure, n_columns=3)
        save_figure(figure, path)
    return True


def _n_depths(models: Iterable[ModelResult], side: Side) -> int:
    return max((len(_with_pairs(model, side)) for model in models), default=0)


def _with_pairs(model: ModelResult, side: Side) -> Groups:
    return [group for group in model.depth.get(side, ()) if group.n_pairs]


def _draw_side(
    axes: "Axes", record: ExperimentRecord, groups: Mapping[str, Groups]
) -> None:
    marks = marks_of(record)
    shifts = _WIDTH * (np.arange(len(groups)) + 0.5) / len(groups) - _WIDTH / 2
    for (candidate, found), shift in zip(groups.items(), shifts, strict=True):
        value, low, high = _intervals(found)
        mark = marks[candidate]
        axes.errorbar(
            np.arange(len(found)) + shift,
            value,
            yerr=[value - low, high - value],
            linestyle="none",
            marker=mark.marker,
            markersize=6.5,
            markerfacecolor=mark.face,
            markeredgecolor=mark.line,
            ecolor=mark.line,
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
    ends = [
        (e.value, e.low, e.high) if (e := group.rmse) is not None else (np.nan,) * 3
        for group in groups
    ]
    value, low, high = np.array(ends, dtype=np.float64).reshape(-1, 3).T
    enough = np.array([group.n_pairs >= FEWEST_PAIRS for group in groups])
    return np.stack(
        [value, np.where(enough, low, np.nan), np.where(enough, high, np.nan)]
    )


def _depth_name(group: DepthError) -> str:
    return f"{group.depth}\n{group.n_pairs:,} pair{'' if group.n_pairs == 1 else 's'}"


def _draw_bias(axes: "Axes", groups: Groups) -> None:
    if not groups:
        return
    places = np.arange(len(groups))
    axes.hlines(
        _intervals(groups)[0],
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
    tuned = {c: _shares(record, c) for c in record.spec.families}
    tuned = {candidate: weights for candidate, weights in tuned.items() if weights}
    if not tuned:
        return False
    with figure_style():
        figure, panels = make_panels([2.5] * len(tuned), n_columns=2)
        for axes, (candidate, weights) in zip(panels, tuned.items(), strict=True):
            published = _published(record, candidate)
            shown = {"published": published} if published else {}
            _draw_weights(axes, {**shown, "tuned": weights})
            axes.set_title(display_name(record, candidate, width=34), fontsize=10)
            axes.set_xlabel("share of the weight")
        share_legend(figure, n_columns=3)
        save_figure(figure, path)
    return True


def statistics_weight(params: Params) -> float:
    """Find the weight of the statistics of ratings, which stands beside the four blocks."""
    if params.get("predictor") == "regression":
        return 0.0
    return float(params.get("statistics_weight") or 0.0)


def effective_weights(params: Params, blocks_off: Sequence[str]) -> dict[str, float]:
    """Share the weight among the blocks that have something to work on.

    Examples
    --------
    >>> weights = {"metadata_weight": 1.0, "genre_weight": 1.0, "text_weight": 2.0}
    >>> effective_weights(weights | {"people_weight": 4.0}, ["people"])
    {'metadata': 0.25, 'genre': 0.25, 'text': 0.5}
    """
    weights = {b: w for b, w in block_weights(params).items() if b not in blocks_off}
    total = sum(weights.values())
    return {block: w / total for block, w in weights.items()} if total else {}


def _shares(record: ExperimentRecord, candidate: str) -> dict[str, float]:
    model, study = record.model(candidate), record.studies.get(candidate)
    best = None if study is None else study.best
    params = model.params if model else best.params if best else {}
    weights = effective_weights(params, model.blocks_off if model else ())
    beside = statistics_weight(params)
    return weights | ({STATISTICS: beside} if weights and beside else {})


def _published(record: ExperimentRecord, candidate: str) -> Mapping[str, float]:
    """Take the weights that the file claims, if it claims all of them."""
    claimed = {
        claim.metric.removeprefix(BLOCK): float(claim.value)
        for claim in record.spec.claims
        if claim.candidate == candidate
        and claim.metric.startswith(BLOCK)
        and not isinstance(claim.value, str)
    }
    return claimed if claimed.keys() == PUBLISHED_WEIGHTS.keys() else {}


def _draw_weights(axes: "Axes", weights: Mapping[str, Mapping[str, float]]) -> None:
    names = list(weights["tuned"])
    styles = {"published": (-0.2, LIGHT), "tuned": (0.2, DARK)}
    if len(weights) == 1:
        styles = {"tuned": (0.0, DARK)}
    for label, shares in weights.items():
        shift, color = styles[label]
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
        axes.bar_label(bars, [percent(v) for v in values], padding=3, fontsize=8.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    most = max(max(shares.values()) for shares in weights.values())
    axes.set_xlim(0, 1.12 * most)
    axes.xaxis.set_major_formatter(lambda share, _: percent(share))
