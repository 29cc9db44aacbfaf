"""Section: what the lists of recommendations are like, beyond the error of ratings."""

from harness.experiment.decision import CHANCE
from harness.experiment.measured import measured
from harness.experiment.record import ExperimentRecord
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import Model, name_of, rivals
from harness.report.experiment.quantities import write
from harness.report.markdown import table

__all__ = ["beyond_accuracy"]

COLUMNS = {
    "ndcg_at_10": "NDCG@10",
    "recall_at_10": "recall@10",
    "catalogue_coverage": "catalogue shown",
    "intra_list_diversity": "diversity",
    "novelty": "novelty",
    "serendipity": "serendipity",
}
DEFINITIONS = """\
- NDCG@10, recall@10: whether a user's top 10 holds the titles that the user has liked in \
the test set (from three quarters up the scale), and near its top. Low values are usual, \
for most titles that a user would like have no rating there. ±: 95 % interval of \
NDCG, for other users would have given another mean.
- Catalogue shown: share of all titles that are in the top 10 of one of these users.
- Diversity: how different the titles of one list are in genre and decade, from 0 to 1.
- Novelty: in bits, how few of the users have rated a recommended title.
- Serendipity: share of a list that is liked, and is not among the most rated titles."""


def beyond_accuracy(draft: Draft) -> str:
    """Compare the top tens of the tuned models.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty if they were not measured.
    """
    record = draft.record
    ranked = [m for m in rivals(record) if m.get("ranking")]
    if not ranked:
        return ""
    return paragraphs(
        "## Beyond accuracy",
        f"{_whose(record, ranked[0])} The highest value of a column is bold.",
        _table(record, ranked),
        DEFINITIONS,
    )


def _whose(record: ExperimentRecord, model: Model) -> str:
    """Say whose lists these are, and of how many of them hits can be expected."""
    n_asked, n_all = (
        model["ranking"].get("n_users"),
        (record.final or {}).get("n_test_users"),
    )
    if not n_asked or not n_all:
        return "The top 10 of the users of the test set, by each tuned model."
    return (
        f"The top 10 of the {n_all:,} users of the test set, by each tuned model; NDCG, "
        f"recall and serendipity are means over the {n_asked:,} of them who like a title "
        "there."
    )


def _table(record: ExperimentRecord, models: list[Model]) -> str:
    keys = [m["candidate"] or m["name"] for m in models]
    values = {
        metric: [measured(record, metric, key) for key in keys] for metric in COLUMNS
    }
    columns = [_column(metric, values[metric]) for metric in COLUMNS]
    columns[0] = [
        cell + _scatter(model) for cell, model in zip(columns[0], models, strict=True)
    ]
    rows = [
        [name_of(record, model), *cells]
        for model, *cells in zip(models, *columns, strict=True)
    ]
    return table(
        ["tuned model", *COLUMNS.values()], rows, align="l" + "r" * len(COLUMNS)
    )


def _scatter(model: Model) -> str:
    """Write how far NDCG, which can decide between families, reaches by chance."""
    error = model["ranking"].get("ndcg_error")
    return "" if error is None else f" ± {CHANCE * error:.3f}"


def _column(metric: str, values: list[float | None]) -> list[str]:
    known = [value for value in values if value is not None]
    cells = [write(metric, value) for value in values]
    highest = write(metric, max(known)) if known else ""
    if all(cell == cells[0] for cell in cells):
        return cells
    return [f"**{cell}**" if cell == highest else cell for cell in cells]
