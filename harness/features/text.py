"""The text block: keywords, topics, and sentence embeddings where installed."""

import contextlib
import importlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.errors import DataError, MissingExtraError
from harness.features.parts import MAX_COMPONENTS, Part, embed, scale_part

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = [
    "DEFAULT_MODEL",
    "TEXT_COLUMNS",
    "extract_keywords",
    "is_model_name",
    "meaning_parts",
    "require_sentence_transformers",
    "text_parts",
]


DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""22 million parameters, 384 dimensions, 90 MB: small enough for a processor."""

_LIBRARY = "sentence_transformers"
_ON_THE_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
_BATCH = 64


def require_sentence_transformers() -> None:
    """Check that the library is there, without the seconds that importing it takes."""
    if find_spec(_LIBRARY) is None:
        raise MissingExtraError(
            "text_embedding = 'sentence' needs sentence-transformers, which is not "
            "installed: pip install 'recommender-harness[embeddings]' brings it, and PyTorch with it "
            "(some GB); 'lsa' needs neither."
        )


def is_model_name(name: str) -> bool:
    """Say whether a text can name a model.

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


TEXT_COLUMNS = ("description", "title")

MOST_TERMS = 20_000
KEYWORDS_A_TITLE = 5
MOST_KEYWORDS = 40


def text_parts(
    catalogue: Catalogue, *, sentence_model: str | None = None
) -> tuple[Part, ...]:
    """Build the parts of the text block.

    Descriptions and titles as TF-IDF [1]_ (English stop words left out, terms of at least
    two titles), made narrow by latent semantic analysis, or as a sentence-embedding model
    understands them; and the most frequent keywords.

    References
    ----------
    .. [1] G. Salton and C. Buckley, "Term-weighting approaches in automatic text
       retrieval", Information Processing & Management 24(5), 1988.
    """
    embeddings: Iterable[Part | None]
    if sentence_model is None:
        embeddings = (_embedding(catalogue, column) for column in TEXT_COLUMNS)
    else:
        embeddings = meaning_parts(catalogue, TEXT_COLUMNS, sentence_model)
    parts = (*embeddings, _keywords(catalogue))
    return tuple(part for part in parts if part is not None)


def extract_keywords(
    catalogue: Catalogue, n_keywords: int = KEYWORDS_A_TITLE
) -> list[list[str]]:
    """Find the words that set the description of a title apart."""
    found = _weigh_terms(catalogue, "description")
    if found is None:
        return [[] for _ in range(len(catalogue))]
    table, vectorizer = found
    terms = vectorizer.get_feature_names_out()
    keywords = []
    for row in range(table.shape[0]):
        part = slice(table.indptr[row], table.indptr[row + 1])
        largest = np.argsort(-table.data[part], kind="stable")[:n_keywords]
        keywords.append(terms[table.indices[part][largest]].tolist())
    return keywords


def _texts(catalogue: Catalogue, column: str) -> list[str]:
    return [str(text) for text in catalogue.frame[column].fillna("")]


def _weigh_terms(
    catalogue: Catalogue, column: str
) -> tuple[Any, "TfidfVectorizer"] | None:
    """Compute the TF-IDF table of a column, or None if no term is in two titles."""
    if not catalogue.has(column):
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        strip_accents="unicode",
        stop_words="english",
        min_df=2,
        max_features=MOST_TERMS,
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        table = vectorizer.fit_transform(_texts(catalogue, column))
    except ValueError:  # it has no other way to say that no term is left
        return None
    table.sort_indices()
    return table, vectorizer


def _embedding(catalogue: Catalogue, column: str) -> Part | None:
    found = _weigh_terms(catalogue, column)
    if found is None:
        return None
    table, _ = found
    coordinates = embed(table)
    names = [f"{column} topic {k + 1}" for k in range(coordinates.shape[1])]
    return scale_part(names, coordinates, np.diff(table.indptr) > 0, ranked=True)


def _keywords(catalogue: Catalogue) -> Part | None:
    of_titles = extract_keywords(catalogue)
    counts = Counter(keyword for keywords in of_titles for keyword in keywords)
    # most_common keeps the order of first appearance among equals: deterministic.
    chosen = [keyword for keyword, _ in counts.most_common(MOST_KEYWORDS)]
    place = {keyword: k for k, keyword in enumerate(chosen)}
    values: npt.NDArray[np.float32] = np.zeros(
        (len(of_titles), len(chosen)), np.float32
    )
    for row, keywords in enumerate(of_titles):
        values[row, [place[k] for k in keywords if k in place]] = 1.0
    known = np.array([bool(keywords) for keywords in of_titles], dtype=bool)
    return scale_part([f"keyword: {keyword}" for keyword in chosen], values, known)
