"""Figures of a data set."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data import habits
from harness.data.dataset import Dataset
from harness.experiment.measured import DATA, measure_named
from harness.experiment.results import ExperimentRecord
from harness.report.figures.candidates import wrap
from harness.report.figures.style import (
    ACCENT,
    DARK,
    LIGHT,
    MEDIUM,
    figure_style,
    label_logarithmic,
    label_right,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DATA_FIGURES", "DataFigure", "draw_characteristics", "draw_data_figures"]


N_GENRES_SHOWN = 20
MOST_TICKS = 15
MOST_BARS = 100
N_BINS = 40
LONGEST_LABEL = 28
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class DataFigure:
    """A figure: its file's name, what it shows, and how; None where there is no data."""

    name: str
    caption: str
    draw: "Callable[[Dataset], Figure | None]"


def draw_data_figures(dataset: Dataset) -> "dict[DataFigure, Figure]":
    """Draw all the figures for which there is data."""
    with figure_style():
        drawn = {figure: figure.draw(dataset) for figure in DATA_FIGURES}
    return {figure: done for figure, done in drawn.items() if done is not None}


def _panels(n_panels: int, height: float = 3.2) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, height), layout="constrained")
    axes = figure.subplots(1, n_panels, squeeze=False)
    return figure, list(axes[0])


