"""The profile of a data set as tables of plain text, for terminal and markdown alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.data.characteristics import (
    DataProfile,
    Quantiles,
    published_characteristics,
)
from harness.features.summary import FeatureSummary, Owner

__all__ = [
    "NOTHING",
    "DataTable",
    "characteristics_table",
    "data_tables",
    "feature_tables",
]

NOTHING = "-"
"""What a cell says where there is no value."""

NAMES = {
    "sparsity": "sparsity",
    "mean": "mean rating, stars",
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
    """A table of text.

    Parameters
    ----------
    title : str
        What it shows.
    head : tuple of str
        Heads of the columns.
    rows : tuple of tuple of str
        Numbers and words of our own, nothing that has to be escaped.
    n_words : int, default 1
        How many of the first columns hold words; the others hold numbers.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_words: int = 1


def data_tables(profile: DataProfile) -> tuple[DataTable, ...]:
    """Lay out a profile.

    Parameters
    ----------
    profile : DataProfile
        What to show.

    Returns
    -------
    tuple of DataTable
        Characteristics, those of the published study beside them; size; long tail;
        missing values, if there is a catalogue.
    """
    tables = [
        characteristics_table(profile.characteristics(), published_characteristics()),
        _size(profile),
        _per_user_and_title(profile),
        _long_tail(profile),
    ]
    if profile.missing:
        rows = tuple((name, _percent(share)) for name, share in profile.missing.items())
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
    """Lay out the named features that the data allows.

    Parameters
    ----------
    summaries : sequence of FeatureSummary
        What to show.

    Returns
    -------
    tuple of DataTable
        One for users, for titles, and for both together, where there are any.
    """
    head = ("feature", "what it says", "known", "mean", "spread")
    tables = []
    for owner, title in _OWNERS.items():
        rows = tuple(
            (
                each.name,
                each.meaning,
                _percent(each.known),
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
    """Lay measured characteristics of ratings beside published ones.

    Parameters
    ----------
    measured : mapping of str to float, str or None
        As `DataProfile.characteristics` gives them.
    published : mapping of str to float or str
        Values of the same names; some may be missing.

    Returns
    -------
    DataTable
        A row for each that is measured.
    """
    rows = tuple(
        (
            NAMES[name],
            _number(value),
            _number(published.get(name)),
            _gap(value, published.get(name)),
        )
        for name, value in measured.items()
        if name in NAMES
    )
    head = ("characteristic", "measured", "published", "difference")
    return DataTable("Characteristics", head, rows)


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
        ("share of the top 10 %", _percent(profile.top_titles_share)),
        ("Gini coefficient", f"{profile.title_gini:.3f}"),
    )
    return DataTable("Long tail of titles", ("of their ratings", "number"), rows)


def _quantiles(quantiles: Quantiles) -> tuple[str, ...]:
    return tuple(f"{number:,g}" for number in vars(quantiles).values())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _fixed(value: float) -> str:
    # Adding 0 turns -0.0 into 0.0.
    return f"{value:.0f}" if abs(value) >= 100 else f"{round(value, 3) + 0.0:.3f}"


def _number(value: float | str | None) -> str:
    if value is None:
        return NOTHING
    return value if isinstance(value, str) else f"{value:.4g}"


def _gap(measured: float | str | None, published: float | str | None) -> str:
    if measured is None or published is None:
        return NOTHING
    if isinstance(measured, str) or isinstance(published, str):
        return "none" if measured == published else "other hours"
    # Adding 0 turns -0.0 into 0.0.
    percent = round(100 * (measured / published - 1), 1) + 0.0
    return f"{percent:+,.0f} %" if abs(percent) >= 100 else f"{percent:+.1f} %"
