"""The text block."""

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.features.text import extract_keywords, text_parts

DESCRIPTIONS = [
    "A detective hunts a murderer in the city.",
    "The murderer fools a tired detective.",
    "A wedding brings a family together.",
    "The family plans a wedding by the sea.",
    None,
    "Zyzzyva.",
]


def catalogue(**columns):
    return Catalogue(pd.DataFrame(columns))


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_descriptions_on_the_same_subject_are_close():
    topics = text_parts(catalogue(description=DESCRIPTIONS))[0].values
    assert cosine(topics[0], topics[1]) > 0.9
    assert cosine(topics[2], topics[3]) > 0.9
    assert cosine(topics[0], topics[2]) < 0


def test_titles_without_a_known_word_are_at_the_mean():
    for part in text_parts(catalogue(description=DESCRIPTIONS)):
        assert not part.values[4].any()
        assert not part.values[5].any()


def test_keywords_are_what_few_other_titles_have():
    keywords = extract_keywords(catalogue(description=DESCRIPTIONS))
    assert set(keywords[0]) == {"detective", "murderer"}
    assert set(keywords[3]) == {"family", "wedding"}
    assert keywords[4] == keywords[5] == []


def test_the_rarest_keyword_comes_first():
    descriptions = ["war love", "war love", "war", "war", "war peace", "peace"]
    keywords = extract_keywords(catalogue(description=descriptions))
    assert keywords[0] == ["love", "war"]
    assert extract_keywords(catalogue(description=descriptions), 1)[0] == ["love"]


def test_titles_alone_will_do():
    parts = text_parts(catalogue(title=["Star Wars", "Star Trek", "Wars of the Roses"]))
    assert [part.names[0] for part in parts] == ["title topic 1"]


def test_texts_with_nothing_in_common_are_no_part():
    assert text_parts(catalogue(title=["Alien", "Brazil"])) == ()
    assert text_parts(catalogue(title=["The", "and"])) == ()
    assert text_parts(catalogue(type=["Movie", "Movie"])) == ()


def test_equal_texts_give_equal_numbers():
    one, two = (text_parts(catalogue(description=DESCRIPTIONS)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
