"""Two packaged models on the same test ratings, none of which either was trained on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.errors import StudyError
from harness.evaluation.intervals import Estimate, UserBootstrap
from harness.evaluation.metrics import rmse
from harness.tracking.answers import Answerer
from harness.tracking.model_folder import PackagedModel

__all__ = ["Duel", "fight", "untrained"]

FEWEST_USERS = 30
"""Reports warn of intervals over few users; with fewer than this nobody should decide."""


@dataclass(frozen=True, kw_only=True)
class Duel:
    """How two models compare.

    Parameters
    ----------
    rmse, champion_rmse : float
        In stars, of the newcomer and of the champion.
    difference : Estimate
        RMSE of the newcomer minus that of the champion, in stars.
    p_value : float
        Of no difference, two-sided.
    n_pairs : int
        Number of test ratings that both were judged on.
    n_test : int
        Number of test ratings in all.
    """

    rmse: float
    champion_rmse: float
    difference: Estimate
    p_value: float
    n_pairs: int
    n_test: int


def fight(newcomer: PackagedModel, champion: PackagedModel, test: Ratings) -> Duel:
    """Let two models predict the same test ratings.

    Test ratings that either was trained on are left out: whoever knows the answer is not
    being tested. On one and the same split these are none. The models are asked by id,
    because codes differ where the data does. Compared are these two fits, not their
    families: a fit is what is served.

    Parameters
    ----------
    newcomer, champion : PackagedModel
        The models.
    test : Ratings
        Test ratings of the newcomer, opened.

    Returns
    -------
    Duel
        The comparison: a bootstrap over the users, paired.

    Raises
    ------
    StudyError
        If there are test ratings of fewer than 30 users that are new to both.
    """
    fair = untrained(newcomer, test) & untrained(champion, test)
    pairs = test.take(fair)
    n_users = len(np.unique(pairs.users))
    if n_users < FEWEST_USERS:
        raise StudyError(
            f"Only {len(pairs):,} of the {len(test):,} test ratings, of {n_users} users, "
            f"are new to both models, and a comparison needs at least {FEWEST_USERS} "
            "users: judge both on one split, by running the experiment of the champion "
            "with the newcomer in it."
        )
    first, second = (_predict(model, pairs) for model in (newcomer, champion))
    difference, p_value = UserBootstrap(pairs).difference([first], [second])
    return Duel(
        rmse=rmse(pairs.values, first),
        champion_rmse=rmse(pairs.values, second),
        difference=difference,
        p_value=p_value,
        n_pairs=len(pairs),
        n_test=len(test),
    )


def untrained(packaged: PackagedModel, test: Ratings) -> npt.NDArray[np.bool_]:
    """Say which test pairs a model was not trained on.

    Parameters
    ----------
    packaged : PackagedModel
        The model; it keeps the pairs of its training part.
    test : Ratings
        Test ratings, maybe of another split or of other data.

    Returns
    -------
    ndarray of bool, shape (n_test,)
        True where the pair of user and title, by id, is not in its training part.
    """
    model = packaged.model
    codes = {user: code for code, user in enumerate(model.user_ids_)}
    fresh = np.ones(len(test), dtype=bool)
    order = np.argsort(test.users, kind="stable")
    users, starts = np.unique(test.users[order], return_index=True)
    for user, rows in zip(users, np.split(order, starts[1:]), strict=True):
        code = codes.get(test.user_ids[user], -1)
        seen = set(model.item_ids_[model.seen(code)])
        fresh[rows] = [test.item_ids[item] not in seen for item in test.items[rows]]
    return fresh


def _predict(packaged: PackagedModel, pairs: Ratings) -> npt.NDArray[np.float32]:
    answerer = Answerer(packaged)
    users = [answerer.user_code(id_) for id_ in pairs.user_ids]
    items = [answerer.item_code(id_) for id_ in pairs.item_ids]
    return answerer.predict(np.array(users)[pairs.users], np.array(items)[pairs.items])
