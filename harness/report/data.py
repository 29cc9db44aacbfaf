"""The report on a data set, and its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.data.dataset import Dataset
from harness.data.profile import DataProfile, Quantiles, published_characteristics
from harness.errors import DataError
from harness.features.pairs import FeatureSummary, Owner
from harness.formatting import percent
from harness.report.figures.data import DataFigure, draw_data_figures
from harness.report.figures.style import save_figure
from harness.report.markdown import code, escape, table

__all__ = [
    "DEFINITIONS",
    "NOTHING",
    "SIMULATED",
    "DataTable",
    "characteristics_table",
    "data_tables",
    "feature_tables",
    "write_data_report",
]


NOTHING = "-"
"""What a cell says where there is no value."""

NAMES = {
    "sparsity": "sparsity",
    "mean": "mean rating",
    "variance": "variance of ratings",
    "ratings_per_week": "ratings per user and week",
    "average_watch_minutes": "minutes watched, mean",
    "peak_hours": "peak hours, UTC",
    "weekend_to_weekday_ratio": "weekend day to weekday",
    "primary_genre_affinity": "primary genre affinity",
    "genre_diversity": "genre diversity",
}


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table of text of our own; `n_words` columns hold words, the others numbers."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_words: int = 1


def data_tables(
    profile: DataProfile, *, published: bool = False
) -> tuple[DataTable, ...]:
    """Lay out a profile, beside what the published study prints of its data or alone."""
    tables = [
        characteristics_table(
            profile.characteristics(), published_characteristics() if published else {}
        ),
        _size(profile),
        _per_user_and_title(profile),
        _long_tail(profile),
    ]
    if profile.missing:
        rows = tuple(
            (name, percent(share, 1)) for name, share in profile.missing.items()
        )
        tables.append(
            DataTable("Missing values of titles", ("column", "missing"), rows)
        )
    return tuple(tables)


_OWNERS: Mapping[Owner, str] = MappingProxyType(
    {
        "user": "Features of users",
        "title": "Features of titles",
        "pair": "Features of a user and a title together, over ratings",
    }
)


def feature_tables(summaries: Sequence[FeatureSummary]) -> tuple[DataTable, ...]:
    """Lay out the named features that the data allows."""
    head = ("feature", "what it says", "known", "mean", "spread")
    tables = []
    for owner, title in _OWNERS.items():
        rows = tuple(
            (
                each.name,
                each.meaning,
                percent(each.known, 1),
                _fixed(each.mean),
                _fixed(each.spread),
            )
            for each in summaries
            if each.owner == owner
        )
        if rows:
            tables.append(DataTable(title, head, rows, n_words=2))
    return tuple(tables)


def characteristics_table(
    measured: Mapping[str, float | str | None], published: Mapping[str, float | str]
) -> DataTable:
    """Lay out characteristics of ratings, beside published ones if there are any."""
    shown = {name: value for name, value in measured.items() if name in NAMES}
    if not published:
        rows = tuple((NAMES[n], _number(v)) for n, v in shown.items() if v is not None)
        return DataTable("Characteristics", ("characteristic", "measured"), rows)
    beside = tuple(
        (NAMES[n], _number(v), _number(published.get(n)), _gap(v, published.get(n)))
        for n, v in shown.items()
    )
    head = ("characteristic", "measured", "published", "difference")
    return DataTable("Characteristics", head, beside)


def _size(profile: DataProfile) -> DataTable:
    rows = [
        ("ratings", f"{profile.n_ratings:,}"),
        ("users", f"{profile.n_users:,}"),
        ("titles with ratings", f"{profile.n_items:,}"),
        ("titles without", f"{profile.n_titles - profile.n_items:,}"),
    ]
    if profile.times is not None:
        rows += [
            ("first rating, UTC", f"{profile.times.first_rating:%Y-%m-%d %H:%M}"),
            ("last rating, UTC", f"{profile.times.last_rating:%Y-%m-%d %H:%M}"),
        ]
    return DataTable("Size", ("of the data", "number"), tuple(rows))


def _per_user_and_title(profile: DataProfile) -> DataTable:
    rows = tuple(
        (what, *_quantiles(quantiles))
        for what, quantiles in (
            ("user", profile.per_user),
            ("title", profile.per_title),
        )
    )
    head = ("ratings of a", "lowest", "quarter", "median", "three quarters", "highest")
    return DataTable("Ratings per user and per title", head, rows)


def _long_tail(profile: DataProfile) -> DataTable:
    rows = (
        ("share of the top 10 %", percent(profile.top_titles_share, 1)),
        ("Gini coefficient", f"{profile.title_gini:.3f}"),
    )
    return DataTable("Long tail of titles", ("of their ratings", "number"), rows)


def _quantiles(quantiles: Quantiles) -> tuple[str, ...]:
    return tuple(f"{number:,g}" for number in vars(quantiles).values())


def _fixed(value: float) -> str:
    # Adding 0 turns -0.0 into 0.0.
    digits = 0 if abs(value) >= 100 else 3
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _number(value: float | str | None) -> str:
    if value is None:
        return NOTHING
    # What rounding leaves of a mean of centred values is nothing.
    return value if isinstance(value, str) else f"{round(value, 12) + 0.0:.4g}"


def _gap(measured: float | str | None, published: float | str | None) -> str:
    if measured is None or published is None:
        return NOTHING
    if isinstance(measured, str) or isinstance(published, str):
        return "none" if measured == published else "other hours"
    if not published:
        return NOTHING
    # Adding 0 turns -0.0 into 0.0.
    gap = round(100 * (measured / published - 1), 1) + 0.0
    return f"{gap:+,.0f} %" if abs(gap) >= 100 else f"{gap:+.1f} %"


SIMULATED = (
    "The ratings of this data set are simulated: what is measured on them says nothing "
    "about real people."
)

DEFINITIONS = """\
The published study prints its figures without definitions. Here:

