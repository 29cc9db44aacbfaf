"""What every registered family must do."""

import inspect
import pickle
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.errors import (
    DataError,
    MissingExtraError,
    NotFittedError,
    ParameterError,
    UnsupportedError,
)
from harness.evaluation import final, ranking
from harness.evaluation.final import predict_all
from harness.evaluation.ranking import recommend_to
from harness.models.base import IterativeRecommender, Recommender
from harness.models.families import family_names, load_family
from harness.models.hyperparameters import domains
from harness.search.distributions import Categorical, Epochs, Fixed, Float, Int
from harness.search.space import find_space, load_space
from tests.models.conftest import make_catalogue, make_ratings

ENDS = {"first": 0, "last": -1}
STRANGERS = np.array([-1, -7, 10**6, 2**31 - 1])
MOST_EPOCHS = 3  # at the corners: enough to go wrong, and quick


@pytest.fixture(scope="module", params=family_names())
def family(request):
    try:
        return load_family(request.param)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def quick(family):
    """Hyperparameters with which a fit takes little time."""
    return {"n_iterations": 40} if family.name == "bfm" else {}


@pytest.fixture
def model(family, quick):
    return family(**quick)


@pytest.fixture(scope="module")
def fitted(family):
    """A model as its defaults make it, for tests that only ask it."""
    ratings = make_ratings()
    return family().fit(ratings, make_catalogue(ratings))


@pytest.fixture
def space(family):
    return load_space(find_space(family.name), family)


def every_pair(ratings):
    pairs = list(product(range(ratings.n_users), range(ratings.n_items)))
    return np.array(pairs, dtype=np.int32).T


def assert_possible(prediction, ratings, *, n):
    assert prediction.dtype == np.float32
    assert prediction.shape == (n,)
    assert np.isfinite(prediction).all()
    assert prediction.min(initial=np.inf) >= ratings.scale.low
    assert prediction.max(initial=-np.inf) <= ratings.scale.high


def corner(space, end):
    """One end of each range; of categories every first or every last one."""
    params = {}
    for name, distribution in space.distributions.items():
        if not distribution.is_active(params):
            continue
        if isinstance(distribution, Epochs):
            params[name] = min(distribution.high, MOST_EPOCHS)
        elif isinstance(distribution, Fixed):
            params[name] = distribution.value
        else:
            params[name] = distribution.corners()[ENDS[end]]
    if "n_epochs" in params:
        params["n_epochs"] = min(params["n_epochs"], MOST_EPOCHS)
    return params


# Hyperparameters and spaces


def test_a_family_is_registered_under_its_own_name(family):
    assert load_family(family.name) is family


def test_hyperparameters_are_keyword_only_and_have_defaults(family):
    for parameter in inspect.signature(family).parameters.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is not inspect.Parameter.empty


def test_every_hyperparameter_is_documented(family):
    before, _, after = inspect.getdoc(family).partition("Parameters\n----------\n")
    assert before
    section = after.split("\n\n")[0]
    named = [
        name.strip()
        for line in section.splitlines()
        if line and not line.startswith(" ") and " : " in line
        for name in line.split(" : ")[0].split(",")
    ]
    assert sorted(named) == sorted(inspect.signature(family).parameters)


def test_hyperparameters_are_stored_as_given(family):
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(family).parameters.items()
    }
    assert family().hyperparameters() == defaults


def test_every_hyperparameter_has_a_domain_which_the_constructor_holds(family):
    impossible = object()
    for name, domain in domains(family).items():
        assert domain.kinds or domain.choices, name
        with pytest.raises(ParameterError, match=name):
            family(**{name: impossible})
        for bound in domain.bounds:
            below = getattr(bound, "ge", getattr(bound, "gt", 0)) - 1
            with pytest.raises(ParameterError, match=name):
                family(**{name: below})


def test_the_space_names_only_hyperparameters(family, space):
    assert set(space.distributions) <= set(family().hyperparameters())


def test_the_space_names_the_file_of_the_checkout(space):
    assert Path(space.source).parent.name == "studies"


def test_the_initial_point_is_the_defaults_wherever_the_space_allows(family, space):
    defaults = family().hyperparameters()
    spelt_out = {
        name
        for name, d in space.distributions.items()
        if isinstance(d, Fixed) or defaults[name] is None
    }
    for name, value in space.initial.items():
        if name not in spelt_out:
            assert value == defaults[name], name


