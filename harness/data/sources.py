"""Data sets by what the user typed, so that the same can be loaded again from a record."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from harness.data.dataset import Dataset
from harness.data.loading import load_dataset
from harness.data.read_options import ReadOptions
from harness.errors import DataError

__all__ = ["load_again", "load_source"]


def load_source(source: str, given: Mapping[str, Any]) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    source : str
        ``ott``, a folder or a file; see `load_dataset`.
    given : mapping
        Fields of `ReadOptions`, as typed: `scale` is ``"LOW:HIGH"``, and several files
        are a list.

    Returns
    -------
    Dataset
        Its `options` are those given: a report repeats them in the command that
        reproduces a study.

    Raises
    ------
    DataError
        If it cannot be found, read or learnt from.
    """
    known = {field.name for field in fields(ReadOptions)}
    typed = {name: value for name, value in given.items() if value and name in known}
    options: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in typed.items()
    }
    if "scale" in options:
        options["scale"] = _parse_scale(options["scale"])
    dataset = load_dataset(source, ReadOptions(**options))
    return replace(dataset, options=typed)


def load_again(facts: Mapping[str, Any]) -> Dataset:
    """Load the data set of a study or an experiment again.

    Parameters
    ----------
    facts : mapping
        As `Dataset.facts` gave them.

    Returns
    -------
    Dataset
        It may have changed since: compare its fingerprint.

    Raises
    ------
    DataError
        If it cannot be found, read or learnt from.
    """
    return load_source(facts["source"], facts.get("options", {}))


def _parse_scale(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise DataError(
            f"The scale must be LOW:HIGH, such as 1:5 or 0.5:5, but got {text!r}."
        ) from None
