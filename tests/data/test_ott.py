"""The simulated service has the published statistics, for whatever seed."""

import time

import numpy as np
import pandas as pd
import pytest
from surprise import SVD, KNNBasic

from harness.data.catalogue import CATALOGUE_COLUMNS, DERIVED_COLUMNS
from harness.data.dataset import Dataset
from harness.data.ott import generate_ott
from harness.data.ott.titles import deal, normal_scores, spread
from harness.data.profile import profile, published_characteristics
from harness.data.readers.repairs import age_from
from harness.models.surprise.engine import make_trainset

SEEDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def services() -> dict[int, Dataset]:
    return {seed: generate_ott(seed) for seed in SEEDS}


@pytest.fixture(scope="module")
def service(services) -> Dataset:
    return services[0]


@pytest.fixture(scope="module")
def frame(service) -> pd.DataFrame:
    return service.catalogue.frame


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(published_characteristics()))
def test_a_published_characteristic_holds_within_two_per_cent(services, seed, name):
    published = published_characteristics()[name]
    measured = profile(services[seed]).characteristics()[name]
    if isinstance(published, float | int):
        assert measured == pytest.approx(published, rel=0.02)
    else:
        assert measured == published


@pytest.fixture(scope="module")
def accuracies(services) -> dict[str, float]:
    """Average figures of two seeds, on 20 % of the ratings drawn at random."""
    figures = [_accuracies(services[seed], seed) for seed in SEEDS[:2]]
    return {name: float(np.mean([f[name] for f in figures])) for name in figures[0]}


def _accuracies(service: Dataset, seed: int) -> dict[str, float]:
    ratings = service.ratings
    test = np.random.default_rng(seed).random(len(ratings)) < 0.2
    train, test = ratings.take(~test), ratings.take(test)
    errors = {
        "svd": _predict(SVD(n_factors=100, random_state=seed), train, test),
        "knn": _predict(
            KNNBasic(sim_options={"name": "cosine", "user_based": True}, verbose=False),
            train,
            test,
        ),
        "content": _regression(service, train, test),
    }
    errors = {name: p - test.values for name, p in errors.items()}
    figures = {name: float(np.sqrt((e**2).mean())) for name, e in errors.items()}
    size = np.abs(errors["svd"])
    return figures | {
        "mae": float(size.mean()),
        "within_half_star": float((size <= 0.5).mean()),
        "within_one_star": float((size <= 1.0).mean()),
    }


def _predict(algorithm, train, test):
    algorithm.fit(make_trainset(train))
    pairs = zip(test.users.tolist(), test.items.tolist(), strict=True)
    return np.array([algorithm.predict(u, i).est for u, i in pairs])


