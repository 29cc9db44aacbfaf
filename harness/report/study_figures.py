"""Figures of a study: its course, its folds, and what mattered."""

import math
from collections.abc import Mapping
from pathlib import Path

from harness.report.style import ACCENT, DARK, MEDIUM, figure_style, save_figure
from harness.report.trial_marks import RMSE_LABEL, TrialMarks
from harness.search.records import StudyRecord, TrialRecord

__all__ = ["draw_folds", "draw_history", "draw_importance"]

N_RACED = 8
_FOLD_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")


def draw_history(study: StudyRecord, path: Path) -> Path:
    """Draw the value of each trial, and the best so far.

    Parameters
    ----------
    study : StudyRecord
        A study with a complete trial.
    path : Path
        PNG to write.

    Returns
    -------
    Path
        `path`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    marks = TrialMarks.of(study)
    with figure_style():
        figure = Figure(figsize=(8, 3.8), layout="constrained")
        axes = figure.add_subplot()
        numbers, best = _best_so_far(study)
        axes.step(
            numbers, best, where="post", color=DARK, linewidth=1.4, label="best so far"
        )
        marks.draw(axes, study, {t.number: t.number for t in study.trials})
        axes.set_xlim(-0.5, max(t.number for t in study.trials) + 0.5)
        axes.set_xlabel("trial")
        axes.set_ylabel(RMSE_LABEL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(loc="outside upper center", ncols=6)
        return save_figure(figure, path)


def _best_so_far(study: StudyRecord) -> tuple[list[int], list[float]]:
    numbers: list[int] = []
    best: list[float] = []
    for trial in study.trials:
        if trial.state == "complete" and trial.value is not None:
            numbers.append(trial.number)
            best.append(min(trial.value, best[-1] if best else math.inf))
    # The last level holds until the last trial.
    return [*numbers, study.trials[-1].number], [*best, best[-1]]


def draw_folds(study: StudyRecord, path: Path) -> Path:
    """Draw the fold values of the best trials beside those of the initial settings.

    Parameters
    ----------
    study : StudyRecord
        A study with a complete trial.
    path : Path
        PNG to write.

    Returns
    -------
    Path
        `path`.
    """
    from matplotlib.figure import Figure

    shown = _raced(study)
    with figure_style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.add_subplot()
        places = list(range(len(shown)))
        for fold in range(max(len(t.fold_values) for t in shown)):
            line = [
                t.fold_values[fold] if fold < len(t.fold_values) else math.nan
                for t in shown
            ]
            axes.plot(
                places,
                line,
                color=MEDIUM,
                linewidth=0.8,
                marker=_FOLD_MARKERS[fold % len(_FOLD_MARKERS)],
                markersize=5,
                markerfacecolor="white",
                markeredgecolor=DARK,
                label=f"fold {fold + 1}",
            )
        means = [t.value if t.value is not None else math.nan for t in shown]
        axes.scatter(
            places,
            means,
            marker="_",
            s=420,
            color=ACCENT,
            linewidths=2,
            label="mean",
            zorder=4,
        )
        axes.set_xticks(places, [_name_of(t, study) for t in shown])
        axes.set_ylabel(RMSE_LABEL)
        axes.margins(x=0.08)
        figure.legend(loc="outside upper center", ncols=6)
        return save_figure(figure, path)


def _raced(study: StudyRecord) -> list[TrialRecord]:
    complete = [t for t in study.trials if t.state == "complete" and t.fold_values]
    best = sorted(complete, key=lambda t: (t.value, t.number))[:N_RACED]
    initial = [t for t in complete if t.number == 0 and t not in best]
    return [*best, *initial]


def _name_of(trial: TrialRecord, study: StudyRecord) -> str:
    name = f"#{trial.number}"
    if trial is study.best:
        return f"{name}\nbest"
    return f"{name}\ninitial" if trial.number == 0 else name


def draw_importance(importance: Mapping[str, float], path: Path) -> Path:
    """Draw how the variance of the objective is shared among the hyperparameters.

    Parameters
    ----------
    importance : mapping of str to float
        Shares, the largest first; not empty.
    path : Path
        PNG to write.

    Returns
    -------
    Path
        `path`.
    """
    from matplotlib.figure import Figure

    names, shares = list(importance), list(importance.values())
    with figure_style():
        size = (8, 0.8 + 0.32 * len(names))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        bars = axes.barh(range(len(names)), shares, color=DARK, height=0.62)
        axes.bar_label(bars, [f"{share:.0%}" for share in shares], padding=4)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1.08 * max(shares))
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.set_xlabel("share of the variance of the RMSE over the trials")
        return save_figure(figure, path)