def _thousands(axes: "Axes", *, axis: str = "y") -> None:
    """Write 20,000 rather than 20000, and no fractions of things that are counted."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    scale = axes.yaxis if axis == "y" else axes.xaxis
    scale.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _rating_distribution(dataset: Dataset) -> "Figure":
    figure, (axes,) = _panels(1)
    values, counts = np.unique(dataset.ratings.values, return_counts=True)
    mean = dataset.ratings.mean
    if len(values) > MOST_BARS:  # as bars they would be thinner than a pixel
        axes.hist(dataset.ratings.values, bins=N_BINS, color=LIGHT, edgecolor="white")
    elif len(values) > 1:
        axes.bar(values, counts, width=0.8 * np.diff(values).min(), color=LIGHT)
    else:
        axes.bar(values, counts, color=LIGHT)
    axes.axvline(mean, color=ACCENT, linestyle="--", linewidth=1.6)
    digits = max(2, 2 - math.floor(math.log10(max(float(np.ptp(values)), 1e-9))))
    # Adding 0 turns -0.0 into 0.0.
    shown = f"{round(mean, digits) + 0.0:,.{digits}f}"
    axes.set_title(f"{len(dataset.ratings):,} ratings, dashed: mean {shown}")
    axes.set(xlabel="rating", ylabel="ratings")
    if len(values) <= MOST_TICKS:
        axes.set_xticks(values, [f"{v:g}" for v in values])
    axes.grid(visible=False, axis="x")
    _thousands(axes)
    return figure


def _long_tail(dataset: Dataset) -> "Figure":
    figure, panels = _panels(2)
    ratings = dataset.ratings
    for axes, codes, what in zip(
        panels, (ratings.users, ratings.items), ("user", "title"), strict=True
    ):
        counts = np.bincount(codes)
        _draw_counts(axes, counts[counts > 0], what)
    panels[0].set_ylabel("users")
    panels[1].set_ylabel("titles")
    return figure


def _draw_counts(axes: "Axes", counts: npt.NDArray[np.int64], what: str) -> None:
    # Edges at halves: each bin holds whole numbers, and none of them lies on an edge.
    span = np.geomspace(counts.min(), counts.max() + 1, 22)
    edges = np.unique(np.round(span)) - 0.5
    axes.hist(
        counts, bins=edges.tolist(), color=LIGHT, edgecolor="white", linewidth=0.5
    )
    median = float(np.median(counts))
    axes.axvline(median, color=ACCENT, linestyle="--", linewidth=1.6)
    axes.set_xlim(edges[0], edges[-1])
    label_logarithmic(axes)
    axes.set_xlabel(f"ratings per {what} (log)")
    axes.set_title(f"Per {what}, dashed: median {median:,g}")
    _thousands(axes)


def _activity(dataset: Dataset) -> "Figure | None":
    ratings = dataset.ratings
    if ratings.timestamps is None:
        return None
    hours = habits.hour_counts(ratings)
    figure, panels = _panels(1 if hours is None else 2)
    days = habits.weekday_counts(ratings)
    colors = [MEDIUM] * 5 + [DARK] * 2
    panels[-1].bar(WEEKDAYS, days, color=colors, width=0.8)
    panels[-1].set_title("By day, dark: weekend")
    if hours is not None:
        peak = habits.peak_hours(hours)
        start = int(peak[:2])
        dark = {(start + k) % 24 for k in range(habits.PEAK_LENGTH)}
        colors = [DARK if h in dark else MEDIUM for h in range(24)]
        panels[0].bar(range(24), hours, color=colors, width=0.8)
        panels[0].set_title(f"By hour, dark: {peak}")
        panels[0].set_xlabel("hour of the day (UTC)")
        panels[0].set_xticks(range(0, 24, 3))
    for axes in panels:
        axes.set_ylabel("ratings")
        axes.grid(visible=False, axis="x")
        _thousands(axes)
    return figure


def _titles_by_year(dataset: Dataset) -> "Figure | None":
    if not dataset.catalogue.has("release_year"):
        return None
    years = dataset.catalogue.frame["release_year"].dropna().to_numpy().astype(int)
    figure, (axes,) = _panels(1)
    span = np.arange(years.min(), years.max() + 1)
    axes.bar(span, np.bincount(years - span[0]), width=0.85, color=MEDIUM)
    axes.set_title(f"{len(years):,} titles with a year")
    axes.set(xlabel="year of release", ylabel="titles")
    axes.grid(visible=False, axis="x")
    _thousands(axes)
    if len(span) <= MOST_TICKS:
        axes.set_xticks(span)
    return figure


def _titles_by_genre(dataset: Dataset) -> "Figure | None":
    if not dataset.catalogue.has("listed_in"):
        return None
    genres, has = habits.genre_table(dataset.catalogue.frame["listed_in"])
    counts = has.sum(axis=0)
    given = has[dataset.ratings.items].sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:N_GENRES_SHOWN][::-1]
    figure, panels = _panels(2, height=1.2 + 0.24 * len(order))
    labels = [_shorten(genres[k]) for k in order]
    for axes, numbers, what in zip(
        panels, (counts, given), ("titles", "ratings"), strict=True
    ):
        axes.barh(range(len(order)), numbers[order], color=MEDIUM, height=0.75)
        axes.set_yticks(range(len(order)), labels)
        axes.set_xlabel(what)
        axes.grid(visible=False, axis="y")
        _thousands(axes, axis="x")
    panels[1].tick_params(left=False, labelleft=False)
    more = len(genres) - len(order)
    panels[0].set_title(
        f"The {len(order)} commonest of {len(genres)} genres" if more else "Genres"
    )
    return figure


def _titles_by_platform(dataset: Dataset) -> "Figure | None":
    catalogue = dataset.catalogue
    known = {c: catalogue.has(c) for c in ("source", "type")}
    if not any(known.values()):
        return None
    sources, types = (
        catalogue.frame[column].fillna("unknown") if has else "titles"
        for column, has in known.items()
    )
    if not known["source"]:
        sources, types = types, sources
    import pandas as pd

    index = catalogue.frame.index
    table = pd.crosstab(pd.Series(sources, index), pd.Series(types, index))
    if table.size == 1:  # one bar says nothing
        return None
    return _stacked_bars(table.loc[table.sum(axis=1).sort_values()[::-1].index])


def _stacked_bars(table: Any) -> "Figure":
    """Draw bars that lie, so that long names have room."""
    table = table.iloc[:N_GENRES_SHOWN][::-1]
    figure, (axes,) = _panels(1, height=1.2 + 0.3 * len(table))
    labels = [_shorten(name) for name in table.index]
    # By place, not by name: names that are equal once shortened would share a bar.
    places = range(len(labels))
    left = np.zeros(len(labels))
    fillings = ((DARK, ""), (LIGHT, "///"), (ACCENT, ".."), (MEDIUM, "xx"))
    for k, column in enumerate(table.columns):
        color, hatch = fillings[k % len(fillings)]
        counts = table[column].to_numpy()
        axes.barh(
            places,
            counts,
            0.7,
            left,
            color=color,
            hatch=hatch,
            label=str(column),
            edgecolor="white",
        )
        left += counts
    if len(table.columns) > 1:
        figure.legend(loc="outside upper right", ncols=min(len(table.columns), 4))
    axes.set_yticks(places, labels)
    axes.set_xlabel("titles")
    axes.grid(visible=False, axis="y")
    _thousands(axes, axis="x")
    return figure


def _shorten(label: object) -> str:
    text = str(label)
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


DATA_FIGURES = (
    DataFigure("ratings", "How often each rating was given.", _rating_distribution),
    DataFigure("long-tail", "How many ratings users give and titles get.", _long_tail),
    DataFigure("activity", "When ratings were given.", _activity),
    DataFigure("titles-by-year", "Titles by year of release.", _titles_by_year),
    DataFigure(
        "titles-by-genre",
        "Genres: their titles, and the ratings of these. A title may have several.",
        _titles_by_genre,
    ),
    DataFigure(
        "titles-by-platform", "Titles by platform and type.", _titles_by_platform
    ),
)
"""All figures, in the order of the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: str
    numbers: str
    ratio: float
    tolerance: float


