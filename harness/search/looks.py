"""How often test ratings were opened: counted with every study and experiment."""

from collections.abc import Mapping
from typing import Any

import optuna

from harness.search.experiment_storage import MARK, attributes_of_all
from harness.search.sealed_ratings import SealedRatings
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
    opened = _ratings_of(study.user_attrs)
    return sum(
        _own(attrs)
        for _, attrs in attributes_of_all(storage)
        if _ratings_of(attrs).are(opened)
    )


def _own(attrs: Mapping[str, Any]) -> int:
    # The first version kept the looks of a study with its final result only.
    return int(attrs.get(LOOKS, (attrs.get("final") or {}).get("looks", 0)))


def _ratings_of(attrs: Mapping[str, Any]) -> SealedRatings:
    facts = attrs.get(MARK) or attrs.get("harness") or {}
    return SealedRatings.of(facts.get("dataset", {}), facts.get("split", {}))
