"""The four feature blocks of titles, computed once for each catalogue."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from harness.data.catalogue import Catalogue
from harness.features.genre import GENRE_COLUMNS, genre_parts
from harness.features.metadata import METADATA_COLUMNS, metadata_parts
from harness.features.parts import Block, Part
from harness.features.people import PEOPLE_COLUMNS, people_parts
from harness.features.text import TEXT_COLUMNS, text_parts

__all__ = ["BLOCK_COLUMNS", "PUBLISHED_WEIGHTS", "missing_blocks", "title_blocks"]

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
    "text": text_parts,
    "people": people_parts,
}
_MOST_CATALOGUES = 4
_built: OrderedDict[int, tuple[Any, dict[str, Block]]] = OrderedDict()
_lock = threading.Lock()


def title_blocks(catalogue: Catalogue) -> dict[str, Block]:
    """Build the blocks that a catalogue allows; what was built before is not built again.

    The last four catalogues are remembered, by identity of their frame: nothing here
    depends on ratings, so all folds and trials share it.

    Parameters
    ----------
    catalogue : Catalogue
        Its frame must not be modified afterwards.

    Returns
    -------
    dict of str to Block
        Blocks that tell titles apart, in the order of `BLOCK_COLUMNS`; empty for an empty
        catalogue. Shared: not to be modified.
    """
    if not len(catalogue):
        return {}
    key = id(catalogue.frame)
    with _lock:
        if key not in _built:
            # The frame is kept with its blocks, so that nothing else can get its id.
            _built[key] = (catalogue.frame, _build(catalogue))
        _built.move_to_end(key)
        while len(_built) > _MOST_CATALOGUES:
            _built.popitem(last=False)
        return dict(_built[key][1])


def _build(catalogue: Catalogue) -> dict[str, Block]:
    built = {name: builder(catalogue) for name, builder in _BUILDERS.items()}
    return {
        name: Block(name=name, parts=parts) for name, parts in built.items() if parts
    }


def missing_blocks(catalogue: Catalogue) -> list[str]:
    """Say which blocks are switched off, because the catalogue has nothing for them.

    Parameters
    ----------
    catalogue : Catalogue
        What is known about the titles; may be empty.

    Returns
    -------
    list of str
        One sentence for each block that is off.

    Examples
    --------
    >>> missing_blocks(Catalogue.empty())[1]
    'Title features: block genre is off: the catalogue has no listed_in.'
    """
    blocks = title_blocks(catalogue)
    return [
        f"Title features: block {name} is off: {_reason(catalogue, columns)}."
        for name, columns in BLOCK_COLUMNS.items()
        if name not in blocks
    ]


def _reason(catalogue: Catalogue, columns: tuple[str, ...]) -> str:
    present = [column for column in columns if catalogue.has(column)]
    if present:
        return f"no two titles can be told apart or related by {' or '.join(present)}"
    return f"the catalogue has no {' or '.join(columns)}"
