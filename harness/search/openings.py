"""Openings of the test set, counted by the ratings that were sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import optuna

from harness.search.attributes import read_attributes
from harness.search.storage import MARK, attributes_of_all, open_storage

__all__ = ["SealedRatings", "record_look"]


@dataclass(frozen=True, kw_only=True)
class SealedRatings:
    """Which test ratings a model is judged on.

    Parameters
    ----------
    dataset : str or None
        Fingerprint of ratings and catalogue.
    ratings : str or None
        Fingerprint of the ratings alone; the first version did not keep it.
    split : str or None
        Fingerprint of the split.
    """

    dataset: str | None
    ratings: str | None
    split: str | None

    @classmethod
    def of(cls, dataset: Mapping[str, Any], split: Mapping[str, Any]) -> Self:
        """Identify them by what is kept of data and split."""
        return cls(
            dataset=dataset.get("fingerprint"),
            ratings=dataset.get("ratings_fingerprint"),
            split=split.get("fingerprint"),
        )

    def are(self, others: "SealedRatings") -> bool:
        """Tell whether they are the same, be the catalogue the same or not."""
        if self.split != others.split:
            return False
        if self.ratings is None or others.ratings is None:
            return self.dataset == others.dataset
        return self.ratings == others.ratings

    def __str__(self) -> str:
        """Both fingerprints, for people."""
        return f"{self.ratings or self.dataset} and {self.split}"


LOOKS = "looks"


def record_look(storage: str, name: str) -> int:
    """Write down that the test ratings of a study or an experiment are opened.

    It is written before the seal is broken: a look that ends in a crash counts too.
    """
    study = optuna.load_study(study_name=name, storage=open_storage(storage))
    attributes = read_attributes(study.user_attrs)
    study.set_user_attr(LOOKS, _own(attributes) + 1)
    opened = _ratings_of(attributes)
    return sum(
        _own(attrs)
        for _, attrs in attributes_of_all(storage)
        if _ratings_of(attrs).are(opened)
    )


def _own(attrs: Mapping[str, Any]) -> int:
    return int(attrs.get(LOOKS, 0))


def _ratings_of(attrs: Mapping[str, Any]) -> SealedRatings:
    facts = attrs.get(MARK) or attrs.get("harness") or {}
    return SealedRatings.of(facts.get("dataset", {}), facts.get("split", {}))
