"""``harness compare``: the families of one experiment, or of several, side by side."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.completion import complete_names
from harness.cli.options import StorageOption
from harness.cli.terminal import Column, print_columns
from harness.errors import StudyError
from harness.formatting import p_relation, percent, shared_unit

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evaluation.data_sets import DataSetComparison
    from harness.evaluation.measures import Measure
    from harness.evaluation.results import ModelResult
    from harness.evaluation.statistics import Estimate
    from harness.experiment.across import AcrossDataSets
    from harness.experiment.results import ExperimentRecord
    from harness.objects import Picture

__all__ = ["compare", "only_experiment", "print_comparison"]


def compare(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Names of the experiments or studies.",
            show_default="the only one in the storage",
            autocompletion=complete_names,
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw mean ranks and the critical difference of several experiments "
            "into this PNG file.",
        ),
    ] = None,
    storage: StorageOption = "optuna.log",
) -> None:
    """Compare the families of an experiment, or of several on different data sets.

    For one: all that was measured so far, and the verdict. For several: RMSE in % of the
    bias baseline, mean ranks with Friedman's and Nemenyi's tests, and on how many data
    sets one family is better than another. Nothing is trained, and no test set is opened.
    """
    names = experiments or [only_experiment(storage)]
    if len(names) > 1:
        _compare_several(names, storage, figure)
        return
    if figure is not None:
        raise StudyError("--figure is for several experiments: name two or more.")
    from harness.experiment.store import read_named
    from harness.report.verdict import verdict_lines

    record = read_named(storage, names[0])
    print_comparison(record)
    typer.echo("")
    for line in verdict_lines(record):
        typer.echo(line)


def _compare_several(names: list[str], storage: str, figure: Path | None) -> None:
    from rich.console import Console

    import harness

    found = harness.compare(*names, storage=storage)
    across = found.across
    # A file that cannot be written is said before anything is printed.
    if figure is not None:
        _write_figure(found.figure(), figure)
    console = Console(markup=False, emoji=False, highlight=False)
    _print_ranks(console, across)
    typer.echo("")
    _print_counts(console, across.comparison)
    typer.echo("")
    for sentence in across.sentences:
        typer.echo(sentence)
    if figure is not None:
        typer.echo(f"Figure:  {figure}")


def _write_figure(picture: "Picture", path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise StudyError(f"--figure: the file must end in .png, but got {path}.")
    try:
        picture.save(path)
    except OSError as error:
        raise StudyError(
            f"The figure cannot be written to {path}: {error.strerror or error}; choose "
            "another file."
        ) from error


def _print_ranks(console: "Console", across: "AcrossDataSets") -> None:
    from harness.evaluation.objectives import measure_of

    found, label = across.comparison, measure_of(across.objective).label
    columns = (
        Column(name="family", importance=100, wraps=True),
        Column(name="rank", importance=99, right=True),
        Column(name="mean", importance=98, right=True),
        *(
            Column(name=name, importance=97 - place, right=True)
            for place, name in enumerate(found.data_sets)
        ),
    )
    rows = [
        (
            model.name,
            f"{model.rank:.2f}",
            *(f"{100 * share:.2f}" for share in (model.mean_share, *model.shares)),
        )
        for model in found.models
    ]
    print_columns(console, columns, rows)
    typer.echo(
        f"{label} on the test sets in % of the user and item bias baseline; rank: mean over "
        f"the data sets, 1 is the best {label}."
    )
    test = found.friedman
    typer.echo(
        f"Friedman chi-square {test.statistic:.2f}, p {p_relation(test.p_value)} "
        f"(permutations); critical difference of ranks {found.critical_difference:.2f} "
        f"(Nemenyi, {percent(found.confidence)})."
    )


def _print_counts(console: "Console", found: "DataSetComparison") -> None:
    words = ("better", "equivalent", "undecided", "worse")
    columns = (
        Column(name="family", importance=9, wraps=True),
        Column(name="compared with", importance=8, wraps=True),
        *(
            Column(name=word, importance=7 - place, right=True)
            for place, word in enumerate(words)
        ),
    )
    rows = [
        (pair.one, pair.other, *(str(getattr(pair, word)) for word in words))
        for pair in found.counts
    ]
    print_columns(console, columns, rows)
    typer.echo(
        "Number of data sets on which the family is better or worse by more than the "
        "margin, equivalent within it, or undecided."
    )


def only_experiment(storage: str) -> str:
    """Name the study or experiment of a storage that holds one."""
    from harness.search.storage import list_experiments

    names = list_experiments(storage)
    if not names:
        raise StudyError(
            f"There is no study or experiment in {storage}: run one with `harness study` "
            "or `harness run`, or name another storage with --storage."
        )
    if len(names) > 1:
        raise StudyError(
            f"{storage} holds {len(names)} studies and experiments: name one of "
            f"{', '.join(names)}."
        )
    return names[0]


_COLUMNS = (
    Column(name="tuned", importance=9, right=True),
    Column(name="95 % range", importance=8, right=True),
    Column(name="worse by", importance=6, right=True),
    Column(name="answer", importance=7),
    Column(name="initial", importance=5, right=True),
    Column(name="folds", importance=4, right=True),
    Column(name="ms", importance=3, right=True),
    Column(name="s", importance=2, right=True),
)


def print_comparison(record: "ExperimentRecord") -> None:
    """Print a row for each family and baseline, best first."""
    from rich.console import Console

    from harness.evaluation.objectives import measure_of

    measure = measure_of(record.metric)
    rows = [_family_row(record, candidate) for candidate in record.spec.families]
    rows += [_baseline_row(record, m) for m in record.models if m.role == "baseline"]
    ranked = [cells for _, cells in sorted(rows, key=lambda row: row[0])]
    console = Console(markup=False, emoji=False, highlight=False)
    first = Column(name=measure.label, importance=10, wraps=True)
    print_columns(console, (first, *_COLUMNS), ranked)
    columns = (
        "folds: best trial of the search; initial, tuned: on the test set; ms: p95 of a "
        "user's top 10; s: training."
    )
    legend = [columns]
    if record.decision is not None:
        legend.insert(0, "*: chosen by the decision rule, see below.")
    if record.judging is not None:
        points = ", in percentage points" if measure.unit == "share" else ""
        legend.append(
            f"worse by: interval of the difference to the best{points}, adjusted for all pairs "
            "(Holm). The answer is read off it: worse if all of it is above the margin of "
            f"{measure.tolerance(record.judging.margin)}, equivalent if all of it is "
            "within, else undecided."
        )
    else:
        legend.append(
            "The test set is still sealed: `harness run` opens it at the end."
        )
    for sentence in legend:
        typer.echo(sentence)


def _family_row(
    record: "ExperimentRecord", candidate: str
) -> tuple[float, tuple[str, ...]]:
    from harness.evaluation.objectives import measure_of
    from harness.experiment.measured import measured

    study = record.studies.get(candidate)
    best = study.best.value if study is not None and study.best is not None else None
    measure, decision = measure_of(record.metric), record.decision
    tuned, initial = (record.model(candidate, role) for role in ("tuned", "initial"))
    worse_by = "-"
    if decision is not None and tuned is not None and candidate != decision.best:
        found = record.difference(f"{candidate}, tuned", f"{decision.best}, tuned")
        # Without a blank: scripts tell the columns apart by blanks.
        if found is not None and not math.isnan(found.low):
            worse_by = f"{measure.signed(found.low)}..{measure.signed(found.high)}"
    is_chosen = decision is not None and candidate == decision.winner
    cells = (
        f"{'* ' if is_chosen else ''}{record.spec.label(candidate)}",
        *_score(record, measure, tuned),
        worse_by,
        "-" if decision is None else decision.answers.get(candidate, "-"),
        _score(record, measure, initial)[0],
        _without_blanks(measure.format(best)),
        _number(measured(record, "latency_p95_ms", candidate), 2),
        _number(measured(record, "fit_seconds", candidate), 2),
    )
    loss = math.inf if best is None else record.metric.sign * best
    return loss if tuned is None else record.loss_of(tuned), cells


def _baseline_row(
    record: "ExperimentRecord", model: "ModelResult"
) -> tuple[float, tuple[str, ...]]:
    from harness.evaluation.objectives import measure_of

    scores = _score(record, measure_of(record.metric), model)
    return record.loss_of(model), (f"({model.name})", *scores, *["-"] * 6)


def _score(
    record: "ExperimentRecord", measure: "Measure", model: "ModelResult | None"
) -> tuple[str, str]:
    """Write the objective of a model, and its range."""
    found = None if model is None else model.measures.get(record.metric.name)
    if found is None:
        return "-", "-"
    return _without_blanks(measure.format(found.value)), _ends(measure, found)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _ends(measure: "Measure", found: "Estimate") -> str:
    if math.isnan(found.low):
        return "-"
    if measure.unit == "rating":
        return f"{found.low:.3f}-{found.high:.3f}"
    (low, high), unit = shared_unit(*map(measure.format, (found.low, found.high)))
    return _without_blanks(f"{low}-{high}{unit}")


def _without_blanks(text: str) -> str:
    # Scripts tell the columns apart by blanks.
    return text.replace(" ", "")
