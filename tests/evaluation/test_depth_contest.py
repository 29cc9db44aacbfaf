import numpy as np
import pytest

from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.cold_start import compare_by_depth
from harness.evaluation.dependence import ScoreIntervals
from tests.facts import difference_of

N_USERS = 60


@pytest.fixture(scope="module")
def parts():
    """Each user has one training rating, and test ratings of a title that has as many."""
    counts = {"new": 0, "cold": 3, "sparse": 12, "warm": 40}
    training = [
        (f"u{user}", title) for title, n in counts.items() for user in range(n)
    ] + [(f"u{user}", "other") for user in range(N_USERS)]
    tested = [
        (f"u{user}", title) for title, n in counts.items() for user in range(n, N_USERS)
    ]
    users, items = zip(*training, *tested, strict=True)
    whole = Ratings.from_columns(
        users, items, np.full(len(users), 3.0), scale=RatingScale(1, 5)
    )
    in_test = whole.rows >= len(training)
    return whole.take(~in_test), whole.take(in_test)


@pytest.fixture(scope="module")
def predictions(parts):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, len(parts[1])))
    return {
        name: [3.0 + size * e]
        for name, size, e in zip("abc", (0.5, 0.6, 0.5), noise, strict=True)
    }


def test_every_pair_is_compared_on_the_pairs_of_its_depth_alone(parts, predictions):
    train, test = parts
    found = compare_by_depth(train, test, predictions)
    titles = np.array([str(item) for item in test.item_ids])[test.items]
    for depth, wanted in (
        ("0", ["new"]),
        ("1-5", ["cold"]),
        ("0-5", ["new", "cold"]),
        ("6-20", ["sparse"]),
    ):
        rows = [f for f in found if (f.side, f.depth) == ("items", depth)]
        assert [(f.one, f.other) for f in rows] == [
            ("a", "b"),
            ("a", "c"),
            ("b", "c"),
        ]
        chosen = np.isin(titles, wanted)
        intervals = ScoreIntervals(test.take(chosen))
        for row in rows:
            one, other = (
                predictions[getattr(row, k)][0][chosen] for k in ("one", "other")
            )
            estimate, p_value = difference_of(intervals, [one], [other])
            assert row.value == pytest.approx(estimate.value)
            expected = np.sqrt(np.mean((one - 3) ** 2)) - np.sqrt(
                np.mean((other - 3) ** 2)
            )
            assert row.value == pytest.approx(expected)
            assert row.p_value == pytest.approx(p_value)
        # Of three pairs, a step answers those that are clear, and leaves the others.
        n_left = [0.05 / (1 - row.confidence) for row in rows]
        assert max(n_left) == pytest.approx(3)
        for row, n in zip(rows, n_left, strict=True):
            assert row.p_holm == pytest.approx(min(1, n * row.p_value))
            assert (row.p_holm < 0.05) == (row.low > 0 or row.high < 0)


def test_depths_without_pairs_of_two_users_are_left_out(parts, predictions):
    train, test = parts
    found = compare_by_depth(train, test, predictions)
    # All users have between 1 and 4 training ratings.
    assert {f.depth for f in found if f.side == "users"} == {"1-5", "0-5"}
    alone = test.users == test.users[0]
    part = {name: [p[alone] for p in each] for name, each in predictions.items()}
    assert compare_by_depth(train, test.take(alone), part) == ()