def test_the_initial_point_lies_in_the_space(space):
    for name, distribution in space.searched.items():
        value = space.initial[name]
        if isinstance(distribution, Categorical):
            assert value in distribution.choices
        else:
            assert isinstance(distribution, Int | Float)
            assert distribution.low <= value <= distribution.high


@pytest.mark.parametrize("end", ENDS)
def test_fits_at_the_corners_of_its_space(family, space, ratings, catalogue, end):
    model = family(**corner(space, end)).fit(ratings, catalogue)
    users, items = every_pair(ratings)
    assert_possible(model.predict(users, items), ratings, n=len(users))


def test_numbers_outside_their_domain_are_refused(family):
    for name, parameter in inspect.signature(family).parameters.items():
        is_number = isinstance(parameter.default, int | float)
        if not is_number or isinstance(parameter.default, bool) or name == "seed":
            continue
        for value in (-1, float("nan"), float("inf")):
            with pytest.raises(ParameterError, match=name):
                family(**{name: value})


def test_words_that_are_no_choice_are_refused(family):
    for name, parameter in inspect.signature(family).parameters.items():
        if isinstance(parameter.default, str):
            with pytest.raises(ParameterError, match=f"{name} .*'no such thing'"):
                family(**{name: "no such thing"})


# Predictions


def test_predictions_are_possible_ratings(fitted, ratings):
    users, items = every_pair(ratings)
    assert_possible(fitted.predict(users, items), ratings, n=len(users))


def test_predictions_are_right_on_average(fitted, ratings):
    prediction = fitted.predict(ratings.users, ratings.items)
    assert abs(prediction.mean() - ratings.values.mean()) < 0.2


def test_predicting_nothing_gives_nothing(fitted, ratings):
    nobody = np.empty(0, dtype=np.int32)
    assert_possible(fitted.predict(nobody, nobody), ratings, n=0)


def test_predictions_are_possible_for_strangers(fitted, ratings):
    users = np.concatenate([STRANGERS, np.zeros(4, int), STRANGERS])
    items = np.concatenate([np.zeros(4, int), STRANGERS, STRANGERS])
    assert_possible(fitted.predict(users, items), ratings, n=12)


def test_says_how_probable_each_rating_is_or_that_it_cannot(fitted, ratings):
    asked = np.append(ratings.users[:20], -1), np.append(ratings.items[:20], 10**6)
    if not fitted.gives_probabilities:
        with pytest.raises(UnsupportedError, match=f"'{fitted.name}'"):
            fitted.predict_proba(*asked)
        return
    found = fitted.predict_proba(*asked)
    assert np.array_equal(fitted.levels_, np.unique(ratings.values))
    assert found.shape == (21, len(fitted.levels_))
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1)
    # A rating between its levels, as far as the levels go.
    gap = np.abs(found @ fitted.levels_ - fitted.predict(*asked))
    assert gap.max() < np.diff(fitted.levels_).max()


def test_predictions_are_possible_without_training_ratings(model, ratings, catalogue):
    train = ratings.take((ratings.users > 2) & (ratings.items > 3))
    users, items = every_pair(ratings)
    prediction = model.fit(train, catalogue).predict(users, items)
    assert_possible(prediction, ratings, n=len(users))


def test_a_pair_is_predicted_alike_alone_and_among_others(fitted, ratings):
    users, items = every_pair(ratings)
    together = fitted.predict(users, items)
    for k in (0, 17, len(users) - 1):
        alone = fitted.predict(users[k : k + 1], items[k : k + 1])
        np.testing.assert_allclose(alone, together[k : k + 1], rtol=0, atol=1e-5)


def test_the_order_of_pairs_does_not_matter(fitted, ratings):
    users, items = every_pair(ratings)
    shuffled = np.random.default_rng(0).permutation(len(users))
    np.testing.assert_allclose(
        fitted.predict(users[shuffled], items[shuffled]),
        fitted.predict(users, items)[shuffled],
        rtol=0,
        atol=1e-5,
    )


