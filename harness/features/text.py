"""The text block: what titles and descriptions are about."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.features.embedding import embed
from harness.features.parts import Part, scale_part
from harness.features.sentences import meaning_parts

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = ["TEXT_COLUMNS", "extract_keywords", "text_parts"]

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

    Parameters
    ----------
    catalogue : Catalogue
        Its columns ``description`` and ``title``, if it has them.
    sentence_model : str, optional
        Such a model; see `harness.features.sentences.meaning_parts`.

    Returns
    -------
    tuple of Part
        Embeddings with the most telling direction first, and keywords; may be empty.

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
    """Find the words that set the description of a title apart.

    Parameters
    ----------
    catalogue : Catalogue
        Its column ``description``, if it has one.
    n_keywords : int, default 5
        How many a title, at most.

    Returns
    -------
    list of list of str, length n_items
        The terms of largest TF-IDF, largest first; none without a description.
    """
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
