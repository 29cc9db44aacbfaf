"""Texts by what they mean: with a stand-in for the library, and with the real one."""

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.errors import DataError, MissingExtraError, ParameterError
from harness.features import text as sentences
from harness.features.blocks import title_blocks
from harness.features.text import meaning_parts, text_parts
from harness.models.content.model import Content

DESCRIPTIONS = ["crime one", "love two", "crime three", "love one", None, "  "]


class StandIn:
    """Embeds a text by which words it has; counts what it is asked."""

    loaded: ClassVar[list[str]] = []
    encoded: ClassVar[list[str]] = []

    def __init__(self, name, *, device):
        assert device == "cpu"
        if name == "nobody/absent":
            raise OSError("no network")
        self.loaded.append(name)
        print("Loading weights", file=sys.stderr)

    def encode(self, texts, **options):
        assert options["normalize_embeddings"]
        assert not options["show_progress_bar"]
        self.encoded.extend(texts)
        words = ("crime", "love", "one", "two")
        table = np.array([[word in text for word in words] for text in texts], "f4")
        return table / np.maximum(1, np.linalg.norm(table, axis=1, keepdims=True))


@pytest.fixture
def library(monkeypatch):
    """Put the stand-in where the library would be."""
    module = ModuleType("sentence_transformers")
    module.__spec__ = ModuleSpec("sentence_transformers", None)
    module.SentenceTransformer = StandIn
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    StandIn.loaded, StandIn.encoded = [], []
    return StandIn


@pytest.fixture
def absent(monkeypatch):
    """Take the library away."""
    monkeypatch.setattr(sentences, "find_spec", lambda _: None)


def catalogue(**columns):
    return Catalogue(pd.DataFrame(columns))


@pytest.mark.usefixtures("library")
def test_texts_of_one_meaning_are_close():
    (part,) = meaning_parts(catalogue(description=DESCRIPTIONS), ["description"], "m")
    similar = part.values @ part.values.T
    assert similar[0, 2] > 0 > similar[0, 1]
    assert similar[1, 3] > 0 > similar[1, 2]
    assert not part.values[4:].any()
    assert part.names[0] == "description meaning 1"


@pytest.mark.usefixtures("library")
def test_the_first_direction_explains_most_and_products_are_those_of_the_model():
    (part,) = meaning_parts(catalogue(description=DESCRIPTIONS), ["description"], "m")
    known = part.values[:4].astype(float)
    spreads = known.std(axis=0)
    assert np.all(np.diff(spreads) <= 1e-6)
    plain = StandIn("m", device="cpu").encode(
        DESCRIPTIONS[:4], normalize_embeddings=True, show_progress_bar=False
    )
    plain = plain - plain.mean(axis=0)
    scale = np.sqrt((plain**2).sum(axis=1).mean())
    np.testing.assert_allclose(
        known @ known.T, plain @ plain.T / scale**2, rtol=0, atol=1e-6
    )


def test_the_model_is_loaded_once_and_reads_equal_texts_once(library, capfd):
    titles = ["crime one", "crime one", "love"]
    parts = text_parts(catalogue(title=titles, description=titles), sentence_model="m")
    assert [part.names[0] for part in parts[:2]] == [
        "description meaning 1",
        "title meaning 1",
    ]
    assert library.loaded == ["m"]
    assert sorted(library.encoded) == ["crime one", "love"]
    assert capfd.readouterr() == ("", "")


def test_without_two_different_texts_the_model_is_not_even_loaded(library):
    assert meaning_parts(catalogue(title=["one", "one"]), ["title"], "m") == ()
    assert meaning_parts(Catalogue.empty(), ["title"], "m") == ()
    assert library.loaded == []


@pytest.mark.usefixtures("library")
def test_a_model_that_cannot_be_loaded_is_one_sentence():
    wanted = r"'nobody/absent' cannot be loaded \(OSError\); name a folder"
    with pytest.raises(DataError, match=wanted):
        meaning_parts(catalogue(title=["a", "b"]), ["title"], "nobody/absent")


def test_blocks_of_both_kinds_are_kept_apart_and_built_once(library):
    films = catalogue(description=DESCRIPTIONS, title=list("abcdef"))
    by_meaning = title_blocks(films, sentence_model="m")["text"]
    by_terms = title_blocks(films)["text"]
    assert any("meaning" in name for name in by_meaning.names)
    assert not any("meaning" in name for name in by_terms.names)
    assert title_blocks(films, sentence_model="m")["text"] is by_meaning
    assert library.loaded == ["m"]


def test_a_content_model_learns_from_meanings_in_all_folds_alike(library):
    dataset = load_dataset("ott")
    model = Content(text_embedding="sentence", sentence_model="m")
    for user in (10, 20):
        few = dataset.ratings.take(dataset.ratings.users < user)
        model.fit(few, dataset.catalogue)
        assert any("meaning" in name for name in model.feature_names_)
    assert library.loaded == ["m"]


@pytest.mark.usefixtures("library")
def test_a_saved_model_needs_neither_library_nor_model(tmp_path, request):
    dataset = load_dataset("ott")
    ratings = dataset.ratings.take(dataset.ratings.users < 10)
    folder = tmp_path / "encoder"
    folder.mkdir()
    model = Content(text_embedding="sentence", sentence_model=str(folder))
    model.fit(ratings, dataset.catalogue).save(tmp_path / "saved")
    folder.rmdir()
    request.getfixturevalue("absent")
    loaded = Content.load(tmp_path / "saved")
    assert loaded.hyperparameters() == model.hyperparameters()
    pairs = ratings.users, ratings.items
    np.testing.assert_array_equal(loaded.predict(*pairs), model.predict(*pairs))


@pytest.mark.usefixtures("absent")
def test_without_the_library_the_choice_says_what_to_install():
    with pytest.raises(
        MissingExtraError, match=r"pip install 'recommender-harness\[embeddings\]'"
    ):
        Content(text_embedding="sentence")
    assert Content().text_embedding == "lsa"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_embedding": "bert"}, "text_embedding must be one of .*got 'bert'"),
        ({"sentence_model": "a b"}, "sentence_model must be a folder that exists"),
        ({"sentence_model": "/no/such/folder"}, "but got '/no/such/folder'"),
    ],
)
def test_what_can_be_no_model_is_refused(settings, message):
    with pytest.raises(ParameterError, match=message):
        Content(**settings)


def test_a_real_model_finds_what_terms_do_not_share():
    """Needs the library, and the folder of a model in HARNESS_TEST_SENTENCE_MODEL."""
    folder = os.environ.get("HARNESS_TEST_SENTENCE_MODEL", "")
    if not importlib.util.find_spec("sentence_transformers") or not folder:
        pytest.skip(
            "the optional extra embeddings, or a folder with a model, is absent"
        )
    assert Path(folder).is_dir()
    films = [
        "A detective hunts a murderer.",
        "Police look for the killer of a banker.",
        "Two people fall in love in Paris.",
        "A romance blossoms between neighbours.",
    ]
    (part,) = meaning_parts(catalogue(description=films), ["description"], folder)
    similar = part.values @ part.values.T
    assert similar[0, 1] > max(similar[0, 2:])
    assert similar[2, 3] > max(similar[2, :2])