def test_codes_may_be_of_any_integer_type(fitted, ratings):
    users, items = every_pair(ratings)
    expected = fitted.predict(users, items)
    for dtype in (np.int16, np.int64):
        prediction = fitted.predict(users.astype(dtype), items.astype(dtype))
        np.testing.assert_array_equal(prediction, expected)


UNITS = {
    "times 20": (20.0, 0.0),
    "times 200": (200.0, 0.0),
    "hundredths": (0.01, 0.0),
    "a hundred higher": (1.0, 100.0),
    "from -2 to 2.5": (1.0, -2.5),
}


@pytest.mark.parametrize(("factor", "shift"), UNITS.values(), ids=UNITS)
def test_the_unit_of_the_ratings_does_not_matter(
    family, quick, ratings, catalogue, factor, shift
):
    """Ratings a r + b give predictions a p + b, to a thousandth of a star.

    A sampler's steps depend on the last digit of float32; others are much closer.
    """
    ends = (factor * end + shift for end in (ratings.scale.low, ratings.scale.high))
    converted = replace(
        ratings,
        values=(factor * ratings.values.astype(np.float64) + shift).astype(np.float32),
        scale=RatingScale(*ends),
    )
    pairs = every_pair(ratings)
    expected = factor * family(**quick).fit(ratings, catalogue).predict(*pairs) + shift
    prediction = family(**quick).fit(converted, catalogue).predict(*pairs)
    star = factor * ratings.scale.star
    np.testing.assert_allclose(prediction, expected, rtol=0, atol=1e-3 * star)


# Time


KNOWING_TIME = {
    "svd": {"time": True},
    "blend": {
        "members": '{"cf": {"family": "cf"}, "svd": {"family": "svd", "time": true}}'
    },
}


@pytest.fixture
def timed(family, ratings, catalogue):
    """Fitted with what it knows of time switched on."""
    return family(**KNOWING_TIME.get(family.name, {})).fit(ratings, catalogue)


MOMENTS = [-(10.0**9), 0.0, 10.0**9, 10.0**12, float("nan")]


def test_predictions_are_possible_at_any_time(timed, ratings):
    users = np.concatenate([ratings.users, STRANGERS, np.zeros(4, int)])
    items = np.concatenate([ratings.items, np.zeros(4, int), STRANGERS])
    for when in MOMENTS:
        prediction = timed.predict(users, items, np.full(len(users), when))
        assert_possible(prediction, ratings, n=len(users))
    assert_possible(
        timed.predict(ratings.users, ratings.items, ratings.timestamps),
        ratings,
        n=len(ratings),
    )


def test_a_time_that_is_not_known_is_as_good_as_none(timed, ratings):
    users, items = every_pair(ratings)
    np.testing.assert_allclose(
        timed.predict(users, items, np.full(len(users), np.nan)),
        timed.predict(users, items),
        rtol=0,
        atol=1e-5,
    )


def test_time_matters_to_families_that_know_it_and_to_no_other(
    timed, family, ratings, tmp_path
):
    users, items = every_pair(ratings)
    moments = ratings.timestamps.min(), ratings.timestamps.max()
    one, two = (timed.predict(users, items, when) for when in moments)
    knows_time = family._predict_at is not Recommender._predict_at
    assert np.array_equal(one, two) is not knows_time
    if not knows_time:
        np.testing.assert_array_equal(one, timed.predict(users, items))
    timed.save(tmp_path / "model")
    loaded = family.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(users, items, moments[0]), one)


def test_recommends_what_it_predicts_highest_at_that_time(timed, ratings):
    when = float(ratings.timestamps.min())
    for user in (0, 7, -1):
        items, scores = timed.recommend(
            user, ratings.n_items, exclude_seen=False, when=when
        )
        prediction = timed.predict(np.full(len(items), user), items, when)
        np.testing.assert_allclose(
            ratings.scale.clip(scores), prediction, rtol=0, atol=1e-4
        )


def test_needs_no_timestamps(family, quick, ratings, catalogue):
    timeless = replace(ratings, timestamps=None)
    model = family(**quick).fit(timeless, catalogue)
    users, items = every_pair(ratings)
    for when in (None, 10.0**9):
        assert_possible(model.predict(users, items, when), ratings, n=len(users))


# Fitting


def test_fit_returns_the_model_itself(model, ratings, catalogue):
    assert model.fit(ratings, catalogue) is model


