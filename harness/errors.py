"""Errors the harness raises on purpose.

The tree is::

    HarnessError
    ├── DataError            ratings or a catalogue that cannot be used
    ├── DownloadError        a data set that could not be fetched intact
    ├── SpaceError           a search space that cannot be sampled
    ├── ParameterError       a hyperparameter outside its domain
    ├── UnknownNameError     a family, metric or data set nobody registered
    ├── ExperimentError      an experiment file that cannot be run
    ├── StudyError           a study that cannot be started, continued or read
    │   └── SearchFailedError   ... because its trials fail one after the other
    ├── TrainingError        a training that ended in numbers that are not finite
    ├── TrackingError        an MLflow store that cannot be used
    ├── MissingExtraError    an optional library that is not installed
    ├── UnsupportedError     something that a family of models cannot do
    └── NotFittedError       a prediction asked of a model without parameters

The command line prints these without a traceback and exits with code 2.
Anything else is a bug, and is allowed to crash.
"""

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "DataError",
    "DownloadError",
    "ExperimentError",
    "HarnessError",
    "MissingExtraError",
    "NotFittedError",
    "ParameterError",
    "SearchFailedError",
    "SpaceError",
    "StudyError",
    "TrackingError",
    "TrainingError",
    "UnknownNameError",
    "UnsupportedError",
]


_MOST_LISTED = 40


class HarnessError(Exception):
    """Base class of every error the harness raises on purpose."""


class DataError(HarnessError, ValueError):
    """Ratings or a catalogue that cannot be used: says where and what is allowed."""


class DownloadError(HarnessError, OSError):
    """A data set that could not be fetched intact; nothing is left behind."""


class SpaceError(HarnessError, ValueError):
    """A search space that cannot be sampled: names file, key and line."""


class ParameterError(HarnessError, ValueError):
    """A hyperparameter outside its domain."""


class ExperimentError(HarnessError, ValueError):
    """An experiment file that cannot be run: names file, key and line."""


class StudyError(HarnessError, RuntimeError):
    """A study that cannot be started, continued or read."""


class SearchFailedError(StudyError):
    """A study whose trials fail one after the other."""


class TrackingError(HarnessError, RuntimeError):
    """An MLflow store that cannot be used."""


class TrainingError(HarnessError, ArithmeticError):
    """A training that ended in numbers that are not finite: says which settings to try."""


class MissingExtraError(HarnessError, ImportError):
    """An optional library that is not installed: says what to install."""


class NotFittedError(HarnessError, AttributeError):
    """A prediction asked of a model that has no parameters yet."""


class UnsupportedError(HarnessError):
    """Something that a family of models cannot do: says which family can."""


class UnknownNameError(HarnessError, LookupError):
    """A name that is not in the registry it was looked up in.

    Parameters
    ----------
    kind : str
        What was looked up, as a singular noun: ``"family"``.
    name : str
        The name that was not found.
    known : iterable of str
        The names that would have been.
    meant : sequence of str, optional
        Those that others call so; by default the one that is spelt nearly so.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], meant: Sequence[str] = ()
    ) -> None:
        known = sorted(known)
        close = meant or difflib.get_close_matches(name, known, n=1)
        more = len(known) - _MOST_LISTED
        names = ", ".join(map(repr, known[:_MOST_LISTED]))
        names += f" and {more:,} more" if more > 0 else ""
        choice = f"Choose from {names}." if known else "None exists."
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else choice
        super().__init__(f"There is no {kind} named {name!r}. {hint}")
