"""What texts mean, by a sentence-embedding model: an optional library, loaded when asked."""

import contextlib
import importlib
import io
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.errors import DataError, MissingExtraError
from harness.features.embedding import MAX_COMPONENTS
from harness.features.parts import Part, scale_part

__all__ = [
    "DEFAULT_MODEL",
    "is_model_name",
    "meaning_parts",
    "require_sentence_transformers",
]

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""22 million parameters, 384 dimensions, 90 MB: small enough for a processor."""

_LIBRARY = "sentence_transformers"
_ON_THE_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
_BATCH = 64


def require_sentence_transformers() -> None:
    """Check that the library is there, without the seconds that importing it takes.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    if find_spec(_LIBRARY) is None:
        raise MissingExtraError(
            "text_embedding = 'sentence' needs sentence-transformers, which is not "
            "installed: pip install 'harness[embeddings]' brings it, and PyTorch with it "
            "(some GB); 'lsa' needs neither."
        )


def is_model_name(name: str) -> bool:
    """Say whether a text can name a model.

    Parameters
    ----------
    name : str
        A folder that holds one, or a name on the model hub.

    Returns
    -------
    bool
        Whether such a folder exists, or the name is well formed.

    Examples
    --------
    >>> is_model_name(DEFAULT_MODEL), is_model_name("no such thing")
    (True, False)
    """
    return bool(_ON_THE_HUB.fullmatch(name)) or Path(name).is_dir()


def meaning_parts(
    catalogue: Catalogue, columns: Sequence[str], model: str
) -> tuple[Part, ...]:
    """Embed the texts of columns by what they mean [1]_.

    Equal texts are embedded once. The coordinates are turned to the directions in which
    the texts of a column differ most, of which the first 64 are kept.

    Parameters
    ----------
    catalogue : Catalogue
        Its columns, as far as it has them.
    columns : sequence of str
        ``"description"``, ``"title"``.
    model : str
        Folder of a model, or its name on the model hub.

    Returns
    -------
    tuple of Part
        One for each column with two different texts, the most telling direction first.

    Raises
    ------
    DataError
        If the model cannot be loaded.

    References
    ----------
    .. [1] N. Reimers and I. Gurevych, "Sentence-BERT: sentence embeddings using Siamese
       BERT-networks", EMNLP 2019.
    """
    texts = {
        column: [str(text).strip() for text in catalogue.frame[column].fillna("")]
        for column in columns
        if catalogue.has(column)
    }
    different = sorted({text for of_column in texts.values() for text in of_column})
    if len(different) < 2:
        return ()
    embedded = _encode(different, model)
    place = {text: k for k, text in enumerate(different)}
    parts = []
    for column, of_column in texts.items():
        rows = embedded[[place[text] for text in of_column]].astype(np.float64)
        known = np.array([bool(text) for text in of_column], dtype=bool)
        turned = _turn(rows, known)
        names = [f"{column} meaning {k + 1}" for k in range(turned.shape[1])]
        parts.append(scale_part(names, turned, known, ranked=True))
    return tuple(part for part in parts if part is not None)


def _encode(texts: Sequence[str], model: str) -> npt.NDArray[np.float32]:
    library = importlib.import_module(_LIBRARY)
    try:
        # It draws a progress bar while it loads. A graphics card would round otherwise
        # than a processor: equal texts, equal numbers.
        with contextlib.redirect_stderr(io.StringIO()):
            encoder = library.SentenceTransformer(model, device="cpu")
    except (OSError, ValueError) as error:
        raise DataError(
            f"The sentence-embedding model {model!r} cannot be loaded "
            f"({type(error).__name__}); name a folder that holds one, or get it on a "
            "machine with a network first."
        ) from error
    encoded: Any = encoder.encode(
        list(texts),
        batch_size=_BATCH,
        convert_to_numpy=True,
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    embedded: npt.NDArray[np.float32] = np.asarray(encoded, dtype=np.float32)
    return embedded


def _turn(
    rows: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Turn rows to their principal axes, the one of the greatest variance first."""
    centred = rows - rows[known].mean(axis=0)
    _, axes = np.linalg.eigh(centred[known].T @ centred[known])
    chosen = axes[:, ::-1][:, :MAX_COMPONENTS]
    # Which way an axis points is arbitrary: the largest of its numbers is made positive.
    largest = chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])]
    turned: npt.NDArray[np.float64] = centred @ (chosen * np.sign(largest))
    return turned