def _regression(service, train, test):
    """Ridge regression of the rating on features of the title, the same for all users."""
    frame = service.catalogue.frame
    columns = [
        frame["listed_in"].str.get_dummies(", "),
        pd.get_dummies(frame["rating"]),
        pd.get_dummies(frame["release_year"] // 10),
        frame["duration_minutes"].fillna(100.0),
        pd.get_dummies(frame["source"]),
        pd.Series(1.0, frame.index),
    ]
    features = pd.concat(columns, axis=1).to_numpy(dtype=float)
    x, centre = features[train.items], train.mean
    weights = np.linalg.solve(
        x.T @ x + 10 * np.eye(x.shape[1]), x.T @ (train.values - centre)
    )
    return centre + features[test.items] @ weights


@pytest.mark.parametrize(
    ("figure", "published"),
    [
        ("svd", 0.5749),
        ("mae", 0.4677),
        ("within_half_star", 0.6225),
        ("within_one_star", 0.9118),
        ("knn", 0.89),
        ("content", 0.92),
    ],
)
def test_a_published_accuracy_holds_within_two_hundredths(
    accuracies, figure, published
):
    assert accuracies[figure] == pytest.approx(published, abs=0.02)


def test_the_published_rmse_holds_within_one_hundredth(accuracies):
    assert accuracies["svd"] == pytest.approx(0.5749, abs=0.01)


def test_equal_seeds_give_equal_data_whatever_others_draw(service):
    np.random.seed(7)  # noqa: NPY002 - the global state must not matter
    again = generate_ott(0)
    assert again.fingerprint == service.fingerprint
    assert np.array_equal(again.watch_minutes, service.watch_minutes)


def test_different_seeds_give_different_data(services):
    assert len({s.fingerprint for s in services.values()}) == len(SEEDS)


def test_it_says_that_it_is_simulated(service):
    assert service.simulated
    assert "simulated" in service.notes[0]


def test_it_takes_at_most_a_second_and_a_half():
    start = time.process_time()
    generate_ott(5)
    assert time.process_time() - start < 1.5


def test_ratings_are_half_stars_from_one_to_five_each_pair_once(service):
    ratings = service.ratings
    assert set(np.unique(ratings.values)) == set(np.arange(1, 5.5, 0.5))
    assert (len(ratings), ratings.n_users, ratings.n_items) == (100_000, 1_000, 2_000)
    assert len(np.unique(ratings.users * 2_000 + ratings.items)) == 100_000


def test_the_source_is_in_the_order_of_time(service):
    in_order = np.argsort(service.ratings.rows)
    assert (np.diff(service.ratings.timestamps[in_order]) >= 0).all()


def test_users_and_titles_have_long_tails_with_cold_ones_at_the_end(service):
    by_user = np.bincount(service.ratings.users)
    by_title = np.bincount(service.ratings.items, minlength=2_000)
    assert (by_user <= 5).sum() == 60
    assert 20 < (by_title == 0).sum() < 100
    assert np.sort(by_title)[-200:].sum() > 0.3 * by_title.sum()
    assert by_user.max() > 3 * np.median(by_user)


def test_no_film_is_watched_longer_than_it_runs(service, frame):
    running = frame["duration_minutes"].to_numpy()[service.ratings.items]
    films = np.isfinite(running)
    assert (service.watch_minutes[films] <= running[films]).all()
    assert (service.watch_minutes > 0).all()


def test_the_catalogue_has_the_published_form_row_by_row_with_the_items(service, frame):
    assert tuple(frame.columns) == (*CATALOGUE_COLUMNS, *DERIVED_COLUMNS)
    assert frame["unique_id"].tolist() == service.ratings.item_ids.tolist()
    assert frame["unique_id"].str.fullmatch(r"(NFX|AMZ|DSN|HLU)_\d+").all()
    assert set(frame["source"]) == {"NETFLIX", "AMAZON", "DISNEY", "HULU"}
    amazon = frame.set_index("unique_id").loc["AMZ_0"]
    assert (amazon["source"], amazon["show_id"]) == ("AMAZON", "s1")


def test_derived_columns_say_what_the_published_ones_say(frame):
    films = frame["type"] == "Movie"
    minutes = frame["duration"].str.extract(r"^(\d+) min$")[0].astype(float)
    seasons = frame["duration"].str.extract(r"^(\d+) Seasons?$")[0].astype(float)
    pd.testing.assert_series_equal(
        minutes, frame["duration_minutes"], check_names=False
    )
    pd.testing.assert_series_equal(seasons, frame["n_seasons"], check_names=False)
    assert minutes[films].notna().all()
    assert seasons[~films].notna().all()
    known = frame["rating"].notna()
    ages = [age_from(r) for r in frame["rating"][known]]
    assert frame["maturity"][known].tolist() == ages
    assert frame["maturity"][~known].isna().all()


def test_no_two_titles_share_a_name_but_people_come_back(frame):
    assert not frame["title"].str.removeprefix("The ").duplicated().any()
    assert frame["director"].value_counts().median() >= 2
    parts = frame["cast"].dropna().str.split(", ").explode().value_counts()
    assert (parts >= 3).sum() > 200


def test_no_title_was_added_before_its_release_or_after_the_first_rating(
    service, frame
):
    added = frame["date_added"].dropna()
    assert (added.dt.year >= frame["release_year"][added.index]).all()
    first = pd.Timestamp(service.ratings.timestamps.min(), unit="s")
    assert added.max() < first


def test_descriptions_tell_the_genre(frame):
    horror = frame["listed_in"].str.startswith("Horror")
    creepy = frame["description"].str.contains("haunted|demon|cursed|evil|monster")
    assert creepy[horror].mean() > 0.5
    assert creepy[~horror].mean() < 0.1


def test_metadata_explain_part_of_what_is_good_even_of_unseen_titles(services):
    """Correlation of titles' mean residuals with a regression that never saw them."""
    correlations = [_metadata_correlation(s) for s in services.values()]
    assert np.mean(correlations) > 0.2


def _metadata_correlation(service: Dataset) -> float:
    ratings, frame = service.ratings, service.catalogue.frame
    count = np.bincount(ratings.users)
    user = np.bincount(ratings.users, ratings.values) / count
    residual = np.bincount(
        ratings.items, ratings.values - user[ratings.users], ratings.n_items
    )
    given = np.bincount(ratings.items, minlength=ratings.n_items)
    good, unseen = given >= 20, np.arange(ratings.n_items) % 5 == 0
    features = pd.concat(
        [
            frame["listed_in"].str.get_dummies(", "),
            pd.get_dummies(frame["director"]),
            (
                frame[["release_year", "maturity"]]
                - frame[["release_year", "maturity"]].mean()
            )
            .div(10)
            .fillna(0.0),
        ],
        axis=1,
    ).to_numpy(dtype=float)
    learn, check = good & ~unseen, good & unseen
    mean = residual / np.maximum(given, 1)
    x = features[learn]
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ mean[learn])
    return float(np.corrcoef(features[check] @ weights, mean[check])[0, 1])


def test_spread_numbers_fill_every_twentieth_once_in_each_stratum():
    rng = np.random.default_rng(0)
    key = rng.permutation(40)
    numbers = spread(rng, key)
    for stratum in (key < 20, key >= 20):
        assert sorted((numbers[stratum] * 20).astype(int)) == list(range(20))


def test_dealing_over_evenly_spread_places_gives_the_shares_exactly():
    places = (np.arange(8) + 0.5) / 8
    assert np.bincount(deal(np.array([1.0, 2.0, 1.0]), places)).tolist() == [2, 4, 2]


def test_normal_scores_are_normal_quantiles():
    scores = normal_scores(np.array([0.5, 0.975]))
    assert scores == pytest.approx([0.0, 1.959964], abs=1e-6)
