"""The hybrid: its calibration by hand, its scores by LightFM, its quality on real data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lightfm import LightFM
from scipy.sparse import coo_matrix, csr_matrix, hstack, identity

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.errors import ParameterError, TrainingError
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds
from harness.features.users import behaviour_table
from harness.models.baseline.model import Baseline, fit_biases
from harness.models.cf.similarity import SHARED
from harness.models.hybrid.embeddings import KernelTrainer, Learning, Signals
from harness.models.hybrid.features import title_flags, user_flags
from harness.models.hybrid.lightfm_engine import LightFMTrainer
from harness.models.hybrid.model import Hybrid
from harness.models.hybrid.training import (
    Calibration,
    fit_calibration,
    set_aside,
)
from harness.search.space import find_space, load_space

NOTHING = Catalogue.empty()


# Calibration


def test_the_calibration_finds_a_line_that_is_there():
    rng = np.random.default_rng(0)
    expected, score = rng.normal(3.5, 0.4, 50_000), rng.normal(2, 5, 50_000)
    truth = 0.5 + 0.9 * expected + 0.1 * score
    line = fit_calibration(expected, score, truth)
    # Shrunk by ten ratings in 50,000.
    assert line.intercept == pytest.approx(0.5, abs=0.01)
    assert line.expectation_slope == pytest.approx(-0.1, abs=0.001)
    assert line.score_slope == pytest.approx(0.1, abs=0.001)


def test_ten_ratings_are_half_believed():
    # Scores -1 and 1, five times each; stars are the expected 3 plus the score.
    score = np.tile([-1.0, 1.0], 5)
    line = fit_calibration(np.full(10, 3.0), score, 3 + score)
    assert line == Calibration(pytest.approx(0), pytest.approx(0), pytest.approx(0.5))


def test_a_score_that_points_the_wrong_way_is_ignored():
    score = np.linspace(-1, 1, 100)
    assert fit_calibration(np.full(100, 3.0), score, 3 - score).score_slope == 0


def test_what_is_kept_aside_is_not_learnt(ratings):
    learn, aside = set_aside(ratings, share=0.1)
    assert len(aside) == round(0.1 * len(ratings))
    assert len(learn) + len(aside) == len(ratings)
    assert not set(learn.rows.tolist()) & set(aside.rows.tolist())


def test_a_single_rating_is_not_kept_aside(ratings):
    assert set_aside(ratings.take(np.array([0])), share=0.5) is None


# Features


def test_each_block_of_a_title_has_length_one():
    frame = pd.DataFrame(
        {
            "listed_in": ["Drama, Comedy", "Drama", None],
            "release_year": [1994.0, 2003.0, np.nan],
            "type": ["Movie", "Movie", "Movie"],
        }
    )
    flags = title_flags(Catalogue(frame), 3)
    # The type is the same for all, and tells nothing.
    assert flags.names == ("genre=Comedy", "genre=Drama", "decade=1990", "decade=2000")
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(
        flags.values, [[half, half, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], rtol=1e-6
    )


def test_activity_does_not_look_at_the_stars(ratings, catalogue):
    other = replace(ratings, values=(5.5 - ratings.values).astype(np.float32))
    flags = [user_flags(r, catalogue, "activity") for r in (ratings, other)]
    assert flags[0].names == flags[1].names
    np.testing.assert_array_equal(flags[0].values, flags[1].values)
    level = [user_flags(r, catalogue, "all").values for r in (ratings, other)]
    assert not np.array_equal(*level)


def test_a_user_without_ratings_has_no_flags(ratings, catalogue):
    flags = user_flags(ratings.take(ratings.users > 0), catalogue, "all")
    assert not flags.values[0].any()
    assert flags.values[1:].any(axis=1).all()


def test_the_search_reaches_every_feature_of_users(ratings, catalogue):
    choices = load_space(find_space("hybrid"), Hybrid).distributions["user_features"]
    assert choices.choices == ("none", "activity", "all")
    names = user_flags(ratings, catalogue, "all").names
    assert {name.partition("=")[0] for name in names} == {
        "n_ratings",
        "per_week",
        "weekend",
        "hours",
        "mean",
        "variance",
        "bias",
        "prefers",
        "drift",
        "diversity",
    }


def test_trials_of_a_study_share_the_behaviour_of_their_fold(
    ratings, catalogue, monkeypatch
):
    measured = []

    def measure(ratings, catalogue):
        measured.append(len(ratings))
        return behaviour_table(ratings, catalogue)

    monkeypatch.setattr("harness.models.hybrid.features.behaviour_table", measure)
    SHARED.clear()
    models = [
        Hybrid(seed=seed, n_factors=4 + seed, user_weight=0.1 + 0.1 * seed, n_epochs=2)
        for seed in range(3)
    ]
    shared = [model.fit(ratings, catalogue).user_factors_ for model in models]
    assert len(measured) == 1
    for model, expected in zip(models, shared, strict=True):
        SHARED.clear()
        found = model.fit(ratings, catalogue).user_factors_
        np.testing.assert_array_equal(found, expected)
    # Other ratings, other behaviour.
    Hybrid(n_epochs=1).fit(ratings.take(ratings.users > 3), catalogue)
    assert len(measured) == 5


# Scores


def test_scores_are_those_of_lightfm(ratings, catalogue):
    model = Hybrid(n_factors=4, n_epochs=3, user_features="none", refit=True)
    model = replace(model, genre_interaction=0)
    model.fit(ratings, catalogue)
    biases = fit_biases(
        ratings, user_regularization=5, item_regularization=2, n_epochs=10
    )
    residual = ratings.values - biases.predict(ratings.users, ratings.items)
    pairs = ratings.users, ratings.items
    weight = np.abs(residual) / np.abs(residual).mean()
    rated = np.bincount(ratings.items, minlength=ratings.n_items) > 0
    flags = title_flags(catalogue, ratings.n_items).values
    features = hstack([identity(len(rated)).multiply(rated[:, None]), 0.3 * flags])
    reference = LightFM(
        no_components=4,
        learning_rate=0.1,
        user_alpha=1e-4,
        item_alpha=5e-5,
        random_state=0,
        loss="logistic",
    )
    reference.fit(
        coo_matrix((np.sign(residual).astype(np.float32), pairs)),
        sample_weight=coo_matrix((weight.astype(np.float32), pairs)),
        item_features=csr_matrix(features, dtype=np.float32),
        epochs=3,
    )
    score = reference.predict(*pairs, item_features=csr_matrix(features))
    users, items = model.user_factors_[pairs[0]], model.item_factors_[pairs[1]]
    own = (users * items).sum(axis=1)
    own += model.user_score_bias_[pairs[0]] + model.item_score_bias_[pairs[1]]
    np.testing.assert_allclose(own, score, atol=1e-5)
    # Few ratings: a slope of its own choice shows that predictions follow the score.
    model.calibration_ = np.array([0.1, -0.2, 0.3])
    expected = 0.1 + 0.8 * biases.predict(*pairs) + 0.3 * score
    np.testing.assert_allclose(
        model.predict(*pairs), np.clip(expected, 0.5, 5), atol=1e-5
    )


def test_features_tell_new_titles_apart():
    # Everybody likes drama and dislikes horror, whatever the title.
    users, items = map(np.ravel, np.mgrid[:30, :20])
    rng = np.random.default_rng(0)
    rated = (items < 18) & (rng.random(len(items)) < 0.5)
    # Every second user the other way round, so that no title is good for all.
    likes = (items + users) % 2 == 0
    ratings = Ratings.from_columns(
        [f"u{u}" for u in users[rated]],
        [f"i{i:02}" for i in items[rated]],
        np.where(likes, 5, 1)[rated],
        scale=RatingScale(1, 5),
        unrated_items=["i18", "i19"],
    )
    number = np.array([int(item[1:]) for item in ratings.item_ids])
    genres = np.where(number % 2 == 0, "Drama", "Horror")
    catalogue = Catalogue(pd.DataFrame({"listed_in": genres}))
    model = Hybrid(n_epochs=30, calibration_share=0.2, user_features="none")
    model.fit(ratings, catalogue)
    for user, name in enumerate(ratings.user_ids[:6]):
        scores = model.predict(np.full(2, user), np.flatnonzero(number >= 18))
        drama_first = int(name[1:]) % 2 == 0
        assert (scores[0] - scores[1] > 1) == drama_first


def test_a_stranger_is_judged_by_the_bias_model_alone(ratings):
    model = Hybrid(user_features="none").fit(ratings, NOTHING)
    stranger = model.predict(np.array([-1, 10**6]), np.array([3, 3]))
    assert stranger[0] == stranger[1]
    baseline = Baseline(user_regularization=5, item_regularization=2)
    expected = baseline.fit(ratings, NOTHING).predict(np.array([-1]), np.array([3]))
    assert abs(stranger[0] - expected[0]) < 0.5


@pytest.mark.parametrize("loss", ["warp", "bpr"])
def test_ranking_losses_rank_by_score(ratings, catalogue, loss):
    model = Hybrid(loss=loss, n_epochs=5).fit(ratings, catalogue)
    items, stars = model.recommend(0, 10, exclude_seen=False)
    score = (
        model.item_factors_[:-1] @ model.user_factors_[0] + model.item_score_bias_[:-1]
    )
    np.testing.assert_array_equal(items, np.argsort(-score, kind="stable")[:10])
    assert (np.diff(stars) <= 0).all()


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("engine", ["harness", "lightfm"])
def test_a_training_that_diverges_is_an_error(ratings, engine, refit):
    model = Hybrid(learning_rate=1e30, n_epochs=2, refit=refit, engine=engine)
    with pytest.raises(TrainingError, match="lower learning rate"):
        model.fit(ratings, NOTHING)


def test_constant_ratings_are_predicted_as_they_are(ratings):
    constant = replace(ratings, values=np.full(len(ratings), 4, dtype=np.float32))
    prediction = Hybrid().fit(constant, NOTHING).predict(ratings.users, ratings.items)
    np.testing.assert_allclose(prediction, 4, atol=1e-5)


@pytest.mark.parametrize("engine", [KernelTrainer, LightFMTrainer])
def test_a_ranking_loss_learns_from_liked_pairs_alone(engine):
    users = items = np.arange(3, dtype=np.int32)
    signals = Signals(users, items, np.array([1.0, -1.0, 0.0]))
    eye = identity(3, dtype=np.float32, format="csr")
    disliked = Signals(users, items, -np.ones(3))
    warp, logistic = (Learning(loss=loss, n_factors=2) for loss in ("warp", "logistic"))
    assert engine(signals, (eye, eye), warp).run_epoch()
    assert not engine(disliked, (eye, eye), warp).run_epoch()
    assert engine(disliked, (eye, eye), logistic).run_epoch()


# Explanations


@pytest.mark.parametrize("pair", [(0, 0), (5, 25), (-1, 3), (3, 10**6), (-1, -1)])
def test_an_explanation_adds_up_to_the_prediction(ratings, catalogue, pair):
    model = Hybrid(user_features="all").fit(ratings, catalogue)
    explained = model.explain(*pair)
    total = explained.expected + explained.user_level + explained.genre_interaction
    total += sum(explained.title_features.values())
    assert total == pytest.approx(explained.prediction)
    seen_from_the_user = sum(part.stars for part in explained.user_parts)
    score = explained.user_level + sum(explained.title_features.values())
    assert seen_from_the_user == pytest.approx(score, abs=1e-6)
    prediction = model.predict(*(np.array([code]) for code in pair))
    assert np.clip(explained.prediction, 0.5, 5) == pytest.approx(
        prediction[0], abs=1e-5
    )


def test_without_a_feature_of_its_own_nothing_is_left_to_a_title(ratings, catalogue):
    model = Hybrid(title_identity=False, calibration_share=0.3)
    explained = model.fit(ratings, catalogue).explain(0, 3)
    assert explained.title_features["(itself)"] == pytest.approx(0, abs=1e-6)
    assert max(map(abs, explained.title_features.values())) > 1e-4


def test_an_explanation_names_the_features_of_the_title(ratings, catalogue):
    model = Hybrid().fit(ratings, catalogue)
    named = set(model.explain(0, 3).title_features)
    genres = catalogue.frame["listed_in"][3].split(", ")
    assert {"(itself)", *(f"genre={genre}" for genre in genres)} <= named
    loaded = replace(model, title_weight=0).fit(ratings, catalogue)
    assert set(loaded.explain(0, 3).title_features) == {"(itself)"}


# Domains, quality


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "hinge"}, r"loss must be one of .* but got 'hinge'"),
        (
            {"calibration_share": 0.9},
            "calibration_share must be at least 0.01 and be at",
        ),
        ({"user_alpha": -1}, "user_alpha must be at least 0, but got -1"),
        ({"engine": "surprise"}, r"engine must be one of .* but got 'surprise'"),
        ({"refit": "yes"}, "refit must be true or false, but got 'yes'"),
    ],
)
def test_a_hyperparameter_outside_its_domain_is_refused(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Hybrid(**parameters)


def test_beats_its_goal_on_real_ratings(real_data):
    data = load_dataset(str(real_data / "ml-100k"))
    fold = assign_folds(data.ratings)
    train, valid = data.ratings.take(fold != 0), data.ratings.take(fold == 0)
    model = Hybrid(user_features="none").fit(train, data.catalogue)
    # 0.909 is the goal in the mean over five folds, of which this is a hard one.
    assert rmse(valid.values, model.predict(valid.users, valid.items)) <= 0.909
