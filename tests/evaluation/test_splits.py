import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.ratings import Ratings, RatingScale
from harness.errors import DataError, UnknownNameError
from harness.evaluation.splits import SPLIT_METHODS, assign_folds, split_off_test


def dataset_of(ratings, **more):
    return Dataset(
        name="toy", ratings=ratings, catalogue=Catalogue.empty(), source="toy", **more
    )


@st.composite
def ratings_of(draw):
    n = draw(st.integers(12, 60))
    users = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    items = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    times = draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))
    times[:2] = [0, 50]  # at one moment nothing is later
    # At least two users and items, so that every method has something to leave over.
    users[:2], items[:2] = [0, 1], [0, 1]
    return Ratings.from_columns(
        [str(u) for u in users],
        [str(i) for i in items],
        np.ones(n),
        scale=RatingScale(0, 2),
        timestamps=np.array(times, dtype=np.int64),
    )


def brute_force(times, wanted):
    """Try every cut between two times, and none."""
    cuts = [sum(t >= cut for t in times) for cut in sorted(set(times))[1:]]
    return min([*cuts, 0], key=lambda n: (abs(n - wanted), n))


SEEDED = [m for m in SPLIT_METHODS if m not in {"none", "predefined", "user-temporal"}]


@pytest.mark.parametrize("method", SEEDED)
@given(ratings=ratings_of(), seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_training_and_test_part_are_a_partition(method, ratings, seed):
    split = split_off_test(dataset_of(ratings), method=method, seed=seed)
    test = split.test.open()
    rows = np.concatenate([split.train.rows, test.rows])
    assert sorted(rows) == list(range(len(ratings)))
    assert split.facts.n_train == len(split.train)
    assert split.facts.n_test == len(test) == len(split.test)


@given(ratings=ratings_of())
@settings(max_examples=25, deadline=None)
def test_temporal_test_ratings_are_later_than_all_training_ratings(ratings):
    split = split_off_test(dataset_of(ratings), method="temporal")
    assert split.test.open().timestamps.min() > split.train.timestamps.max()


@given(ratings=ratings_of())
@settings(max_examples=25, deadline=None)
def test_user_temporal_takes_about_the_latest_fifth_of_each_user(ratings):
    mine = [ratings.timestamps[ratings.users == u] for u in range(ratings.n_users)]
    wanted = [brute_force(times, int(0.2 * len(times))) for times in mine]
    if not any(wanted):
        with pytest.raises(DataError, match="0 test ratings"):
            split_off_test(dataset_of(ratings), method="user-temporal")
        return
    split = split_off_test(dataset_of(ratings), method="user-temporal")
    test = split.test.open()
    assert np.bincount(test.users, minlength=ratings.n_users).tolist() == wanted
    for user in range(ratings.n_users):
        mine = test.timestamps[test.users == user]
        kept = split.train.timestamps[split.train.users == user]
        assert len(mine) == 0 or mine.min() > kept.max()


@pytest.mark.parametrize(
    ("method", "axis"), [("cold-items", "items"), ("cold-users", "users")]
)
def test_cold_splits_take_all_ratings_of_whoever_they_take(small_ratings, method, axis):
    split = split_off_test(dataset_of(small_ratings), method=method)
    cold = set(getattr(split.test.open(), axis))
    assert not cold & set(getattr(split.train, axis))
    assert len(cold) == round(0.2 * len(set(getattr(small_ratings, axis))))


@pytest.mark.parametrize("share", [0.001, 0.2, 0.3334, 0.99])
@pytest.mark.parametrize("seed", [0, 4, 2**31 - 1])
def test_random_test_part_is_that_of_scikit_learn(small_ratings, share, seed):
    from sklearn.model_selection import train_test_split

    _, expected = train_test_split(range(900), test_size=share, random_state=seed)
    split = split_off_test(dataset_of(small_ratings), test_share=share, seed=seed)
    assert sorted(split.test.open().rows) == sorted(expected)


@pytest.mark.parametrize("n_folds", [2, 5, 7, 900])
@pytest.mark.parametrize("seed", [0, 4, 2**31 - 1])
def test_folds_are_those_of_scikit_learn_in_the_order_of_the_source(
    small_ratings, n_folds, seed
):
    from sklearn.model_selection import KFold

    in_source_order = np.argsort(small_ratings.rows)
    fold_of = assign_folds(small_ratings, n_folds=n_folds, seed=seed)
    splitter = KFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(range(900))):
        ours = np.flatnonzero(fold_of[in_source_order] == fold)
        np.testing.assert_array_equal(ours, held_out)


def test_folds_are_those_of_scikit_surprise_over_the_file(small_ratings):
    import pandas as pd
    from surprise import Dataset as SurpriseDataset
    from surprise import Reader
    from surprise.model_selection import KFold

    in_file_order = np.argsort(small_ratings.rows)
    frame = pd.DataFrame(
        {
            "user": small_ratings.user_ids[small_ratings.users],
            "item": small_ratings.item_ids[small_ratings.items],
            "rating": small_ratings.values,
        }
    ).iloc[in_file_order]
    data = SurpriseDataset.load_from_df(frame, Reader(rating_scale=(1, 5)))
    fold_of = assign_folds(small_ratings, n_folds=5, seed=0)
    ids = list(
        zip(
            small_ratings.user_ids[small_ratings.users],
            small_ratings.item_ids[small_ratings.items],
            strict=True,
        )
    )
    for fold, (_, held_out) in enumerate(KFold(5, random_state=0).split(data)):
        ours = {ids[k] for k in np.flatnonzero(fold_of == fold)}
        assert ours == {(user, item) for user, item, _ in held_out}


