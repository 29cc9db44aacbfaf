"""Tables of measures: a row for each model, or a row for each measure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.evaluation.measures import Measure
from harness.evaluation.results import ModelResult
from harness.experiment.results import ExperimentRecord
from harness.formatting import Comparison, p_value
from harness.report.context import listed, name_of, with_interval
from harness.report.markdown import escape, table

__all__ = [
    "BOLD",
    "change_cells",
    "definitions",
    "difference_cells",
    "measures_by_model",
    "models_by_measure",
    "size_cell",
]

BOLD = "Bold: the best value of a column, whether or not chance has made it so."


def models_by_measure(
    record: ExperimentRecord,
    models: Sequence[ModelResult],
    measures: Sequence[Measure],
) -> str:
    """Lay out models in rows and measures in columns, the best value of each bold.

    Costs have the range that single processes have measured beside them.
    """
    columns = [_column(models, measure) for measure in measures]
    rows = [
        [name_of(record, model), *cells]
        for model, *cells in zip(models, *columns, strict=True)
    ]
    head = ["model", *(escape(measure.label) for measure in measures)]
    return table(head, rows, align="l" + "r" * len(columns))


def _column(models: Sequence[ModelResult], measure: Measure) -> list[str]:
    values = [model.value(measure.name) for model in models]
    texts = [measure.format(value) for value in values]
    known = [value for value in values if value is not None]
    cells = list(texts)
    if measure.kind == "cost":
        cells = [
            with_interval(measure, found) if found is not None else "-"
            for found in (model.measures.get(measure.name) for model in models)
        ]
    if not known or measure.direction is None or len(set(texts)) == 1:
        return cells
    best = min(known) if measure.direction == "minimize" else max(known)
    return [
        f"**{cell}**" if text == measure.format(best) else cell
        for text, cell in zip(texts, cells, strict=True)
    ]


def measures_by_model(
    models: Mapping[str, ModelResult], measures: Sequence[Measure], *, last: str
) -> str:
    """Lay out measures in rows and models in columns; one has intervals.

    `models` are by the head of their column, which is markdown already; what each measure
    is stands in the last column.
    """
    rows = [
        [
            escape(measure.label),
            *(
                with_interval(measure, found)
                if head == last and found is not None
                else measure.format(None if found is None else found.value)
                for head, found in (
                    (head, model.measures.get(measure.name))
                    for head, model in models.items()
                )
            ),
            escape(measure.definition) or "-",
        ]
        for measure in measures
    ]
    head = ["measure", *models, "what it is"]
    return table(head, rows, align="l" + "r" * len(models) + "l")


def difference_cells(found: Comparison, measure: Measure) -> list[str]:
    """Write how much worse a model is, with interval and p-value, a cell for each."""
    ends = _ends(found.low, found.high, measure.signed)
    return [measure.signed(found.value) + ends, p_value(found.p_value)]


def change_cells(found: Comparison, measure: Measure) -> list[str]:
    """Write by how much a value has changed, up or down, whichever is better."""
    if measure.direction == "maximize":
        low, high = -found.high, -found.low
        found = replace(found, value=-found.value, low=low, high=high)
    return difference_cells(found, measure)


def size_cell(found: Comparison, measure: Measure) -> str:
    """Write how far two models are apart, with its interval."""
    value, low, high = found.apart
    return measure.amount(value) + _ends(low, high, measure.amount)


def _ends(low: float, high: float, write: Callable[[float], str]) -> str:
    """Write an interval behind its value; a single test user leaves none."""
    return "" if math.isnan(low) else f" [{write(low)}, {write(high)}]"


def definitions(measures: Sequence[Measure]) -> str:
    """Say what measures are, where their names do not."""
    return listed(
        [f"{escape(m.label)}: {escape(m.definition)}" for m in measures if m.definition]
    )
