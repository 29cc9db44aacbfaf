"""The ratings of an experiment: size, split, openings, characteristics."""

from harness.evaluation.splits import CAVEATS
from harness.experiment.measured import DATA
from harness.experiment.results import ExperimentRecord
from harness.formatting import percent
from harness.report.context import Context, listed, paragraphs, unit
from harness.report.data import DEFINITIONS, NOTHING, characteristics_table
from harness.report.figures.data import draw_characteristics
from harness.report.markdown import code, escape, table
from harness.report.verdict import describe_openings

__all__ = ["ratings"]


def ratings(context: Context) -> str:
    """Describe the ratings, beside the published ones where there are any."""
    notes = [escape(note) for note in context.record.dataset.notes]
    return paragraphs(
        "## Data and split",
        _table(context.record),
        "What the reader repaired, left out or assumed:" if notes else "",
        listed(notes),
        _characteristics(context),
    )


def _table(record: ExperimentRecord) -> str:
    data = record.dataset
    low, high = data.scale
    sizes = (
        f"{data.n_ratings:,} ratings, {data.n_users:,} users, {data.n_items:,} titles"
    )
    rows = [
        ["data", f"{escape(data.name)}, from {code(data.source)}"],
        ["size", sizes],
        ["scale", f"{low:g} to {high:g} {unit(record)}"],
        ["fingerprint of the data", code(data.fingerprint)],
        ["split", _describe_split(record)],
        ["fingerprint of the split", code(record.split.fingerprint)],
        ["openings of the test set", describe_openings(record)],
    ]
    return table(rows[0], rows[1:])


def _describe_split(record: ExperimentRecord) -> str:
    split = record.split
    if split.method == "none":
        return "`none`: no test set, the search uses all ratings"
    share = percent(split.n_test / (split.n_train + split.n_test))
    return (
        f"{code(split.method)}: {split.n_train:,} ratings for training, {split.n_test:,} "
        f"sealed as test set ({share}), seed {split.seed}"
        + (f". {CAVEATS[split.method]}" if split.method in CAVEATS else "")
    )


def _characteristics(context: Context) -> str:
    """Lay measured characteristics beside published ones, where some were published."""
    profile = context.record.profile
    published = {
        name: value
        for name in profile
        if (value := context.published(DATA + name)) is not None
    }
    # Of other people's data they are figures of a study that has nothing to do with it.
    simulated = context.record.dataset.simulated
    if not profile or not (published or simulated):
        return ""
    shown = characteristics_table(profile, published)
    # Without published values two of the columns would be empty.
    width = len(shown.head) if published else 2
    rows = [
        [text if text == NOTHING else escape(text) for text in row[:width]]
        for row in shown.rows
    ]
    compared = ", published and measured" if published else ""
    figure = context.figure(
        draw_characteristics, "data.png", f"Characteristics of the ratings{compared}"
    )
    return paragraphs(
        f"### Characteristics{compared}",
        table(shown.head[:width], rows, align="lrrr"[:width]),
        figure if published else "",
        DEFINITIONS if published else "",
    )