def test_fit_and_predict_leave_the_input_as_it_was(model, ratings, catalogue):
    arrays = {
        name: getattr(ratings, name).copy()
        for name in ("users", "items", "values", "rows", "timestamps")
    }
    before = catalogue.fingerprint()
    model.fit(ratings, catalogue).predict(ratings.users, ratings.items)
    model.recommend(0)
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(ratings, name), array)
    assert catalogue.fingerprint() == before


def test_a_second_fit_forgets_the_first(family, quick, ratings, catalogue):
    other = replace(ratings, values=(5.5 - ratings.values).astype(np.float32))
    again = family(**quick).fit(other, catalogue).fit(ratings, catalogue)
    once = family(**quick).fit(ratings, catalogue)
    pairs = every_pair(ratings)
    np.testing.assert_array_equal(again.predict(*pairs), once.predict(*pairs))


def test_same_seed_same_numbers(family, quick, ratings, catalogue):
    pairs = every_pair(ratings)
    one, two = (
        family(**quick).fit(ratings, catalogue).predict(*pairs) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)


def test_epochs_are_yielded_one_by_one_and_end_where_fit_does(
    family, ratings, catalogue
):
    if not issubclass(family, IterativeRecommender):
        pytest.skip(f"{family.name} is not trained in epochs.")
    model = family(n_epochs=3)
    pairs = every_pair(ratings)
    seen = []
    for epoch in model.fit_epochs(ratings, catalogue):
        seen.append(epoch)
        assert_possible(model.predict(*pairs), ratings, n=len(pairs[0]))
    assert seen == [1, 2, 3]
    fitted = family(n_epochs=3).fit(ratings, catalogue)
    np.testing.assert_array_equal(model.predict(*pairs), fitted.predict(*pairs))


def small(users, items, values):
    scale = RatingScale(1.0, 5.0)
    return Ratings.from_columns(list(users), list(items), values, scale=scale)


@pytest.mark.parametrize(
    "tiny",
    [
        pytest.param(small("aab", "xyx", [5, 3, 1]), id="three ratings"),
        pytest.param(
            small("abcdef", "xyxyxz", [1, 2, 3, 4, 5, 3]), id="one rating a user"
        ),
        pytest.param(
            small("aabbcc", "xyyzzx", [4, 4, 4, 4, 4, 4]), id="constant ratings"
        ),
        pytest.param(small("aaa", "xyz", [4, 2, 5]), id="one user"),
        pytest.param(small("abc", "xxx", [4, 2, 5]), id="one item"),
        pytest.param(small("aabb", "xyxy", [5, 1, 1, 5]), id="opposite users"),
    ],
)
def test_copes_with_little(model, tiny):
    users, items = every_pair(tiny)
    model.fit(tiny, Catalogue.empty())
    assert_possible(model.predict(users, items), tiny, n=len(users))
    found, scores = model.recommend(0, exclude_seen=False)
    assert len(found) == tiny.n_items
    assert np.isfinite(scores).all()


def test_predict_before_fit_says_so(model, ratings):
    with pytest.raises(NotFittedError, match=r"Call fit\(\) first"):
        model.predict(ratings.users, ratings.items)
    with pytest.raises(NotFittedError, match=r"Call fit\(\) first"):
        model.recommend(0)


# Recommendations


def test_recommends_unseen_titles_best_first(fitted, ratings):
    items, scores = fitted.recommend(0, 5)
    seen = ratings.items[ratings.users == 0]
    assert items.dtype == np.int32
    assert scores.dtype == np.float32
    assert len(items) == len(scores) == 5
    assert not set(items.tolist()) & set(seen.tolist())
    assert len(set(items.tolist())) == 5
    assert (np.diff(scores) <= 0).all()


def test_only_titles_that_are_allowed_are_recommended(fitted, ratings):
    among = np.arange(ratings.n_items) % 2 == 0
    everything = fitted.recommend(0, ratings.n_items, exclude_seen=False)
    items, scores = fitted.recommend(
        0, ratings.n_items, exclude_seen=False, among=among
    )
    kept = among[everything[0]]
    np.testing.assert_array_equal(items, everything[0][kept])
    np.testing.assert_array_equal(scores, everything[1][kept])