def draw_characteristics(record: ExperimentRecord, path: Path) -> bool:
    """Draw each characteristic of the data as a ratio, measured to published."""
    rows = _rows(record)
    if not rows:
        return False
    from matplotlib.figure import Figure

    with figure_style():
        size = (8, 1.3 + 0.42 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        _draw_rows(axes, rows)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        ratios = [row.ratio for row in rows]
        low, high = min([0.8, *ratios]), max([1.25, *ratios])
        room = (high / low) ** 0.06
        axes.set_xlim(low / room, high * room)
        label_logarithmic(axes)
        axes.set_xlabel("measured divided by published (log)")
        numbers = [row.numbers for row in rows]
        label_right(axes, range(len(rows)), numbers, head="published | measured")
        figure.legend(loc="outside upper center", ncols=3)
        save_figure(figure, path)
    return True


def _rows(record: ExperimentRecord) -> list[_Row]:
    found = []
    for judged in record.claims:
        claim, here = judged.claim, judged.measured
        published = claim.value
        if not claim.metric.startswith(DATA) or isinstance(published, str):
            continue
        if here is None or isinstance(here, str) or min(here, published) <= 0:
            continue
        allowed = claim.tolerance if claim.relative else claim.tolerance / published
        measure = measure_named(claim.metric)
        numbers = f"{measure.format(published)} | {measure.format(here)}"
        found.append(
            _Row(
                name=wrap(claim.label or _name_of(claim.metric), width=30),
                numbers=numbers,
                ratio=here / published,
                tolerance=allowed,
            )
        )
    return found


def _name_of(metric: str) -> str:
    return metric.removeprefix(DATA).replace("_", " ")


def _draw_rows(axes: "Axes", rows: Sequence[_Row]) -> None:
    places = range(len(rows))
    axes.barh(
        places,
        [min(2 * row.tolerance, row.tolerance + 1) for row in rows],
        left=[max(1 - row.tolerance, 0) for row in rows],
        height=0.62,
        color=LIGHT,
        label="tolerance of the claim",
    )
    axes.axvline(1, color=MEDIUM, linestyle="--", linewidth=1.2, label="as published")
    inside = [abs(row.ratio - 1) <= row.tolerance + 1e-9 for row in rows]
    for wanted, label, face, edge in (
        (True, "measured, within tolerance", DARK, DARK),
        (False, "measured, outside", "white", ACCENT),
    ):
        chosen = [place for place in places if inside[place] is wanted]
        if chosen:
            axes.scatter(
                [rows[place].ratio for place in chosen],
                chosen,
                s=52,
                marker="o" if wanted else "D",
                facecolors=face,
                edgecolors=edge,
                linewidths=1.5,
                label=label,
                zorder=3,
            )
