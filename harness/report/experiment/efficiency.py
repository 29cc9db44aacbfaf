"""Section: what the models cost, in time, latency, memory and size."""

from harness.experiment.measured import measured
from harness.experiment.record import ExperimentRecord
from harness.report.digits import interval
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import label, rivals
from harness.report.experiment.quantities import write
from harness.report.experiment_figures.pareto import draw_pareto, pareto_front
from harness.report.markdown import table

__all__ = ["efficiency"]

COSTS = {
    "fit_seconds": "training",
    "latency_p50_ms": "p50",
    "latency_p95_ms": "p95",
    "latency_p99_ms": "p99",
    "peak_memory_bytes": "peak memory",
    "model_bytes": "on disk",
}


def efficiency(draft: Draft) -> str:
    """Say what each tuned model costs.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty if nothing was measured.
    """
    record = draft.record
    if not record.efficiency:
        return ""
    picture = draft.figure(
        draw_pareto, "pareto.png", "RMSE on the test set against latency"
    )
    return paragraphs(
        "## Efficiency",
        _table(record),
        _how(record),
        picture,
        _about_front(record) if picture else "",
    )


def _table(record: ExperimentRecord) -> str:
    rmse = {
        m["candidate"] or m["name"]: interval("rmse", m["metrics"]["rmse"])
        for m in rivals(record)
    }
    order = [c for c in rmse if c in record.efficiency]
    order += [c for c in record.efficiency if c not in rmse]
    rows = [
        [label(record, c)]
        + [write(cost, measured(record, cost, c)) for cost in COSTS]
        + [rmse.get(c, "-").partition(" ")[0]]
        for c in order
    ]
    head = ["tuned model", *COSTS.values(), "test RMSE"]
    return table(head, rows, align="l" + "r" * (len(head) - 1))


def _how(record: ExperimentRecord) -> str:
    first = next(iter(record.efficiency.values()))
    n_calls = first.get("latency_ms", {}).get("n_calls")
    of = f" of {n_calls:,} calls" if n_calls else ""
    titles = f" out of {first['n_titles']:,} titles" if first.get("n_titles") else ""
    return (
        "Each model is trained and asked in a fresh process of its own, warmed up, one "
        f"after the other on the same machine. p50, p95 and p99 are percentiles{of}: the "
        f"time to find one user's top 10{titles}. Peak memory is what training "
        "and asking need on top of Python, the libraries and the data."
    )


def _about_front(record: ExperimentRecord) -> str:
    keys = [m["candidate"] or m["name"] for m in rivals(record)]
    found = {
        key: (measured(record, "latency_p95_ms", key), measured(record, "rmse", key))
        for key in keys
    }
    known = {
        k: (t, e) for k, (t, e) in found.items() if t is not None and e is not None
    }
    names = [label(record, key) for key in known]
    front = pareto_front(list(known.values()))
    if len(front) == 1:
        best = names[front[0]]
        return f"No other model has a lower RMSE than {best}, and none a lower latency."
    return (
        "On the Pareto front, where a lower RMSE is only to be had for a higher latency: "
        f"{', '.join(names[place] for place in front)}."
    )
