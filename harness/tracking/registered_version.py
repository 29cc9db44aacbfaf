"""A version of a registered model, and the name that it is registered by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.search.sealed_ratings import SealedRatings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["RegisteredVersion", "convert_version", "model_name"]


def model_name(dataset: str) -> str:
    """Name the registered model of a data set: what serves the same ratings competes.

    Parameters
    ----------
    dataset : str
        Name of the data set.

    Returns
    -------
    str
        The same, without what MLflow refuses in a name.

    Examples
    --------
    >>> model_name("ml-100k")
    'ml-100k'
    """
    return re.sub(r"[/:]", "-", dataset)


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model.

    Parameters
    ----------
    name : str
        Name of the registered model.
    version : int
        From 1.
    aliases : tuple of str
        ``"champion"`` ...
    created : datetime
        In UTC.
    run_id : str
        Run of its final evaluation.
    source : str
        URI of the logged model.
    tags : mapping of str to str
        What it is and how it was judged, see
        `harness.workflow.promotion_source.PromotionSource.tags`.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    created: datetime
    run_id: str
    source: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """URI that names it: ``"models:/ml-100k/3"``."""
        return f"models:/{self.name}/{self.version}"

    @property
    def test_set(self) -> SealedRatings:
        """What its figures were measured on."""
        return SealedRatings(
            dataset=self.tags.get("dataset_fingerprint"),
            ratings=self.tags.get("ratings_fingerprint"),
            split=self.tags.get("split_fingerprint"),
        )

    def figure(self, name: str) -> float | None:
        """Look up a number among the tags; None where there is none."""
        try:
            return float(self.tags[name])
        except (KeyError, ValueError):
            return None


def convert_version(
    version: "ModelVersion", aliases: Mapping[str, int]
) -> RegisteredVersion:
    """Convert what MLflow knows of a version.

    Parameters
    ----------
    version : mlflow.entities.model_registry.ModelVersion
        As the registry gives it.
    aliases : mapping of str to int
        Those of the registered model: a search of versions leaves them out.

    Returns
    -------
    RegisteredVersion
        The version.
    """
    number = int(version.version)
    return RegisteredVersion(
        name=str(version.name),
        version=number,
        aliases=tuple(alias for alias, v in aliases.items() if v == number),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        run_id=version.run_id or "",
        source=version.source or "",
        tags=dict(version.tags),
    )