def test_recommends_what_it_predicts_highest(fitted, ratings):
    for user in (0, 7, ratings.n_users - 1):
        items, scores = fitted.recommend(user, ratings.n_items, exclude_seen=False)
        assert sorted(items.tolist()) == list(range(ratings.n_items))
        prediction = fitted.predict(np.full(len(items), user), items)
        np.testing.assert_allclose(
            ratings.scale.clip(scores), prediction, rtol=0, atol=1e-4
        )


def test_recommends_all_there_is_when_asked_for_more(fitted, ratings):
    n_seen = int((ratings.users == 3).sum())
    items, _ = fitted.recommend(3, 10_000)
    assert len(items) == ratings.n_items - n_seen


@pytest.mark.parametrize("stranger", STRANGERS.tolist())
def test_recommends_to_strangers(fitted, stranger):
    items, scores = fitted.recommend(stranger, 5)
    assert len(items) == 5
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("n", [5, 250])
@pytest.mark.parametrize("when", [None, 946_598_400.0])
def test_many_users_get_what_each_would_get_alone(fitted, ratings, n, when):
    users = np.array([3, -1, 0, ratings.n_users, 7, 3])
    among = np.arange(ratings.n_items) % 4 > 0
    asked = {"when": when, "among": among} if n == 5 else {"when": when}
    # With a stranger among them, and all of them known: ways of their own in some families.
    for codes in (users, users[[0, 2, 4, 5]]):
        items, scores = fitted.recommend_to_many(codes, n, **asked)
        assert (items.shape, items.dtype) == ((len(codes), n), np.int32)
        for user, titles, stars in zip(codes.tolist(), items, scores, strict=True):
            alone = fitted.recommend(user, n, **asked)
            n_found = len(alone[0])
            np.testing.assert_array_equal(titles[:n_found], alone[0])
            np.testing.assert_array_equal(stars[:n_found], alone[1])
            assert (titles[n_found:] == -1).all()
            assert np.isnan(stars[n_found:]).all()


def test_threads_side_by_side_answer_as_one_does(fitted, ratings, monkeypatch):
    monkeypatch.setattr(ranking, "_USERS_AT_ONCE", 4)
    users = range(ratings.n_users)
    one, several = (recommend_to(fitted, users, 5, jobs=jobs) for jobs in (1, 4))
    np.testing.assert_array_equal(several.items, one.items)
    np.testing.assert_array_equal(one.items[3], fitted.recommend(3, 5)[0])
    monkeypatch.setattr(final, "_PAIRS_AT_ONCE", 50)
    predicted = predict_all(fitted, ratings, jobs=1)
    np.testing.assert_array_equal(predict_all(fitted, ratings, jobs=4), predicted)
    np.testing.assert_allclose(
        predicted,
        fitted.predict(ratings.users, ratings.items, ratings.timestamps),
        rtol=0,
        atol=1e-5,
    )


# Saving


def test_saves_and_loads_without_pickle(fitted, family, ratings, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickle is not safe to load")

    pairs = every_pair(ratings)
    # Numba reads compiled kernels from its cache with pickle: let it do so before.
    fitted.save(tmp_path / "before")
    warm = family.load(tmp_path / "before")
    warm.predict(*pairs)
    warm.predict(np.full(len(STRANGERS), 1), STRANGERS)
    warm.recommend(2)
    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    fitted.save(tmp_path / "model")
    loaded = family.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(*pairs), fitted.predict(*pairs))
    strangers = np.full(len(STRANGERS), 1), STRANGERS
    np.testing.assert_array_equal(
        loaded.predict(*strangers), fitted.predict(*strangers)
    )
    for mine, its in zip(fitted.recommend(2), loaded.recommend(2), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert loaded.hyperparameters() == fitted.hyperparameters()


def test_a_model_of_another_family_is_not_loaded(fitted, family, tmp_path):
    fitted.save(tmp_path)
    header = tmp_path / "model.json"
    header.write_text(header.read_text().replace(f'"{family.name}"', '"another"', 1))
    with pytest.raises(DataError, match=f"'another', not '{family.name}'"):
        family.load(tmp_path)


def test_a_model_that_is_not_fitted_is_not_saved(model, tmp_path):
    with pytest.raises(NotFittedError, match=r"Call fit\(\) first"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