- Sparsity: share of the pairs of users and rated titles without a rating.
- Ratings per user and week: all ratings over the sum of the users' weeks of membership, \
from first to last rating, at least one week each.
- Peak hours: the three consecutive hours with most ratings.
- Weekend day to weekday: ratings on an average Saturday or Sunday over those on an \
average day from Monday to Friday.
- Primary genre affinity: share of a user's ratings that go to titles of the genre that \
most of them go to, averaged over ratings. The study calls it a correlation of 72 %, \
without saying of what.
- Genre diversity: probability that two genres drawn from those of the titles that a \
user has rated differ (Gini-Simpson index), averaged over ratings."""

ABOUT_FEATURES = (
    "Known: share of the users or titles with a rating, or of the ratings. The spread is "
    "the standard deviation. Biases and preferences are shrunk: little is concluded from "
    "few ratings. Here they come from all ratings; a model gets those of the training "
    "part alone."
)
"""Stands below the tables of features."""


def write_data_report(
    dataset: Dataset, tables: Sequence[DataTable], folder: Path
) -> Path:
    """Write ``describe.md`` and its figures."""
    figures = draw_data_figures(dataset)
    path = folder / "describe.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for figure, drawn in figures.items():
            save_figure(drawn, folder / f"{figure.name}.png")
        text = _markdown(dataset, tables, list(figures))
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(
            f"{folder}: the report needs a folder that can be written, but "
            f"{error.strerror or error}; name another with --out."
        ) from error
    return path


def _markdown(
    dataset: Dataset, tables: Sequence[DataTable], figures: list[DataFigure]
) -> str:
    parts = [f"# Data: {escape(dataset.name)}"]
    if dataset.simulated:
        parts.append(f"**{SIMULATED}**")
    parts.append(
        f"Source {code(dataset.source)}, fingerprint {code(dataset.fingerprint)}."
    )
    if dataset.notes:
        parts.append("What the reader notes:")
        parts.append("\n".join(f"- {escape(note)}" for note in dataset.notes))
    for shown in tables:
        parts += [f"## {shown.title}", _as_markdown(shown)]
        if "published" in shown.head:
            parts.append(DEFINITIONS)
    if any(shown.head[0] == "feature" for shown in tables):
        parts.append(ABOUT_FEATURES)
    parts.append("## Figures")
    parts += [f"![{f.caption}]({f.name}.png)\n\n{f.caption}" for f in figures]
    return "\n\n".join(parts) + "\n"


def _as_markdown(shown: DataTable) -> str:
    n_numbers = len(shown.head) - shown.n_words
    return table(shown.head, shown.rows, align="l" * shown.n_words + "r" * n_numbers)
