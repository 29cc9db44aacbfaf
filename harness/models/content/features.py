"""The features of titles as the content family weighs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import ParameterError
from harness.features.blocks import title_blocks
from harness.features.genres_people import director_part
from harness.features.parts import Block, read_membership
from harness.features.text import is_model_name, require_sentence_transformers
from harness.features.titles import rating_statistics_parts

__all__ = [
    "BLOCKS",
    "TextEmbedding",
    "TitleFeatures",
    "check_text_embedding",
    "describe_titles",
]


TextEmbedding = Literal["lsa", "sentence"]

BLOCKS = ("metadata", "genre", "text", "people", "statistics")
"""The four blocks of the published study, and what training ratings say of a title."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TitleFeatures:
    """One row of numbers for each title."""

    values: npt.NDArray[np.float32]
    names: npt.NDArray[np.object_]
    block_of: npt.NDArray[np.int8]

    @property
    def of_catalogue(self) -> npt.NDArray[np.float32]:
        """The columns that do not come from a title's own ratings.

        To predict a title's bias from its bias would be perfect for titles with ratings,
        and worth nothing for the others.
        """
        own = self.block_of == BLOCKS.index("statistics")
        return self.values[:, ~own]


def check_text_embedding(text_embedding: str, sentence_model: str) -> None:
    """Check how texts are to become numbers, before anything is trained."""
    if not is_model_name(sentence_model):
        raise ParameterError(
            "Content: sentence_model must be a folder that exists, or a name on the "
            f"model hub, but got {sentence_model!r}."
        )
    if text_embedding == "sentence":
        require_sentence_transformers()


def describe_titles(
    ratings: Ratings,
    catalogue: Catalogue,
    weights: Mapping[str, float],
    *,
    n_components: int,
    sentence_model: str | None = None,
) -> TitleFeatures:
    """Put the blocks side by side."""
    blocks = {
        name: block.leading(n_components)
        for name, block in title_blocks(
            catalogue, sentence_model=sentence_model
        ).items()
        if weights[name] > 0
    }
    if "people" in blocks:
        encoded = director_part(ratings, read_membership(catalogue, "director"))
        if encoded is not None:
            blocks["people"] = blocks["people"].with_part(encoded)
    total = sum(weights[name] for name in blocks)
    shares = {name: weights[name] / total for name in blocks}
    if weights["statistics"] > 0:
        parts = rating_statistics_parts(ratings)
        if parts:
            blocks["statistics"] = Block(name="statistics", parts=parts)
            shares["statistics"] = weights["statistics"]
    return _side_by_side(blocks, shares, ratings.n_items)


def _side_by_side(
    blocks: Mapping[str, Block], shares: Mapping[str, float], n_items: int
) -> TitleFeatures:
    values = [np.empty((n_items, 0), dtype=np.float32)]
    names: list[str] = []
    block_of: list[int] = []
    for name, block in blocks.items():
        values.append(block.values * np.float32(np.sqrt(shares[name])))
        names += block.names
        block_of += [BLOCKS.index(name)] * len(block.names)
    return TitleFeatures(
        values=np.hstack(values),
        names=np.array(names, dtype=object),
        block_of=np.array(block_of, dtype=np.int8),
    )
