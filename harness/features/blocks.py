"""The four feature blocks of titles, computed once for each catalogue."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from cachetools import LRUCache

from harness.data.catalogue import Catalogue
from harness.features.genres_people import (
    GENRE_COLUMNS,
    PEOPLE_COLUMNS,
    genre_parts,
    people_parts,
)
from harness.features.metadata import METADATA_COLUMNS, metadata_parts
from harness.features.parts import Block, Part
from harness.features.text import TEXT_COLUMNS, text_parts
from harness.plain import Params

__all__ = [
    "BLOCK_COLUMNS",
    "PUBLISHED_WEIGHTS",
    "block_weights",
    "blocks_off",
    "explain_blocks_off",
    "title_blocks",
]


BLOCK_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "metadata": METADATA_COLUMNS,
    "genre": GENRE_COLUMNS,
    "text": TEXT_COLUMNS,
    "people": PEOPLE_COLUMNS,
}
"""From which columns of a catalogue each block is made; any of them will do."""

PUBLISHED_WEIGHTS: Mapping[str, float] = {
    "metadata": 0.30,
    "genre": 0.35,
    "text": 0.20,
    "people": 0.15,
}
"""Weights of the published study."""

_BUILDERS: Mapping[str, Callable[[Catalogue], tuple[Part, ...]]] = {
    "metadata": metadata_parts,
    "genre": genre_parts,
    "people": people_parts,
}
_Key = tuple[int, str | None]
_built: LRUCache[_Key, tuple[Any, dict[str, Block]]] = LRUCache(maxsize=4)
_lock = threading.Lock()


def title_blocks(
    catalogue: Catalogue, *, sentence_model: str | None = None
) -> dict[str, Block]:
    """Build the blocks that a catalogue allows; what was built before is not built again.

    The last four catalogues are remembered, by identity of their frame: nothing here
    depends on ratings, so all folds and trials share it.
    """
    if not len(catalogue):
        return {}
    key = id(catalogue.frame), sentence_model
    with _lock:
        if key not in _built:
            # The frame is kept with its blocks, so that nothing else can get its id.
            _built[key] = (catalogue.frame, _build(catalogue, sentence_model))
        return dict(_built[key][1])


def _build(catalogue: Catalogue, sentence_model: str | None) -> dict[str, Block]:
    built = {name: builder(catalogue) for name, builder in _BUILDERS.items()}
    built["text"] = text_parts(catalogue, sentence_model=sentence_model)
    return {
        name: Block(name=name, parts=built[name])
        for name in BLOCK_COLUMNS
        if built[name]
    }


def blocks_off(
    catalogue: Catalogue, *, sentence_model: str | None = None
) -> tuple[str, ...]:
    """Name the blocks that the catalogue has nothing for.

    Examples
    --------
    >>> blocks_off(Catalogue.empty())
    ('metadata', 'genre', 'text', 'people')
    """
    built = title_blocks(catalogue, sentence_model=sentence_model)
    return tuple(name for name in BLOCK_COLUMNS if name not in built)


def explain_blocks_off(
    catalogue: Catalogue, *, sentence_model: str | None = None
) -> list[str]:
    """Say why blocks are off, one sentence each.

    Examples
    --------
    >>> explain_blocks_off(Catalogue.empty())[1]
    'Title features: block genre is off: the catalogue has no listed_in.'
    """
    return [
        f"Title features: block {name} is off: "
        f"{_reason(catalogue, BLOCK_COLUMNS[name])}."
        for name in blocks_off(catalogue, sentence_model=sentence_model)
    ]


def _reason(catalogue: Catalogue, columns: tuple[str, ...]) -> str:
    present = [column for column in columns if catalogue.has(column)]
    if present:
        return f"all titles have the same {' and '.join(present)}, or each its own"
    return f"the catalogue has no {' or '.join(columns)}"


def block_weights(params: Params) -> dict[str, float]:
    """Find what share each content block has.

    Examples
    --------
    >>> weights = {"metadata_weight": 1, "genre_weight": 1, "text_weight": 2}
    >>> block_weights({**weights, "people_weight": 0})
    {'metadata': 0.25, 'genre': 0.25, 'text': 0.5, 'people': 0.0}
    """
    weights = {block: params.get(f"{block}_weight") for block in PUBLISHED_WEIGHTS}
    known = {b: float(weight) for b, weight in weights.items() if weight is not None}
    total = sum(known.values())
    if len(known) < len(weights) or total <= 0:
        return {}
    return {block: weight / total for block, weight in known.items()}
