"""The ratings of an experiment: size, splits, openings, characteristics."""

from harness.evaluation.splits import CAVEATS, DRAWN
from harness.experiment.measured import DATA
from harness.experiment.results import ExperimentRecord, RepeatedSplits
from harness.formatting import percent
from harness.report.caveats import describe_openings
from harness.report.context import (
    Context,
    amount_unit,
    better,
    label,
    listed,
    objective,
    paragraphs,
    unit,
    worse,
)
from harness.report.data import DEFINITIONS, NOTHING, characteristics_table
from harness.report.figures.data import draw_characteristics
from harness.report.markdown import code, escape, table
from harness.report.verdict import describe_chosen

__all__ = ["ratings", "splits"]


def ratings(context: Context) -> str:
    """Describe the ratings, beside the published ones where there are any."""
    notes = [escape(note) for note in context.record.dataset.notes]
    return paragraphs(
        "## Data and split",
        _table(context.record),
        _about_one_split(context.record),
        "What the reader repaired, left out or assumed:" if notes else "",
        listed(notes),
        _characteristics(context),
    )


def _about_one_split(record: ExperimentRecord) -> str:
    """Say what a single split cannot know."""
    if record.repeated is not None or record.judging is None:
        return ""
    cannot = (
        "One split: whether another test set, and searches on another training part, "
        "would lead to the same choice is not known."
    )
    if record.is_study or record.split.method not in DRAWN:
        return cannot
    return f"{cannot} `--repeats 5` repeats both on five splits."


def splits(context: Context) -> str:
    """Compare the models over several splits of the same ratings."""
    record, found = context.record, context.record.repeated
    if found is None:
        return ""
    n = len(found.splits)
    done = (
        f"The searches and the judging were repeated on {n} splits of the same ratings, "
        "each with a seed of its own and the same budget."
    )
    if n < found.n_asked:
        done += (
            f" {found.n_asked} are to be: the same command goes on with those missing."
        )
    return paragraphs(
        "## Repeated splits",
        done,
        f"The rule chooses {describe_chosen(record, found)}.",
        _splits_table(record, found),
        _pairs_over_splits(record, found),
    )


def _splits_table(record: ExperimentRecord, found: RepeatedSplits) -> str:
    names = list(found.splits[0].scores)
    rows = [
        [
            str(split.number),
            str(split.seed),
            label(record, split.winner),
            *(objective(record).format(split.scores[name]) for name in names),
        ]
        for split in found.splits
    ]
    if len(rows) > 1:
        means = [
            sum(split.scores[name] for split in found.splits) / len(rows)
            for name in names
        ]
        rows.append(["mean", "", "", *map(objective(record).format, means)])
    head = ["split", "seed", "chosen", *(label(record, name) for name in names)]
    return table(head, rows, align="rrl" + "r" * len(names))


def _pairs_over_splits(record: ExperimentRecord, found: RepeatedSplits) -> str:
    if not found.pairs or record.judging is None:
        return ""
    rows, amount = [], objective(record).amount
    for each in found.pairs:
        pair = each if each.difference.value >= 0 else each.flipped()
        ends = pair.difference
        rows.append(
            [
                label(record, pair.other),
                label(record, pair.one),
                f"{amount(ends.value)} [{amount(ends.low)}, {amount(ends.high)}]",
                pair.answer,
            ]
        )
    good, bad = better(record).comparative, worse(record).comparative
    by = f"{bad} by{amount_unit(record)}"
    head = [f"{good} mean {objective(record).label}", bad, by]
    return paragraphs(
        table([*head, f"the {bad} is"], rows, align="llrl"),
        "Intervals after Nadeau and Bengio (2003): they allow for splits that share most of "
        "their training ratings, and for searches that end elsewhere. They are adjusted for "
        f"these {len(rows)} pairs (Holm), and answers are read off them by the margin of "
        f"{objective(record).tolerance(record.judging.margin, unit(record))}: the probability that any of "
        f"them is false is at most {percent(1 - record.judging.confidence)}. How other ratings "
        "would differ, no number of splits of these can tell.",
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
