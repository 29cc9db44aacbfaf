import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.linking.link import LINK_COLUMNS, link, write_linked
from harness.data.load import load_dataset
from harness.data.readers.streaming import read_streaming_catalogue
from harness.errors import DataError


def test_only_linked_titles_their_ratings_and_their_users_remain(rated, shown, pair):
    dataset = rated(("Alien", 1979), ("Unknown Film", 2000), ("Aliens", 1986))
    result = link(dataset, shown(*pair))
    linked = result.dataset.ratings
    assert linked.item_ids.tolist() == ["m0", "m2"]
    start = dataset.ratings.timestamps.min()
    assert (linked.timestamps - start).tolist() == [0, 4, 1, 5]  # by user
    assert linked.rows.tolist() == [0, 2, 1, 3]
    was = dict(zip(dataset.ratings.timestamps, dataset.ratings.values, strict=True))
    is_now = dict(zip(linked.timestamps, linked.values, strict=True))
    assert is_now == {start + t: was[start + t] for t in (0, 1, 4, 5)}
    assert result.dataset.catalogue.frame["unique_id"].tolist() == ["m0", "m2"]
    assert (result.counts.n_ratings, result.counts.n_ratings_before) == (4, 6)


def test_what_belongs_to_a_rating_stays_with_it(rated, shown, pair):
    dataset = rated(("Alien", 1979), ("Unknown Film", 2000), ("Aliens", 1986))
    seconds = dataset.ratings.timestamps - dataset.ratings.timestamps.min()
    minutes = seconds.astype(np.float32)
    test = seconds >= 3
    whole = Dataset(
        name="toy", ratings=dataset.ratings, catalogue=dataset.catalogue, source="toy",
        predefined_test=test, watch_minutes=minutes,
    )  # fmt: skip
    linked = link(whole, shown(*pair)).dataset
    start = dataset.ratings.timestamps.min()
    now = (linked.ratings.timestamps - start).tolist()
    assert linked.watch_minutes.tolist() == now
    assert linked.predefined_test.tolist() == [False, True, False, True]


def test_the_same_input_gives_the_same_links_and_is_not_modified(rated, shown, pair):
    dataset, catalogue = rated(*pair, ("Mud", 2012)), shown(("Mud", 2012), *pair)
    before = catalogue.copy()
    first, second = link(dataset, catalogue), link(dataset, catalogue)
    assert first.dataset.fingerprint == second.dataset.fingerprint
    pd.testing.assert_frame_equal(catalogue, before)


def test_ratings_without_titles_are_refused(rated, shown, pair):
    dataset = rated(*pair)
    bare = Dataset(
        name="toy",
        ratings=dataset.ratings,
        catalogue=Catalogue.empty(),
        source="toy.csv",
    )
    with pytest.raises(DataError, match=r"toy\.csv: titles and years are needed"):
        link(bare, shown(*pair))


def test_too_few_links_are_refused(rated, shown, pair):
    with pytest.raises(DataError, match=r"at least two rated titles .* but 1 of 2 are"):
        link(rated(*pair), shown(pair[0]))


def test_a_linked_data_set_loads_again(rated, shown, pair, tmp_path):
    dataset = rated(*pair, ("Mud", 2012))
    result = link(dataset, shown(("Mud", 2012, "Jeff Nichols"), *pair))
    write_linked(result, tmp_path / "linked")
    again = load_dataset(str(tmp_path / "linked"))
    assert again.ratings.fingerprint() == result.dataset.ratings.fingerprint()
    assert again.catalogue.frame["director"].tolist()[2] == "Jeff Nichols"
    assert again.notes[: len(result.dataset.notes)] == result.dataset.notes
    table = pd.read_csv(tmp_path / "linked" / "links.csv")
    assert tuple(table.columns) == LINK_COLUMNS
    assert [p.name for p in tmp_path.iterdir()] == ["linked"]


def test_a_folder_that_is_not_empty_is_left_alone(rated, shown, pair, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = link(rated(*pair), shown(*pair))
    with pytest.raises(DataError, match="already and not empty"):
        write_linked(result, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture
def streaming(real_data):
    return read_streaming_catalogue(sorted(real_data.glob("catalogue/*.csv")))[0]


def test_ml_latest_small_links_to_about_two_thousand_films(real_data, streaming):
    result = link(load_dataset(str(real_data / "ml-latest-small")), streaming)
    linked = result.dataset.ratings
    # A plain join by title and year finds 2,012 films and 32,289 ratings.
    assert len(result.links) == pytest.approx(2_012, rel=0.03)
    assert len(linked) == pytest.approx(32_289, rel=0.03)
    assert linked.n_users == 610
    assert linked.mean == pytest.approx(3.509, abs=0.02)


def test_published_remakes_are_told_apart(real_data, streaming):
    result = link(load_dataset(str(real_data / "ml-latest-small")), streaming)
    found = dict(zip(result.links["item_id"], result.links["unique_id"], strict=True))
    # The catalogues have Beauty and the Beast of 2017 and another of that name, Cinderella
    # of 1950 and 2021, The Jungle Book of 2016 and a show, and a documentary Apollo 13.
    assert found["168366"] == "DSN_423"
    assert found["1022"] == "DSN_792"
    assert found["137857"] == "DSN_498"
    absent = {
        "595": "Beauty and the Beast (1991)",
        "7064": "Beauty and the Beast (1946)",
        "63239": "Cinderella (1997)",
        "130073": "Cinderella (2015)",
        "2078": "The Jungle Book (1967)",
        "362": "The Jungle Book (1994)",
        "150": "Apollo 13 (1995)",
        "175303": "It (2017), not I.T. (2016)",
    }
    assert not absent.keys() & found.keys()


def test_ml_100k_links_to_about_280_films(real_data, streaming):
    result = link(load_dataset(str(real_data / "ml-100k")), streaming)
    assert len(result.links) == pytest.approx(282, rel=0.03)
    assert len(result.dataset.ratings) == pytest.approx(26_246, rel=0.03)
