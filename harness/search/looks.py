"""How often test ratings were opened: counted with every study and experiment."""

from collections.abc import Mapping
from typing import Any

import optuna

from harness.search.experiment_storage import MARK, attributes_of_all
from harness.search.storage import open_storage

__all__ = ["record_look"]

LOOKS = "looks"


def record_look(storage: str, name: str) -> int:
    """Write down that the test ratings of a study or an experiment are opened.

    It is written before the seal is broken: a look that ends in a crash counts too.

    Parameters
    ----------
    storage : str
        URL or path.
    name : str
        Name of the study or experiment, which exists.

    Returns
    -------
    int
        Looks at the test ratings of this split so far, this one included, by all studies
        and experiments of the storage: whoever has seen one test score knows something
        about every model on the same test set.
    """
    study = optuna.load_study(study_name=name, storage=open_storage(storage))
    study.set_user_attr(LOOKS, _own(study.user_attrs) + 1)
    return sum(
        _own(attrs)
        for _, attrs in attributes_of_all(storage)
        if _same_test(attrs, study.user_attrs)
    )


def _own(attrs: Mapping[str, Any]) -> int:
    # The first version kept the looks of a study with its final result only.
    return int(attrs.get(LOOKS, (attrs.get("final") or {}).get("looks", 0)))


def _same_test(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether the test ratings are the same, be the catalogue the same or not."""
    (data, split), (other_data, other_split) = map(_facts_of, (one, other))
    if split.get("fingerprint") != other_split.get("fingerprint"):
        return False
    # The first version kept the fingerprint of ratings and catalogue together only.
    both = "ratings_fingerprint" in data and "ratings_fingerprint" in other_data
    key = "ratings_fingerprint" if both else "fingerprint"
    return bool(data.get(key) == other_data.get(key))


def _facts_of(attrs: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    facts = attrs.get(MARK) or attrs.get("harness") or {}
    return facts.get("dataset", {}), facts.get("split", {})