def test_the_predefined_test_part_is_used_as_it_is(small_ratings):
    chosen = np.arange(900) % 7 == 0
    dataset = dataset_of(small_ratings, predefined_test=chosen)
    split = split_off_test(dataset, method="predefined")
    np.testing.assert_array_equal(split.test.open().rows, small_ratings.rows[chosen])


def test_without_a_split_there_is_no_test_part(small_ratings):
    split = split_off_test(dataset_of(small_ratings), method="none")
    assert split.test is None
    assert len(split.train) == 900


def test_same_seed_same_fingerprint_and_another_seed_another(small_ratings):
    dataset = dataset_of(small_ratings)
    one, again, other = (
        split_off_test(dataset, seed=seed).facts.fingerprint for seed in (1, 1, 2)
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"method": "randm"}, UnknownNameError, "Did you mean 'random'"),
        ({"method": "predefined"}, DataError, "defines no test part of its own"),
        ({"test_share": 1.5}, DataError, "between 0 and 1, but is 1.5"),
        ({"test_share": 1e-9, "method": "temporal"}, DataError, "both parts need"),
        ({"test_share": 0.9999}, DataError, "leaves 0 training and 900 test"),
    ],
)
def test_what_cannot_be_split_is_refused(small_ratings, arguments, error, complaint):
    with pytest.raises(error, match=complaint):
        split_off_test(dataset_of(small_ratings), **arguments)


def test_temporal_split_without_timestamps_is_refused():
    ratings = Ratings.from_columns(
        ["a", "b"], ["x", "y"], [1, 2], scale=RatingScale(1, 2)
    )
    with pytest.raises(DataError, match="needs timestamps, and toy has none"):
        split_off_test(dataset_of(ratings), method="temporal")


def test_more_folds_than_anyone_wants_are_refused():
    ids = [str(k) for k in range(1001)]
    ratings = Ratings.from_columns(ids, ids, np.ones(1001), scale=RatingScale(0, 2))
    assert assign_folds(ratings, n_folds=1000).max() == 999
    with pytest.raises(DataError, match="between 2 and 1000"):
        assign_folds(ratings, n_folds=1001)


@pytest.mark.parametrize("n_folds", [1, 901])
def test_impossible_numbers_of_folds_are_refused(small_ratings, n_folds):
    with pytest.raises(DataError, match=f"but is {n_folds}"):
        assign_folds(small_ratings, n_folds=n_folds)


@pytest.mark.parametrize("method", ["temporal", "user-temporal"])
def test_equal_times_stay_together_in_any_order_of_rows(method):
    rng = np.random.default_rng(3)
    pairs = [(f"u{k % 8}", f"i{k // 8}") for k in range(160)]
    times = rng.integers(0, 12, 160)
    found = []
    for rows in (np.arange(160), rng.permutation(160)):
        ratings = Ratings.from_columns(
            [pairs[k][0] for k in rows],
            [pairs[k][1] for k in rows],
            [k % 5 + 1 for k in rows],
            scale=RatingScale(1, 5),
            timestamps=times[rows],
        )
        split = split_off_test(dataset_of(ratings), method=method)
        test, train = split.test.open(), split.train
        names = zip(test.user_ids[test.users], test.item_ids[test.items], strict=True)
        found.append(sorted(names))
        for user in range(8) if method == "user-temporal" else [slice(None)]:
            of_user = slice(None) if method == "temporal" else test.users == user
            before = slice(None) if method == "temporal" else train.users == user
            if len(test.timestamps[of_user]):
                assert train.timestamps[before].max() < test.timestamps[of_user].min()
        # As near to a fifth as whole moments allow.
        assert 0.1 < len(test) / 160 < 0.3
    assert found[0] == found[1]


def test_each_user_is_cut_nearest_to_the_share():
    rng = np.random.default_rng(7)
    users = np.repeat(np.arange(30), rng.integers(1, 15, 30))
    times = rng.integers(0, 6, len(users))
    ratings = Ratings.from_columns(
        [f"u{u:02}" for u in users],
        [f"i{k}" for k in range(len(users))],
        [k % 5 + 1 for k in range(len(users))],
        scale=RatingScale(1, 5),
        timestamps=times,
    )
    split = split_off_test(dataset_of(ratings), method="user-temporal", test_share=0.3)
    test = split.test.open()
    taken = np.bincount(test.users, minlength=30)
    for user in range(30):
        of_user = times[users == user].tolist()
        assert taken[user] == brute_force(of_user, int(0.3 * len(of_user)))


def test_ratings_of_one_moment_cannot_be_split_by_time():
    ratings = Ratings.from_columns(
        list("abab"), list("xxyy"), [1, 2, 3, 4], scale=RatingScale(1, 4),
        timestamps=np.full(4, 5),
    )  # fmt: skip
    for method in ("temporal", "user-temporal"):
        with pytest.raises(DataError, match="both parts need"):
            split_off_test(dataset_of(ratings), method=method, test_share=0.5)
