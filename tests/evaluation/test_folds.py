import numpy as np
import pytest

from harness.data.ratings import Ratings, RatingScale
from harness.errors import DataError
from harness.evaluation.splits import assign_folds, cut_fold

METHODS = ["random", "temporal", "user-temporal", "cold-items", "cold-users"]


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_both_learnt_from_and_held_out(small_ratings, method):
    fold_of = assign_folds(small_ratings, n_folds=4, method=method)
    for fold in range(4):
        learnt, held_out = cut_fold(fold_of, fold)
        assert not (learnt & held_out).any()
        assert learnt.any()
        assert held_out.any()


@pytest.mark.parametrize("method", ["random", "cold-items", "cold-users"])
def test_every_rating_is_held_out_once(small_ratings, method):
    fold_of = assign_folds(small_ratings, n_folds=4, method=method)
    times = sum(cut_fold(fold_of, fold)[1].astype(int) for fold in range(4))
    assert (times == 1).all()


@pytest.mark.parametrize(
    ("method", "axis"), [("cold-items", "items"), ("cold-users", "users")]
)
def test_whoever_is_held_out_in_a_cold_fold_is_not_learnt_from(
    small_ratings, method, axis
):
    fold_of = assign_folds(small_ratings, n_folds=4, method=method)
    codes = getattr(small_ratings, axis)
    sizes = []
    for fold in range(4):
        learnt, held_out = cut_fold(fold_of, fold)
        assert not set(codes[learnt]) & set(codes[held_out])
        sizes.append(len(set(codes[held_out])))
    assert max(sizes) - min(sizes) <= 1


def test_temporal_folds_are_predicted_from_what_is_earlier(small_ratings):
    fold_of = assign_folds(small_ratings, n_folds=4, method="temporal")
    times = small_ratings.timestamps
    for fold in range(4):
        learnt, held_out = cut_fold(fold_of, fold)
        assert times[learnt].max() <= times[held_out].min()
        # Five blocks of 180; the first fold is learnt from one, the last from four.
        assert (learnt.sum(), held_out.sum()) == (180 * (fold + 1), 180)


def test_folds_in_time_within_users_keep_the_order_of_each_user(small_ratings):
    fold_of = assign_folds(small_ratings, n_folds=4, method="user-temporal")
    times, users = small_ratings.timestamps, small_ratings.users
    for fold in range(4):
        learnt, held_out = cut_fold(fold_of, fold)
        for user in set(users[held_out]):
            before = times[learnt & (users == user)]
            assert len(before)
            assert before.max() <= times[held_out & (users == user)].min()


@pytest.mark.parametrize("method", ["random", "cold-items", "cold-users"])
def test_the_seed_decides_how_random_folds_are_dealt(small_ratings, method):
    one, again, other = (
        assign_folds(small_ratings, seed=seed, method=method) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_more_cold_folds_than_items_are_refused():
    ratings = Ratings.from_columns(
        list("abcdef"), list("xxxyyy"), [1, 2, 3, 1, 2, 3], scale=RatingScale(1, 3)
    )
    with pytest.raises(DataError, match=r"training items \(2\), but is 3"):
        assign_folds(ratings, n_folds=3, method="cold-items")


def timed(pairs, times):
    users, items = zip(*pairs, strict=True)
    return Ratings.from_columns(
        users,
        items,
        [1 + k % 5 for k in range(len(pairs))],
        scale=RatingScale(1, 5),
        timestamps=np.array(times),
    )


PAIRS = [(f"u{k % 10}", f"i{k // 10}") for k in range(200)]
TIED = [1_600_000_000 + 1000 * (k * 7 % 200 // 16) for k in range(200)]


@pytest.mark.parametrize("method", ["temporal", "user-temporal"])
def test_folds_keep_equal_times_together_in_any_order_of_rows(method):
    order = np.random.default_rng(1).permutation(200)
    found = []
    for rows in (range(200), order):
        train = timed([PAIRS[k] for k in rows], [TIED[k] for k in rows])
        fold_of = assign_folds(train, n_folds=3, method=method)
        names = zip(
            train.user_ids[train.users], train.item_ids[train.items], strict=True
        )
        found.append(dict(zip(names, fold_of.tolist(), strict=True)))
        groups = train.users if method == "user-temporal" else np.zeros(200, dtype=int)
        together = {}
        for key, fold in zip(
            zip(groups.tolist(), train.timestamps.tolist(), strict=True),
            fold_of,
            strict=True,
        ):
            assert together.setdefault(key, fold) == fold
    assert found[0] == found[1]


@pytest.mark.parametrize("method", ["temporal", "user-temporal"])
def test_folds_without_ratings_are_refused_before_anything_is_tried(method):
    alone = timed([(f"u{k}", f"i{k % 7}") for k in range(60)], range(60))
    if method == "user-temporal":  # one rating each: all are past
        with pytest.raises(DataError, match=r"5 of the 5 folds .* no ratings"):
            assign_folds(alone, method=method)
    few = timed(PAIRS, [1_600_000_000 + k % 2 for k in range(200)])
    with pytest.raises(DataError, match="no ratings"):
        assign_folds(few, method=method)
