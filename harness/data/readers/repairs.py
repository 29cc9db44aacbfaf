"""Repairs of streaming catalogues: each changes a frame, and says how often it had to."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from harness.data.wording import by_name, counted, listed, shorten

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["age_from", "derive_columns", "is_unrated", "repair", "unknown_labels"]


AGES = {
    "G": 0, "PG": 7, "PG-13": 13, "R": 17, "NC-17": 18, "X": 18,
    "TV-Y": 0, "TV-Y7": 7, "TV-Y7-FV": 7, "TV-G": 0, "TV-PG": 7, "TV-14": 14, "TV-MA": 17,
    "ALL": 0, "ALL_AGES": 0, "U": 0,
}  # fmt: skip

UNRATED = {"NR", "UR", "TV-NR", "UNRATED", "NOT RATED", "NOT_RATE", "NOT_RATED", "N/A"}

NAMED_AGE = re.compile(r"(?:AGES_|FSK ?|PEGI ?)?(\d{1,2})(?:\+|_|A)?")
OLDEST = 21


def age_from(rating: str) -> float | None:
    """Tell from which age a content rating allows a title.

    =====================  =======================================================
    system                 ages
    =====================  =======================================================
    Motion Picture         G 0, PG 7, PG-13 13, R 17, NC-17 18 (no one 17 and under)
    Association (films)
    TV Parental            TV-Y 0, TV-G 0, TV-Y7 and TV-Y7-FV 7, TV-PG 7, TV-14 14,
    Guidelines             TV-MA 17
    Amazon Prime           ALL 0, 7+, 13+, 16+, 18+; also AGES_16_ and the like
    age in the label       FSK 16, PEGI 12, BBFC 12A, 15: the age itself; BBFC U 0
    =====================  =======================================================

    PG and TV-PG ask parents to decide and name no age; they stand at 7, above G and
    below everything for teenagers, where the streaming services put them too.

    References
    ----------
    Motion Picture Association and National Association of Theatre Owners,
    "Classification and Rating Rules", 2020. TV Parental Guidelines Monitoring Board,
    "The TV Parental Guidelines". Prime Video Help, "Maturity Ratings". British Board
    of Film Classification, "Classification Guidelines".

    Examples
    --------
    >>> [age_from(r) for r in ("TV-MA", "AGES_18_", "13+", "pg-13", "NR")]
    [17.0, 18.0, 13.0, 13.0, None]
    """
    label = rating.strip().upper()
    if label in AGES:
        return float(AGES[label])
    found = NAMED_AGE.fullmatch(label)
    if found and int(found[1]) <= OLDEST:
        return float(found[1])
    return None


def is_unrated(rating: str) -> bool:
    """Say whether a label states that a title has no content rating."""
    return rating.strip().upper() in UNRATED


def unknown_labels(ratings: Iterable[str]) -> list[str]:
    """List the labels that belong to no system known here."""
    return sorted({r for r in ratings if age_from(r) is None and not is_unrated(r)})


INVISIBLE = "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NO-BREAK SPACE}\N{WORD JOINER}"
UNSEEN: dict[str, Callable[[str], bool]] = {
    "Invisible characters": lambda v: any(c in v for c in INVISIBLE),
    "Line breaks": lambda v: len(v.strip().splitlines()) > 1,
    "Spaces at the ends": lambda v: v != v.strip(),
}
DURATION = re.compile(r"(\d+) (min|Seasons?)")
LETTER = re.compile(r"[^\W\d_]")
SHORTEST_DESCRIPTION = 3
EARLIEST_YEAR, LATEST_YEAR = 1870, 2100


def repair(frame: "pd.DataFrame") -> tuple["pd.DataFrame", list[str]]:
    """Repair a catalogue, as far as it has the columns."""
    frame = frame.copy()
    notes = []
    for step in (
        _clean_characters,
        _move_durations,
        _retype_shows,
        _drop_placeholders,
        _drop_copied_directors,
        _drop_zero_minutes,
        _count_unknown_durations,
    ):
        notes += step(frame)
    return frame.mask(frame == ""), notes


def _clean_characters(frame: "pd.DataFrame") -> list[str]:
    """Remove what nobody sees: it would keep equal titles apart."""
    counts = {what: dict.fromkeys(map(str, frame), 0) for what in UNSEEN}
    for column in map(str, frame):
        values = frame[column].tolist()
        cleaned = [_clean(v) for v in values]
        for before, after in zip(values, cleaned, strict=True):
            if before != after:
                for what, is_there in UNSEEN.items():
                    counts[what][column] += is_there(before)
        frame[column] = cleaned
    return [
        f"{what} removed from {counted(total, 'cell')} ({by_name(columns)})."
        for what, columns in counts.items()
        if (total := sum(columns.values()))
    ]


def _clean(value: str) -> str:
    if any(c in value for c in INVISIBLE):
        value = value.translate(dict.fromkeys(map(ord, INVISIBLE)))
    return " ".join(value.split())


def _move_durations(frame: "pd.DataFrame") -> list[str]:
    if not {"rating", "duration"} <= {*frame}:
        return []
    misplaced = frame["rating"].str.fullmatch(DURATION.pattern)
    if not misplaced.any():
        return []
    films = int((misplaced & frame["rating"].str.endswith("min")).sum())
    empty = misplaced & (frame["duration"] == "")
    frame.loc[empty, "duration"] = frame.loc[empty, "rating"]
    frame.loc[misplaced, "rating"] = ""
    count = int(misplaced.sum())
    note = (
        f"{counted(count, 'duration')} moved out of the column of content ratings "
        f"({films:,} in minutes, {count - films:,} in seasons)."
    )
    return [note]


def _retype_shows(frame: "pd.DataFrame") -> list[str]:
    if not {"type", "duration"} <= {*frame}:
        return []
    wrong = (frame["type"] == "Movie") & frame["duration"].str.contains(" Season")
    frame.loc[wrong, "type"] = "TV Show"
    count = int(wrong.sum())
    return (
        [f"{counted(count, 'show')} with seasons retyped from Movie to TV Show."]
        if count
        else []
    )


def _drop_copied_directors(frame: "pd.DataFrame") -> list[str]:
    if not {"director", "description"} <= {*frame}:
        return []
    wrong = (frame["director"] != "") & (frame["director"] == frame["description"])
    frame.loc[wrong, "director"] = ""
    count = int(wrong.sum())
    if not count:
        return []
    return [f"{counted(count, 'director')} set to missing: a copy of the description."]


def _drop_placeholders(frame: "pd.DataFrame") -> list[str]:
    """Empty people without a letter ("1"), and descriptions of one or two characters."""
    notes = []
    for column, rule in (
        ("director", lambda v: not LETTER.search(v)),
        ("cast", lambda v: not LETTER.search(v)),
        ("description", lambda v: len(v) < SHORTEST_DESCRIPTION),
    ):
        if column not in frame:
            continue
        wrong = (frame[column] != "") & frame[column].map(rule).astype(bool)
        if wrong.any():
            counts = frame.loc[wrong, column].value_counts().to_dict()
            values = by_name({shorten(k): n for k, n in counts.items()})
            frame.loc[wrong, column] = ""
            notes.append(
                f"{counted(int(wrong.sum()), 'placeholder')} in {column} set to missing "
                f"({values})."
            )
    return notes


def _drop_zero_minutes(frame: "pd.DataFrame") -> list[str]:
    if "duration" not in frame:
        return []
    short = frame["duration"].str.fullmatch("[0-3] min")
    zero = frame["duration"] == "0 min"
    frame.loc[zero, "duration"] = ""
    if not short.any():
        return []
    notes = [f"{counted(int(short.sum()), 'title')} of 0 to 3 minutes kept."]
    if zero.any():
        notes.append(f"{counted(int(zero.sum()), 'duration')} of 0 min set to missing.")
    return notes


def _count_unknown_durations(frame: "pd.DataFrame") -> list[str]:
    if not {"type", "duration"} <= {*frame}:
        return []
    lacking = int(((frame["type"] == "Movie") & (frame["duration"] == "")).sum())
    return [f"{counted(lacking, 'film')} without duration."] if lacking else []


def derive_columns(frame: "pd.DataFrame") -> tuple["pd.DataFrame", list[str]]:
    """Turn repaired text into numbers and dates, and add the derived columns."""
    frame, notes = frame.copy(), list[str]()
    if "release_year" in frame:
        notes += _parse_years(frame)
    if "date_added" in frame:
        notes += _parse_dates(frame)
    if "duration" in frame:
        notes += _parse_durations(frame)
    if "rating" in frame:
        labels = frame["rating"].dropna().unique()
        frame["maturity"] = (
            frame["rating"].map({x: age_from(x) for x in labels}).astype("float64")
        )
        if unknown := unknown_labels(labels):
            count = int(frame["rating"].isin(unknown).sum())
            notes.append(
                f"{counted(count, 'content rating')} of no known system: "
                f"{listed(unknown)}."
            )
    return frame, notes


def _parse_years(frame: "pd.DataFrame") -> list[str]:
    import pandas as pd

    text = frame["release_year"]
    years = pd.to_numeric(text, errors="coerce").astype("float64")
    years = years.where(years.between(EARLIEST_YEAR, LATEST_YEAR))
    frame["release_year"] = years
    return _not_understood(text, years, "release_year")


def _parse_dates(frame: "pd.DataFrame") -> list[str]:
    import pandas as pd

    text = frame["date_added"]
    dates = pd.to_datetime(text, format="%B %d, %Y", errors="coerce")
    others = pd.to_datetime(text, format="ISO8601", errors="coerce")
    frame["date_added"] = dates.fillna(others).dt.as_unit("s")
    return _not_understood(text, frame["date_added"], "date_added")


def _parse_durations(frame: "pd.DataFrame") -> list[str]:
    parts = frame["duration"].str.extract(rf"^{DURATION.pattern}$")
    numbers = parts[0].astype("float64")
    frame["duration_minutes"] = numbers.where(parts[1] == "min")
    frame["n_seasons"] = numbers.where(parts[1].str.startswith("Season", na=False))
    return _not_understood(frame["duration"], numbers, "duration")


def _not_understood(
    text: "pd.Series[str]", parsed: "pd.Series[float]", column: str
) -> list[str]:
    odd = text[text.notna() & parsed.isna()]
    if odd.empty:
        return []
    note = (
        f"{counted(len(odd), 'cell')} of {column} set to missing: it cannot be read, such "
        f"as {shorten(str(odd.iloc[0]))}."
    )
    return [note]
