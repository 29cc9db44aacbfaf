"""Openings of the test set, counted by the ratings that were sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from harness.search.storage import (
    MARK,
    attributes_of_all,
    read_experiment_facts,
    save_experiment_facts,
)

__all__ = ["SealedRatings", "openings_by_now", "record_opening"]


@dataclass(frozen=True, kw_only=True)
class SealedRatings:
    """Which test ratings a model is judged on.

    Parameters
    ----------
    dataset : str or None
        Fingerprint of ratings and catalogue.
    ratings : str or None
        Fingerprint of the ratings alone.
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


OPENINGS = "openings"


def record_opening(storage: str, name: str) -> int:
    """Write down that the test ratings of an experiment are opened, and count openings.

    It is written before the seal is broken: an opening that ends in a crash counts too.
    Whoever has seen one test score knows something about every model on the same test
    set, so all experiments of the storage count.
    """
    facts = read_experiment_facts(storage, name)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    save_experiment_facts(storage, name, OPENINGS, [*facts.get(OPENINGS, ()), now])
    mark = facts[MARK]
    return openings_by_now(storage, mark["dataset"], mark["split"])[0]


def openings_by_now(
    storage: str, dataset: Mapping[str, Any], split: Mapping[str, Any]
) -> tuple[int, datetime | None]:
    """Count the openings of the same test ratings, and tell when the last one was."""
    sealed = SealedRatings.of(dataset, split)
    times = sorted(
        datetime.fromisoformat(time)
        for _, attrs in attributes_of_all(storage)
        if MARK in attrs and _ratings_of(attrs).are(sealed)
        for time in attrs.get(OPENINGS, ())
    )
    return len(times), times[-1] if times else None


def _ratings_of(attrs: Mapping[str, Any]) -> SealedRatings:
    return SealedRatings.of(attrs[MARK]["dataset"], attrs[MARK]["split"])
